#include "mesh/base/fuzz/trouble.h"
#include "mesh/control/config/config.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void count_one(void *arg, const char *sentence)
{
	*(size_t *)arg += *sentence != 0;
}

static void ask(const struct control_config *c)
{
	struct arena a = { 0 };
	struct ctl_dns dns;
	struct ctl_derp_map map = { 0 };
	char text[512];
	size_t said = 0;
	(void)config_dns(c, &c->records, &a, &dns);
	(void)config_unused_that_matter(c, text, sizeof(text));
	config_unused_each(c, count_one, &said);
	if (c->n_unused && !said && !trouble_happened())
		abort(); /* somebody wrote it down, and is to hear that it does nothing */
	(void)config_lacks_tls(c);
	(void)config_groups_domain(&c->login, c->login.n ? c->login.v[0].s.issuer : "");
	if (!config_login_equal(&c->login, &c->login))
		abort();
	if (*config_fixed_differ(c, c, text, sizeof(text)))
		abort(); /* as a running server that reads its file again would see it */
	if (c->relay.enabled)
		(void)config_relay_region(c, &c->listen, &c->relay.stun, "", &a, &map);
	arena_free(&a);
}

static void run(const uint8_t *data, size_t len)
{
	struct control_config c;
	struct errbuf eb;
	trouble_begin();
	if (!config_parse("/etc/c.yaml", (const char *)data, len, &c, &eb)) {
		ask(&c);
		config_free(&c);
	}
	trouble_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
