/* A file of answers that were kept, with the hash it should have: it is taken whole or not at all, and what was taken is
 * answered, and written and read again. */
#include "resolver/keep.h"

#include "mesh/base/blake2s.h"
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "resolver/core.h"
#include "resolver/report.h"
#include <stdlib.h>

enum { HASH_LEN = 32, INPUT_MAX = 1 << 16, UNIX_MS = 1000000000, NOW_MS = 1000, STEP = 16 };

struct world {
	struct resolver *r;
	size_t replies;
};

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	(void)client;
	((struct world *)arg)->replies++;
	if (len < DNS_HEADER || len > DNS_UDP_SIZE || !(msg[2] & 0x80))
		abort();
}
static void upstream_send(
	void *arg, uint64_t id, const struct resolver_target *to, const uint8_t *msg, size_t len)
{
	(void)arg, (void)id, (void)to, (void)msg, (void)len;
}
static void upstream_done(void *arg, uint64_t id)
{
	(void)arg, (void)id;
}

static void open_world(struct world *w)
{
	struct resolver_ops ops = {
		.reply = reply, .upstream_send = upstream_send, .upstream_done = upstream_done, .arg = w
	};
	struct resolver_upstream up = { .at = { .ip = addr_v4(0xc0000201), .port = 53 } };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	*w = (struct world) { .r = key_setup() ? resolver_new(&ops, &random_system) : NULL };
	if (!w->r ||
		resolver_configure(w->r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL))
		abort();
}

static void ask(void *arg, const struct cache_seen *s)
{
	struct world *w = arg;
	uint8_t msg[DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN];
	struct dns_ask asked = { .type = s->type,
		.name = &s->name,
		.edns = true,
		.dnssec_ok = s->dnssec_ok,
		.cd = s->checking_disabled };
	size_t before = w->replies, len = dns_ask_write(msg, &asked);
	if (!resolver_query(w->r, NOW_MS, 1, msg, len, false) || w->replies > before + 1)
		abort();
	resolver_client_gone(w->r, 1);
}

static void forget(struct world *w)
{
	size_t n;
	if (resolver_flush(w->r, NULL, false, &n) || resolver_cache_bytes(w->r))
		abort();
}

/* What was taken is an answer to its question, as good as one that came. */
static void use(struct world *w, const struct keep_rules *rules)
{
	static struct world again;
	struct keep_writer out = { 0 };
	size_t bucket = 0;
	if (!again.r)
		open_world(&again);
	(void)cache_walk(w->r->cache, &bucket, SIZE_MAX, NOW_MS, &(struct cache_look) { ask, w });
	trouble_begin();
	if (keep_begin(&out, w->r, rules, NOW_MS, UNIX_MS)) {
		while (keep_go_on(&out, w->r, STEP))
			;
		bool ok = keep_end(&out) && keep_read(again.r, rules, NOW_MS, UNIX_MS, buf_data(&out.out),
						    out.out.len, NULL) == 0;
		must(ok || trouble_happened());
		forget(&again);
	} else {
		must(trouble_happened());
	}
	trouble_end();
	keep_free(&out);
}

static void target(const uint8_t *data, size_t len)
{
	static uint8_t text[INPUT_MAX + HASH_LEN];
	static struct world w;
	const struct keep_rules rules = { .moves = false };
	if (len > INPUT_MAX)
		return;
	if (!w.r)
		open_world(&w);
	const struct resolver_stats before = *resolver_stats(w.r), *now = resolver_stats(w.r);
	memcpy(text, data, len);
	const struct noise_part all = { text, len };
	blake2s_hash(&all, 1, text + len);
	trouble_begin();
	int err = keep_read(w.r, &rules, NOW_MS, UNIX_MS, text, len + HASH_LEN, NULL);
	trouble_end();
	bool took = now->kept != before.kept || now->kept_left != before.kept_left;
	if (now->kept_bad != before.kept_bad + (err != 0) || (err && (took || resolver_cache_bytes(w.r))))
		abort();
	if (!err)
		use(&w, &rules);
	forget(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(target, data, len);
}
