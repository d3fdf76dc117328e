#include "resolver/conf_block.h"

#include "mesh/base/text.h"
#include "resolver/block_words.h"
#include "resolver/conf_reader.h"
#include <string.h>

enum { NAMES_MAX = 65536, CLIENTS_MAX = 1024, GROUPS_MAX = 256, WHEN_MAX = 32, TTL_MAX = 86400 };
enum { MINUTE_MS = 60 * 1000, REFRESH_MIN_MS = 10 * MINUTE_MS, REFRESH_MS = 24 * 60 * MINUTE_MS };
enum { PAUSE_MIN_MS = 1000 };
#define REFRESH_MAX_MS (UINT64_C(30) * 86400 * 1000)

/* ---- lists ---- */

static int key_list_name(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "name", &((struct conf_list *)into)->name);
}
static int key_list_file(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "file", &((struct conf_list *)into)->file);
}

static int key_list_url(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf_list *l = into;
	int err = conf_string(r, n, "url", &l->url);
	return err || block_words_is_url(l->url)
		       ? err
		       : conf_bad(r, n, "url: https://... or http://... is wanted here");
}

static int key_list_allow(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_bool(r, n, "allow", &((struct conf_list *)into)->allow);
}

static int key_list_names(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf_list *l = into;
	struct errbuf eb;
	int err = conf_items(r, n, "names", NAMES_MAX, sizeof(*l->names), &l->names, &l->n_names);
	for (size_t i = 0; i < l->n_names; i++) {
		const yaml_node_t *item = conf_item(r, n, i);
		int wrong = conf_string(r, item, "names", &l->names[i]);
		if (!wrong && block_words_line(l->names[i], &eb))
			wrong = conf_bad(r, item, "%s", eb.text);
		err = err_first(err, wrong);
	}
	return err;
}

static int key_list_when(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf_list *l = into;
	int err = conf_items(r, n, "when", WHEN_MAX, sizeof(*l->when), &l->when, &l->n_when);
	for (size_t i = 0; i < l->n_when; i++) {
		const yaml_node_t *item = conf_item(r, n, i);
		const char *s = conf_scalar(item);
		if (!s || !block_hours_parse(s, &l->when[i]))
			err = conf_bad(r, item,
				"\"%s\" says no time; write \"22:00-07:00\" or \"mon-fri 08:00-16:00\"",
				s ? s : "");
	}
	return err;
}

static int list_check(
	const struct conf_reader *r, const yaml_node_t *at, const struct conf_block *b, size_t i)
{
	const struct conf_list *l = &b->lists[i];
	if (!l->name || (l->file != NULL) + (l->names != NULL) + (l->url != NULL) != 1)
		return conf_bad(r, at, "a list needs a name, and one of \"file\", \"url\" and \"names\"");
	if (l->url && !block_words_is_plain(l->name))
		return conf_bad(
			r, at, "the name of a list with a URL is one of a file too: a-z, 0-9, - and _");
	for (size_t k = 0; k < i; k++)
		if (b->lists[k].name && strcmp(b->lists[k].name, l->name) == 0)
			return conf_bad(r, at, "the list \"%s\" is there twice", l->name);
	return 0;
}

static int key_lists(struct conf_reader *r, yaml_node_t *n, void *into)
{
	static const struct conf_key keys[] = { { "name", key_list_name }, { "file", key_list_file },
		{ "url", key_list_url }, { "names", key_list_names }, { "allow", key_list_allow },
		{ "when", key_list_when }, { 0 } };
	struct conf_block *b = into;
	int err = conf_items(r, n, "lists", BLOCK_LISTS_MAX, sizeof(*b->lists), &b->lists, &b->n_lists);
	for (size_t i = 0; i < b->n_lists; i++) {
		const yaml_node_t *item = conf_item(r, n, i);
		int wrong = conf_keys(r, item, keys, &b->lists[i]);
		err = err_first(err, wrong ? wrong : list_check(r, item, b, i));
	}
	return err;
}

/* ---- groups ---- */

static int key_group_name(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "name", &((struct conf_group *)into)->name);
}

static int key_group_clients(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf_group *g = into;
	int err = conf_items(r, n, "clients", CLIENTS_MAX, sizeof(*g->clients), &g->clients, &g->n_clients);
	for (size_t i = 0; i < g->n_clients; i++) {
		const yaml_node_t *item = conf_item(r, n, i);
		const char *s = conf_scalar(item);
		if (!s || !prefix_parse(s, &g->clients[i]))
			err = conf_bad(r, item, "\"%s\" is neither an address nor a network", s ? s : "");
	}
	return err;
}

/* A list that a group names: its bit. 0: there is none. */
static uint32_t list_bit(const struct conf_block *b, const char *name)
{
	for (size_t i = 0; name && i < b->n_lists; i++)
		if (b->lists[i].name && strcmp(b->lists[i].name, name) == 0)
			return UINT32_C(1) << i;
	return 0;
}

