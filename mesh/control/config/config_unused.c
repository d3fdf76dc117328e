/* What is said of settings that work otherwise than somebody may think. */
#include "mesh/control/config/config.h"

#include "mesh/base/buf.h"
#include "mesh/control/config/config_value.h"
#include <stdio.h>
#include <string.h>

char *config_unused_that_matter(const struct control_config *c, char *out, size_t cap)
{
	size_t len = 0;
	out[0] = 0;
	for (size_t i = 0; i < c->n_unused && len < cap; i++)
		if (c->unused[i].matters)
			len += (size_t)snprintf(
				out + len, cap - len, "%s%s", len ? ", " : "", c->unused[i].key);
	return out;
}

void config_unused_each(
	const struct control_config *c, void (*say)(void *arg, const char *sentence), void *arg)
{
	struct buf rest = { 0 };
	char text[256];
	for (size_t i = 0; i < c->n_unused; i++) {
		const struct config_unused *u = &c->unused[i];
		if (!u->advice) {
			buf_printf(&rest, "%s%s", rest.len ? ", " : "", u->key);
			continue;
		}
		snprintf(text, sizeof(text), "%s has no effect on this server: %s", u->key, u->advice);
		say(arg, text);
	}
	if (rest.len && buf_printf(&rest, "%s no effect on this server",
				strchr(buf_cstr(&rest), ',') ? " have" : " has"))
		say(arg, buf_cstr(&rest));
	buf_free(&rest);
}

bool config_lacks_tls(const struct control_config *c)
{
	char name[CONFIG_HOST_TEXT];
	struct addr a;
	uint16_t port;
	if (strncmp(c->server_url, "http://", 7) != 0 || endpoint_is_set(&c->tls_listen) || c->tls_cert)
		return false;
	config_value_host(c->server_url, name, &port);
	return addr_parse(name, &a) ? !addr_is_private(&a) && !addr_is_loopback(&a)
				    : strcmp(name, "localhost") != 0;
}
