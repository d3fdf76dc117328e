/* The part "dnssec" of the configuration: whether answers are validated, from what down, and what need not be signed. */

#include "resolver/conf_reader.h"

#include <errno.h>

enum { INSECURE_MAX = 256 };
/* Where Debian's dns-root-data has those of the root. */
#define ANCHORS "/usr/share/dns/root.key"

static int key_validate(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_bool(r, n, "validate", &((struct conf *)into)->validate);
}

static int key_anchors(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "anchors", &((struct conf *)into)->anchors);
}

static int key_insecure(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	int err = conf_items(
		r, n, "insecure", INSECURE_MAX, sizeof(*c->insecure), &c->insecure, &c->n_insecure);
	for (size_t i = 0; i < c->n_insecure; i++)
		err = err_first(err, conf_suffix(r, conf_item(r, n, i), "insecure", &c->insecure[i]));
	return err;
}

int conf_dnssec_key(struct conf_reader *r, yaml_node_t *n, void *into)
{
	static const struct conf_key keys[] = { { "validate", key_validate }, { "anchors", key_anchors },
		{ "insecure", key_insecure }, { 0 } };
	((struct conf *)into)->anchors = ANCHORS;
	return conf_keys(r, n, keys, into);
}

/* Names of routes and of ours are not the world's: nobody above them signs for them. */
int conf_dnssec_finish(struct conf_reader *r)
{
	struct conf *c = r->c;
	size_t n = 0;
	if (!c->validate)
		return 0;
	const char **all = arena_array(&c->arena, c->n_insecure + c->n_routes + c->n_authority, sizeof(*all));
	for (size_t i = 0; all && i < c->n_insecure; i++)
		all[n++] = c->insecure[i];
	for (size_t i = 0; all && i < c->n_routes; i++)
		if (c->routes[i].suffix[0])
			all[n++] = c->routes[i].suffix;
		else
			c->routes[i].validate = true;
	for (size_t i = 0; all && i < c->n_authority; i++)
		if (c->authority[i][0] != '.')
			all[n++] = c->authority[i];
	c->insecure = all;
	c->n_insecure = n;
	return all ? 0 : conf_fault(r->faults, -ENOMEM, "%s: out of memory", r->file);
}
