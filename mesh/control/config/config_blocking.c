/* dns.blocking: which machine answers names for the others, and what it blocks. The words are those of ropewalk-resolver,
 * but lists are not files, and clients are who they are in the network. */
#include "mesh/control/config/config.h"

#include "mesh/base/text.h"
#include "mesh/control/config/document.h"
#include "resolver/block_hours.h"
#include "resolver/block_words.h"
#include <errno.h>
#include <string.h>

enum { NAMES_MAX = 4096, GROUPS_MAX = 64, CLIENTS_MAX = 256, WHEN_MAX = 32, TTL_MAX = 86400 };
enum { PAUSE_MIN_MS = 1000, REFRESH_MIN_MS = 10 * 60 * 1000, DAY_MS = 86400 * 1000, REFRESH_DAYS = 30 };

struct blocking_reading {
	struct document *d;
	struct arena *mem;
	size_t n_names; /* given in place, in all lists */
};
struct blocking_key {
	const char *name;
	int (*take)(struct blocking_reading *r, yaml_node_t *n, void *into);
};

static int take_keys(
	struct blocking_reading *r, yaml_node_t *map, const struct blocking_key *keys, void *into)
{
	if (map->type != YAML_MAPPING_NODE)
		return document_refuse(r->d, map, "dns.blocking: \"key: value\" pairs are wanted here");
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *k = document_node(r->d, p->key);
		const char *names[16] = { NULL };
		size_t i = 0;
		for (; keys[i].name && strcmp(keys[i].name, document_text(k)) != 0; i++)
			names[i] = keys[i].name;
		if (!keys[i].name) {
			const char *near = text_nearest(document_text(k), names);
			return document_refuse(r->d, k, "dns.blocking: unknown key \"%s\"%s%s%s",
				document_text(k), near ? "; did you mean \"" : "", near ? near : "",
				near ? "\"?" : "");
		}
		int err = keys[i].take(r, document_node(r->d, p->value), into);
		if (err)
			return err;
	}
	return 0;
}

static int take_word(struct blocking_reading *r, const yaml_node_t *n, const char **out)
{
	const char *text = document_text(n);
	if (!text || !*text || strlen(text) != n->data.scalar.length)
		return document_refuse(r->d, n, "dns.blocking: a text is wanted here");
	*out = arena_strdup(r->mem, text);
	return *out ? 0 : document_refuse(r->d, n, "dns.blocking: out of memory");
}

/* A list; each item by check, which says what is wrong with it. */
static int take_words(struct blocking_reading *r, yaml_node_t *n, size_t max,
	int (*check)(struct blocking_reading *r, const yaml_node_t *at, const char *text),
	struct ctl_strings *out)
{
	if (n->type != YAML_SEQUENCE_NODE)
		return document_refuse(r->d, n, "dns.blocking: a list is wanted here");
	size_t total = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (total > max)
		return document_refuse(r->d, n, "dns.blocking: at most %zu are possible here", max);
	*out = (struct ctl_strings) { .v = arena_array(r->mem, total, sizeof(*out->v)) };
	for (size_t i = 0; out->v && i < total; i++) {
		const yaml_node_t *item = document_node(r->d, n->data.sequence.items.start[i]);
		int err = take_word(r, item, &out->v[i]);
		err = err ? err : check(r, item, document_text(item));
		if (err)
			return err;
		out->n++;
	}
	return 0;
}

/* A list of mappings: room for them, and each by its keys. */
static int take_maps(struct blocking_reading *r, yaml_node_t *n, size_t max, void **out, size_t *count,
	size_t size, const struct blocking_key *keys)
{
	if (n->type != YAML_SEQUENCE_NODE)
		return document_refuse(r->d, n, "dns.blocking: a list is wanted here");
	size_t total = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (total > max)
		return document_refuse(r->d, n, "dns.blocking: at most %zu are possible here", max);
	*out = arena_array(r->mem, total, size);
	for (size_t i = 0; *out && i < total; i++) {
		int err = take_keys(r, document_node(r->d, n->data.sequence.items.start[i]), keys,
			(char *)*out + i * size);
		if (err)
			return err;
		++*count;
	}
	return 0;
}

static int take_time(
	struct blocking_reading *r, const yaml_node_t *n, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *text = document_text(n);
	if (text && text_duration_ms(text, out) && *out >= min && *out <= max)
		return 0;
	return document_refuse(
		r->d, n, "dns.blocking: a time is wanted here (refresh: 10m to 30d, pause: 1s to 24h)");
}