static int key_group_lists(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf_group *g = into;
	const char **names = NULL;
	size_t total = 0;
	int err = conf_items(r, n, "lists", BLOCK_LISTS_MAX, sizeof(*names), &names, &total);
	for (size_t i = 0; i < total; i++) {
		const yaml_node_t *item = conf_item(r, n, i);
		uint32_t bit = list_bit(&r->c->block, conf_scalar(item));
		if (!bit)
			err = conf_bad(r, item, "there is no list of this name above");
		g->lists |= bit;
	}
	return err;
}

static int key_groups(struct conf_reader *r, yaml_node_t *n, void *into)
{
	static const struct conf_key keys[] = { { "name", key_group_name }, { "clients", key_group_clients },
		{ "lists", key_group_lists }, { 0 } };
	struct conf_block *b = into;
	int err = conf_items(r, n, "groups", GROUPS_MAX, sizeof(*b->groups), &b->groups, &b->n_groups);
	for (size_t i = 0; i < b->n_groups; i++) {
		const yaml_node_t *item = conf_item(r, n, i);
		int wrong = conf_keys(r, item, keys, &b->groups[i]);
		if (!wrong && (!b->groups[i].name || !b->groups[i].n_clients))
			wrong = conf_bad(r, item, "a group needs a name and clients");
		err = err_first(err, wrong);
	}
	return err;
}

/* ---- the answer ---- */

/* A word, an address, or one of each kind. */
static int key_answer(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct block_answer *out = &((struct conf_block *)into)->answer;
	bool list = n->type == YAML_SEQUENCE_NODE;
	size_t total = list ? (size_t)(n->data.sequence.items.top - n->data.sequence.items.start) : 1;
	for (size_t i = 0; i < total; i++) {
		const yaml_node_t *item = list ? conf_item(r, n, i) : n;
		const char *s = conf_scalar(item);
		if (!s || !block_words_answer(s, out) || (list && out->kind != BLOCK_ANSWER_ADDRESS))
			return conf_bad(r, item,
				"answer: null, nxdomain, nodata, refused or addresses are wanted here");
	}
	return 0;
}

static int key_ttl(struct conf_reader *r, yaml_node_t *n, void *into)
{
	uint64_t s = 0;
	int err = conf_number(r, n, "ttl", (struct conf_range) { 1, TTL_MAX }, &s);
	((struct conf_block *)into)->answer.ttl_s = (uint32_t)s;
	return err;
}

static int key_store(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "store", &((struct conf_block *)into)->store);
}

static int key_refresh(struct conf_reader *r, yaml_node_t *n, void *into)
{
	uint64_t *ms = &((struct conf_block *)into)->refresh_ms;
	const char *s = conf_scalar(n);
	if (!s || !text_duration_ms(s, ms) || *ms < REFRESH_MIN_MS || *ms > REFRESH_MAX_MS)
		return conf_bad(r, n, "refresh: a time from 10m to 30d is wanted here, as 24h");
	return 0;
}

static int key_pause(struct conf_reader *r, yaml_node_t *n, void *into)
{
	uint64_t *ms = &((struct conf_block *)into)->pause_ms;
	const char *s = conf_scalar(n);
	if (!s || !text_duration_ms(s, ms) || *ms < PAUSE_MIN_MS || *ms > CONF_PAUSE_LONGEST_MS)
		return conf_bad(r, n, "pause: a time from 1s to 24h is wanted here, as 5m");
	return 0;
}

/* Where lists of URLs are kept. */
static int store_set(const struct conf_reader *r, const yaml_node_t *at, struct conf_block *b)
{
	b->refresh_ms = b->refresh_ms ? b->refresh_ms : REFRESH_MS;
	for (size_t i = 0; i < b->n_lists; i++) {
		struct conf_list *l = &b->lists[i];
		if (!l->url)
			continue;
		if (!b->store)
			return conf_bad(r, at,
				"the list \"%s\" has a URL: \"store\" has to say in which folder it is kept",
				l->name);
		l->file = arena_printf(&r->c->arena, "%s/%s.list", b->store, l->name);
		if (!l->file)
			return conf_bad(r, at, "out of memory");
	}
	return 0;
}

int conf_block_key(struct conf_reader *r, yaml_node_t *n, void *into)
{
	static const struct conf_key keys[] = { { "lists", key_lists }, { "groups", key_groups },
		{ "answer", key_answer }, { "ttl", key_ttl }, { "store", key_store },
		{ "refresh", key_refresh }, { "pause", key_pause }, { 0 } };
	struct conf *c = into;
	int err = conf_keys(r, n, keys, &c->block);
	return err ? err : store_set(r, n, &c->block);
}
