/* A configuration: it is refused with a sentence, the same whether one fault is wanted or all of them, and leaves nothing behind
 * then; or what it says is within the bounds that its readers count on. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "resolver/block_words.h"
#include "resolver/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void blocking_check(const struct conf_block *b)
{
	must(b->n_lists <= BLOCK_LISTS_MAX && b->pause_ms && b->pause_ms <= CONF_PAUSE_LONGEST_MS);
	for (size_t i = 0; i < b->n_lists; i++) {
		const struct conf_list *l = &b->lists[i];
		must(l->name && (l->file != NULL) + (l->names != NULL) == 1);
		must(!l->url ||
			(block_words_is_url(l->url) && block_words_is_plain(l->name) && b->refresh_ms));
		for (size_t k = 0; k < i; k++)
			must(strcmp(b->lists[k].name, l->name) != 0);
		for (size_t k = 0; k < l->n_when; k++) {
			const struct block_hours *h = &l->when[k];
			unsigned begins = (unsigned)__builtin_ctz(h->days);
			must(h->days && h->days < 1 << 7 && h->from < HOURS_DAY_MIN &&
				h->end <= HOURS_DAY_MIN);
			must(block_hours_hold(h, begins, h->from));
		}
		for (size_t k = 0; l->names && k < l->n_names; k++)
			must(block_words_line(l->names[k], NULL) == 0 || trouble_happened());
	}
	for (size_t i = 0; i < b->n_groups; i++)
		must(b->groups[i].name && b->groups[i].n_clients &&
			(b->n_lists == BLOCK_LISTS_MAX || b->groups[i].lists >> b->n_lists == 0));
}

static void conf_check(const struct conf *c)
{
	const struct resolver_config own = { .own = c->listen, .n_own = c->n_listen };
	must(c->n_listen && (!c->n_page_listen || c->state) && (!c->keep_cache || c->state));
	must(!c->validate || c->anchors);
	for (size_t i = 0; i < c->n_page_listen; i++)
		must(conf_is_near(&c->page_listen[i].ip));
	for (size_t i = 0; i < c->n_routes; i++) {
		must(c->routes[i].suffix && c->routes[i].n_upstreams <= RESOLVER_UPSTREAMS_MAX);
		for (size_t k = 0; k < c->routes[i].n_upstreams; k++)
			must(!resolver_is_own(&own, &c->routes[i].upstreams[k].at));
	}
	for (size_t i = 0; i < c->n_names_from; i++)
		must(c->names_from[i].path);
	blocking_check(&c->block);
}

static void conf_target(const uint8_t *data, size_t len)
{
	struct conf c, again;
	struct errbuf eb = { 0 }, eb_again = { 0 };
	struct buf all = { 0 };
	trouble_begin();
	int err = conf_read_all("fuzz", (const char *)data, len, &c, &all, &eb);
	if (err) {
		must(eb.text[0] && (all.len || trouble_happened()));
		must(!c.arena.head && !c.listen && !c.routes && !c.records && !c.block.lists && !c.state);
	} else {
		conf_check(&c);
		struct zone *z = conf_zone("fuzz", &c, &eb);
		must(z || eb.text[0]);
		zone_put(z);
		conf_free(&c);
	}
	trouble_end();
	buf_free(&all);
	if (trouble_happened())
		return;
	int err_again = conf_read("fuzz", (const char *)data, len, &again, &eb_again);
	must(err == err_again && (!err || strcmp(eb.text, eb_again.text) == 0));
	if (!err)
		conf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(conf_target, data, len);
}