/* ---- lists ---- */

static int take_list_name(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	const char *text = document_text(n);
	if (!text || !block_words_is_plain(text) || strlen(text) >= BLOCK_LIST_NAME)
		return document_refuse(r->d, n,
			"dns.blocking: the name of a list is one of a file too: a-z, 0-9, - and _, at most "
			"%d",
			BLOCK_LIST_NAME - 1);
	return take_word(r, n, &((struct ctl_block_list *)into)->name);
}

static int take_list_url(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	const char *text = document_text(n);
	if (!text || !block_words_is_url(text))
		return document_refuse(
			r->d, n, "dns.blocking: url: https://... or http://... is wanted here");
	return take_word(r, n, &((struct ctl_block_list *)into)->url);
}

static int check_name(struct blocking_reading *r, const yaml_node_t *at, const char *text)
{
	struct errbuf eb = { 0 };
	if (++r->n_names > NAMES_MAX)
		return document_refuse(r->d, at,
			"dns.blocking: more than %d names; put them into a file that machines can fetch, and "
			"name its url",
			NAMES_MAX);
	return block_words_line(text, &eb) ? document_refuse(r->d, at, "dns.blocking: %s", eb.text) : 0;
}

static int take_list_names(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	return take_words(r, n, NAMES_MAX, check_name, &((struct ctl_block_list *)into)->names);
}

static int take_list_allow(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	const char *text = document_text(n);
	bool *allow = &((struct ctl_block_list *)into)->allow;
	*allow = text && !strcmp(text, "true");
	if (*allow || (text && !strcmp(text, "false")))
		return 0;
	return document_refuse(r->d, n, "dns.blocking: allow: true or false is wanted here");
}

static int check_when(struct blocking_reading *r, const yaml_node_t *at, const char *text)
{
	struct block_hours hours;
	if (block_hours_parse(text, &hours))
		return 0;
	return document_refuse(r->d, at,
		"dns.blocking: \"%s\" says no time; write \"22:00-07:00\" or \"mon-fri 08:00-16:00\"", text);
}

static int take_list_when(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	return take_words(r, n, WHEN_MAX, check_when, &((struct ctl_block_list *)into)->when);
}

static int check_lists(struct blocking_reading *r, yaml_node_t *n, struct ctl_blocking *b)
{
	for (size_t i = 0; i < b->n_lists; i++) {
		struct ctl_block_list *l = &b->lists[i];
		const yaml_node_t *at = document_node(r->d, n->data.sequence.items.start[i]);
		if (!l->name || !l->url == !l->names.v)
			return document_refuse(
				r->d, at, "dns.blocking: a list needs a name, and one of url and names");
		l->url = l->url ? l->url : "";
		for (size_t k = 0; k < i; k++)
			if (!strcmp(b->lists[k].name, l->name))
				return document_refuse(
					r->d, at, "dns.blocking: the list \"%s\" is there twice", l->name);
	}
	return 0;
}

static int take_lists(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	static const struct blocking_key keys[] = { { "name", take_list_name }, { "url", take_list_url },
		{ "names", take_list_names }, { "allow", take_list_allow }, { "when", take_list_when },
		{ 0 } };
	struct ctl_blocking *b = &((struct config_blocking *)into)->rules;
	int err = take_maps(r, n, BLOCK_LISTS_MAX, (void **)&b->lists, &b->n_lists, sizeof(*b->lists), keys);
	return err ? err : check_lists(r, n, b);
}

/* ---- groups ---- */

static int take_group_name(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	return take_word(r, n, &((struct ctl_block_group *)into)->name);
}

/* "user@", "tag:x", an address or network, else the name of a machine. */
static int check_client(struct blocking_reading *r, const yaml_node_t *at, const char *text)
{
	struct prefix p;
	if (strchr(text, '@') || (!strncmp(text, "tag:", 4) && text[4]) || prefix_parse(text, &p) ||
		(block_words_is_plain(text) && !strchr(text, '_')))
		return 0;
	return document_refuse(r->d, at,
		"dns.blocking: \"%.64s\" is no client: write user@, tag:name, the name of a machine, or an "
		"address",
		text);
}

static int take_group_clients(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	return take_words(r, n, CLIENTS_MAX, check_client, &((struct ctl_block_group *)into)->clients);
}

/* Lists stand before groups in `rules` only when they do in the file: looked at in the end. */
static int check_nothing(struct blocking_reading *r, const yaml_node_t *at, const char *text)
{
	(void)r, (void)at, (void)text;
	return 0;
}

