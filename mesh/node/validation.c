#include "mesh/node/validation.h"

#include "mesh/base/buf.h"
#include "resolver/name.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A name that libunbound would read otherwise than we do, or not at all, is left out: all names would fail for it. */
static bool name_put(struct buf *out, const char *name)
{
	struct dns_name parsed;
	bool plain = !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")];
	return !plain || !dns_name_parse(name, &parsed) || parsed.len == 1 || buf_printf(out, "%s\n", name);
}

/* The names, a line each. */
static bool insecure_list(const struct resolver_config *c, const struct ctl_dns *dns, struct buf *out)
{
	bool ok = true;
	for (size_t i = 0; i < c->n_routes; i++)
		ok = ok && name_put(out, c->routes[i].suffix);
	for (size_t i = 0; dns && i < dns->n_routes; i++)
		if (!dns->routes[i].n) /* the zone's own */
			ok = ok && name_put(out, dns->routes[i].suffix);
	if (dns && dns->proxied && dns->domains.n)
		ok = ok && name_put(out, dns->domains.v[0]);
	return ok && buf_cstr(out);
}

/* Cuts text, which is ours, into its lines. */
static int resolver_told(struct validation *v, struct resolver_server *s, char *text, struct errbuf *eb)
{
	size_t n = 0, max = 0;
	for (const char *p = text; *p; p++)
		max += *p == '\n';
	const char **names = calloc(max + 1, sizeof(*names));
	if (!names)
		return err_set(eb, -ENOMEM, "DNSSEC");
	for (char *p = text, *end; (end = strchr(p, '\n')); p = end + 1) {
		*end = 0;
		names[n++] = p;
	}
	int err = resolver_server_validate(s,
		&(struct resolver_validation) { .anchors = v->anchors, .insecure = names, .n_insecure = n },
		eb);
	free(names);
	return err;
}

int validation_serve(struct validation *v, struct resolver_server *s, const struct resolver_config *c,
	const struct ctl_dns *dns, struct errbuf *eb)
{
	struct buf list = { 0 };
	int err = 0;
	if (!v->anchors)
		return 0;
	char *kept = insecure_list(c, dns, &list) ? strdup(buf_cstr(&list)) : NULL;
	if (!kept)
		err = err_set(eb, -ENOMEM, "DNSSEC");
	else if (!v->insecure ||
		 strcmp(v->insecure, kept) != 0) { /* what it has found out so far is thrown away */
		err = resolver_told(v, s, (char *)buf_data(&list), eb);
		validation_leave(v);
		if (!err) {
			v->insecure = kept;
			kept = NULL;
		}
	}
	free(kept);
	buf_free(&list);
	return err;
}

void validation_leave(struct validation *v)
{
	free(v->insecure);
	v->insecure = NULL;
}
