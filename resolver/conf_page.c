/* The parts of the configuration that only the program alone has: what it writes down, its page, its own lists. */
#include "resolver/conf_reader.h"
#include "resolver/block.h"
#include "resolver/local_zone.h"
#include <string.h>

enum { PAGE_PORT = 8053, PAGE_NAMES_MAX = 64 };

int conf_query_log_key(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_bool(r, n, "query-log", &((struct conf *)into)->query_log);
}

int conf_state_key(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "state", &((struct conf *)into)->state);
}

int conf_keep_cache_key(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_bool(r, n, "keep-cache", &((struct conf *)into)->keep_cache);
}

bool conf_is_near(const struct addr *a)
{
	return addr_is_loopback(a) || addr_is_private(a) || addr_is_cgnat(a) || addr_is_link_local(a);
}

/* A page with a password and no TLS, and counters of a household, are nothing for the world. */
static int near_check(
	const struct conf_reader *r, const yaml_node_t *n, const struct endpoint *at, size_t count)
{
	char text[ENDPOINT_TEXT];
	for (size_t i = 0; i < count; i++)
		if (!conf_is_near(&at[i].ip))
			return conf_bad(r, n,
				"%s is neither an address of this machine (127.0.0.1, ::1) nor of a private "
				"network "
				"or a mesh",
				endpoint_format_ip(&at[i], text));
	return 0;
}

static int key_page_listen(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	int err = conf_endpoints(r, n, CONF_PAGE_LISTEN_MAX, PAGE_PORT, &c->page_listen, &c->n_page_listen);
	return err ? err : near_check(r, n, c->page_listen, c->n_page_listen);
}

static int key_page_names(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	int err = conf_items(
		r, n, "names", PAGE_NAMES_MAX, sizeof(*c->page_names), &c->page_names, &c->n_page_names);
	for (size_t i = 0; i < c->n_page_names; i++)
		err = err_first(err, conf_name(r, conf_item(r, n, i), "names", &c->page_names[i]));
	return err;
}

static int key_page_metrics(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_bool(r, n, "metrics", &((struct conf *)into)->page_metrics);
}

int conf_page_key(struct conf_reader *r, yaml_node_t *n, void *into)
{
	static const struct conf_key keys[] = { { "listen", key_page_listen }, { "names", key_page_names },
		{ "metrics", key_page_metrics }, { 0 } };
	struct conf *c = into;
	int err = conf_keys(r, n, keys, into);
	if (!err && !c->n_page_listen)
		err = conf_bad(r, n, "page: \"listen\" is missing: say at which addresses");
	return err;
}

/* ---- local zones ---- */

enum { LOCAL_ZONES_MAX = 65536 };

static int local_zone_read(
	struct conf_reader *r, const yaml_node_pair_t *p, struct resolver_local_zone *out, bool *is_static)
{
	const yaml_node_t *key = conf_node(r, p->key), *value = conf_node(r, p->value);
	const char *word = conf_scalar(value);
	int err = conf_suffix(r, key, "local-zones", &out->suffix);
	*is_static = word && strcmp(word, "static") == 0;
	if (err || *is_static || (word && resolver_word_parse(word, &out->word)))
		return err;
	return conf_bad(r, value,
		"\"%s\" is none of static, refuse, transparent, typetransparent, redirect, always-nxdomain, "
		"always-nodata, "
		"always-refuse, always-null and always-transparent",
		word ? word : "");
}

/* What is static joins "authority", which may come before or after. */
int conf_local_zones_key(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	if (n->type != YAML_MAPPING_NODE)
		return conf_bad(r, n, "local-zones: \"suffix: word\" pairs are wanted here");
	const yaml_node_pair_t *p = n->data.mapping.pairs.start;
	size_t total = (size_t)(n->data.mapping.pairs.top - p);
	c->local_zones = arena_array(&c->arena, total, sizeof(*c->local_zones));
	c->statics = arena_array(&c->arena, total, sizeof(*c->statics));
	if (total > LOCAL_ZONES_MAX || !c->local_zones || !c->statics)
		return conf_bad(r, n, "at most %d local zones", LOCAL_ZONES_MAX);
	int err = 0;
	for (; p < n->data.mapping.pairs.top; p++) {
		struct resolver_local_zone z = { 0 };
		bool is_static;
		int wrong = local_zone_read(r, p, &z, &is_static);
		if (!wrong && is_static)
			c->statics[c->n_statics++] = z.suffix;
		else if (!wrong)
			c->local_zones[c->n_local_zones++] = z;
		err = err_first(err, wrong);
	}
	return err;
}

/* The lists that are changed while it runs: they come after those of the file, and hold for everybody. */
int conf_own_lists(struct conf_reader *r, const yaml_node_t *at)
{
	static const struct {
		const char *name, *file;
		bool allow;
	} rows[CONF_OWN_LISTS] = { { CONF_ALLOWED_HERE, "allowed.txt", true },
		{ CONF_DENIED_HERE, "denied.txt", false } };
	struct conf *c = r->c;
	struct conf_block *b = &c->block;
	if (c->n_page_listen && !c->state)
		return conf_bad(r, at, "\"page\" needs \"state\": the folder of its password and its lists");
	if (!c->state)
		return 0;
	if (b->n_lists + CONF_OWN_LISTS > BLOCK_LISTS_MAX)
		return conf_bad(r, at, "with \"state\" at most %d lists are possible",
			BLOCK_LISTS_MAX - CONF_OWN_LISTS);
	struct conf_list *lists = arena_array(&c->arena, b->n_lists + CONF_OWN_LISTS, sizeof(*lists));
	if (!lists)
		return conf_bad(r, at, "out of memory");
	for (size_t i = 0; i < b->n_lists; i++) {
		lists[i] = b->lists[i];
		if (strcmp(lists[i].name, CONF_ALLOWED_HERE) == 0 ||
			strcmp(lists[i].name, CONF_DENIED_HERE) == 0)
			return conf_bad(
				r, at, "the list \"%s\" is one that \"state\" has already", lists[i].name);
	}
	for (size_t i = 0; i < CONF_OWN_LISTS; i++) {
		struct conf_list *l = &lists[b->n_lists + i];
		*l = (struct conf_list) { .name = rows[i].name, .allow = rows[i].allow, .own = true };
		l->file = arena_printf(&c->arena, "%s/%s", c->state, rows[i].file);
		if (!l->file)
			return conf_bad(r, at, "out of memory");
		for (size_t g = 0; g < b->n_groups; g++)
			b->groups[g].lists |= UINT32_C(1) << (b->n_lists + i);
	}
	b->lists = lists;
	b->n_lists += CONF_OWN_LISTS;
	return 0;
}