static int take_group_lists(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	return take_words(r, n, BLOCK_LISTS_MAX, check_nothing, &((struct ctl_block_group *)into)->lists);
}

static int take_groups(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	static const struct blocking_key keys[] = { { "name", take_group_name },
		{ "clients", take_group_clients }, { "lists", take_group_lists }, { 0 } };
	struct ctl_blocking *b = &((struct config_blocking *)into)->rules;
	return take_maps(r, n, GROUPS_MAX, (void **)&b->groups, &b->n_groups, sizeof(*b->groups), keys);
}

static bool has_list(const struct ctl_blocking *b, const char *name)
{
	bool found = false;
	for (size_t i = 0; i < b->n_lists; i++)
		found = found || !strcmp(b->lists[i].name, name);
	return found;
}

static int check_groups(struct blocking_reading *r, const yaml_node_t *at, const struct ctl_blocking *b)
{
	for (size_t i = 0; i < b->n_groups; i++) {
		const struct ctl_block_group *g = &b->groups[i];
		if (!g->name || !g->clients.n)
			return document_refuse(r->d, at, "dns.blocking: a group needs a name and clients");
		for (size_t k = 0; k < g->lists.n; k++)
			if (!has_list(b, g->lists.v[k]))
				return document_refuse(r->d, at,
					"dns.blocking: the group %s names the list \"%s\", which is not "
					"there",
					g->name, g->lists.v[k]);
	}
	return 0;
}

/* ---- the rest ---- */

static int take_node(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	const char *text = document_text(n);
	if (!text || !block_words_is_plain(text) || strchr(text, '_'))
		return document_refuse(r->d, n,
			"dns.blocking.node: the name of a machine of this network is wanted here, as "
			"`nodes list` shows it");
	return take_word(r, n, &((struct config_blocking *)into)->node);
}

static int check_answer(struct blocking_reading *r, const yaml_node_t *at, const char *text)
{
	struct block_answer answer = { 0 };
	if (block_words_answer(text, &answer))
		return 0;
	return document_refuse(r->d, at,
		"dns.blocking.answer: null, nxdomain, nodata, refused or addresses are wanted here");
}

static int take_answer(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	struct ctl_strings *out = &((struct config_blocking *)into)->rules.answer;
	const char *text = document_text(n);
	if (!text)
		return take_words(r, n, 2, check_answer, out);
	*out = (struct ctl_strings) { .v = arena_array(r->mem, 1, sizeof(*out->v)) };
	int err = check_answer(r, n, text);
	err = err ? err : !out->v ? -ENOMEM : take_word(r, n, &out->v[0]);
	out->n = !err;
	return err;
}

static int take_ttl(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	const char *text = document_text(n);
	if (text && text_u64(text, 1, TTL_MAX, &((struct config_blocking *)into)->rules.ttl_s))
		return 0;
	return document_refuse(
		r->d, n, "dns.blocking.ttl: a number of seconds from 1 to %d is wanted here", TTL_MAX);
}

static int take_refresh(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	return take_time(r, n, REFRESH_MIN_MS, (uint64_t)REFRESH_DAYS * DAY_MS,
		&((struct config_blocking *)into)->rules.refresh_ms);
}

static int take_pause(struct blocking_reading *r, yaml_node_t *n, void *into)
{
	return take_time(r, n, PAUSE_MIN_MS, DAY_MS, &((struct config_blocking *)into)->rules.pause_ms);
}

int config_blocking_take(struct document *d, void *node, struct arena *mem, struct config_blocking *out)
{
	static const struct blocking_key keys[] = { { "node", take_node }, { "lists", take_lists },
		{ "groups", take_groups }, { "answer", take_answer }, { "ttl", take_ttl },
		{ "refresh", take_refresh }, { "pause", take_pause }, { 0 } };
	struct blocking_reading r = { .d = d, .mem = mem };
	struct config_blocking b = { 0 };
	yaml_node_t *n = node;
	bool empty = n->type == YAML_MAPPING_NODE && n->data.mapping.pairs.top == n->data.mapping.pairs.start;
	if (document_is_null(n) || empty)
		return 0;
	int err = take_keys(&r, n, keys, &b);
	err = err ? err : check_groups(&r, n, &b.rules);
	if (!err && (!b.node || !b.rules.n_lists))
		err = document_refuse(d, n, "dns.blocking needs a node and lists");
	if (!err)
		*out = b;
	return err;
}
