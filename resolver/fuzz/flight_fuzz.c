/* Everything that can happen to questions in flight, in any order: askers, answers right and wrong, sockets
 * that fail, names in another case, time, clients that leave, new configurations, answers that are forgotten, lists that hold, do not, and are to come. Whoever was promised a reply gets exactly one, and
 * no socket is given back twice or never. */
#include "resolver/block.h"
#include "resolver/resolver.h"
#include "resolver/zone.h"
#include <stdlib.h>

enum { CLIENTS = 256, SENT_MAX = 4096, END_MS = 60000, DAYS_MS = 2 * 86400 * 1000, INPUT_MAX = 512 };

struct sent {
	uint64_t id;
	bool open;
	size_t len;
	uint8_t msg[DNS_ASK_MAX];
};
struct world {
	struct resolver *r;
	uint64_t now_ms;
	uint8_t owed[CLIENTS]; /* replies */
	bool gone[CLIENTS];
	uint32_t lists;
	bool lists_to_come;
	size_t n_sent;
	struct sent sent[SENT_MAX];
};

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	if (client >= CLIENTS || !w->owed[client] || w->gone[client])
		abort();
	if (len < DNS_HEADER || !(msg[2] & 0x80) || (client & 1 ? len > DNS_MESSAGE_MAX : len > DNS_UDP_SIZE))
		abort();
	w->owed[client]--;
}

static void upstream_send(
	void *arg, uint64_t id, const struct resolver_target *to, const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	(void)to;
	if (w->n_sent == SENT_MAX)
		abort(); /* far more than the clients' questions can cause */
	struct sent *s = &w->sent[w->n_sent++];
	*s = (struct sent) { .id = id, .open = true, .len = len };
	memcpy(s->msg, msg, len);
}

static void upstream_done(void *arg, uint64_t id)
{
	struct world *w = arg;
	for (size_t i = w->n_sent; i-- > 0;)
		if (w->sent[i].id == id) {
			if (!w->sent[i].open)
				abort();
			w->sent[i].open = false;
			return;
		}
	abort();
}

static uint32_t lists(void *arg, uint64_t client)
{
	return ((struct world *)arg)->lists >> (client & 1);
}

/* One name that some of the others may lead to, for some clients and at times. */
static void block_give(struct world *w)
{
	static const uint64_t seed[2] = { 1, 2 };
	struct block *b = block_new(seed);
	struct dns_name name;
	unsigned list;
	if (!b || block_list_add(b, "fuzz", false, &list) || !dns_name_parse("y.a", &name) ||
		block_add(b, list, &name, BLOCK_NAME | BLOCK_BELOW))
		abort();
	resolver_block_set(w->r, b, &(struct block_answer) { .kind = BLOCK_ANSWER_NXDOMAIN });
	w->lists_to_come = false;
	block_put(b);
}

static void configure(struct world *w, unsigned how)
{
	static const struct dns_secure secure = { .name = "fuzz.test" };
	struct resolver_upstream up[3] = { { .at = { .ip = addr_v4(0xc0000201), .port = 53 } },
		{ .at = { .ip = addr_v4(0xc0000202), .port = 53 }, .trusted = true },
		{ .at = { .ip = addr_v4(0xc0000203), .port = 853 }, .secure = &secure } };
	struct resolver_route routes[] = {
		{ .suffix = "", .upstreams = up, .n_upstreams = how % 4, .validate = how >> 6 & 1 },
		{ .suffix = "b",
			.upstreams = up + 1,
			.n_upstreams = 1 + (how >> 2 & 1),
			.order = (how >> 3) % 3 }
	};
	struct resolver_config c = { .routes = routes, .n_routes = 2, .cache_bytes = 1 << 14 };
	c.dns64_find = (how & 0x60) == 0x40;
	if (how >> 5 & 1 && !nat64_parse("64:ff9b::/96", &c.dns64))
		abort();
	if (resolver_configure(w->r, &c, NULL))
		abort();
}

static void zone_give(struct world *w)
{
	struct addr ip = addr_v4(0x64400001);
	struct dns_name alias;
	struct zone *z = zone_new();
	if (!z || !dns_name_parse("c.m", &alias) || zone_add_authority(z, "m") ||
		zone_add_address(z, "a.m", &ip, true) ||
		zone_add_record(z, &alias, DNS_CNAME, (const uint8_t *)"\1x\1b", 5))
		abort();
	resolver_zone_set(w->r, z);
	zone_put(z);
}

static void ask(struct world *w, unsigned what)
{
	static const char *const names[] = { "x.b", "y.b", "x.y.a", "c.m", "a.m", "q.a", "b", "z.c.b" };
	uint64_t client = what & (CLIENTS - 1);
	uint8_t msg[DNS_ASK_MAX];
	struct dns_name name;
	(void)dns_name_parse(names[what & 7], &name);
	struct dns_ask q = { .id = (uint16_t)what, .type = DNS_CNAME, .name = &name };
	if (what & 8)
		q.type = what & 256 ? DNS_AAAA : DNS_A;
	q.edns = what & 16;
	q.dnssec_ok = what & 32;
	if (w->gone[client] || w->owed[client] == UINT8_MAX)
		return;
	w->owed[client]++;
	if (!resolver_query(w->r, w->now_ms, client, msg, dns_ask_write(msg, &q), client & 1))
		abort();
}

/* The bytes of the input after a true id and question, so that the rest is reached. */
static void answer(struct world *w, unsigned which, bool fold, struct rd *r)
{
	uint8_t msg[1024];
	struct sent *s = w->n_sent ? &w->sent[w->n_sent - 1 - which % w->n_sent] : NULL;
	size_t n = rd_u8(r), question = s ? dns_name_skip(s->msg, s->len, DNS_HEADER) + 4 : 0;
	n = n < r->left ? n : r->left;
	const uint8_t *rest = rd_take(r, n);
	if (!s || !rest || r->bad || n < DNS_HEADER - 2)
		return;
	memcpy(msg, s->msg, question);
	if (fold)
		dns_fold(msg + DNS_HEADER, msg + DNS_HEADER, question - 4 - DNS_HEADER);
	memcpy(msg + 2, rest, DNS_HEADER - 2);
	msg[2] |= 0x80;
	msg[4] = 0;
	msg[5] = 1;
	memcpy(msg + question, rest + DNS_HEADER - 2, n - (DNS_HEADER - 2));
	resolver_upstream_received(w->r, w->now_ms, s->id, msg, question + n - (DNS_HEADER - 2));
}

static void fail(struct world *w, unsigned which)
{
	static const int codes[] = { -111, -101, -24, -1000 };
	if (w->n_sent)
		resolver_upstream_failed(
			w->r, w->now_ms, w->sent[w->n_sent - 1 - which % w->n_sent].id, codes[which & 3]);
}

static void pass(struct world *w, uint64_t ms)
{
	w->now_ms += ms;
	for (unsigned n = 0; !n || resolver_deadline(w->r) <= w->now_ms; n++) {
		if (n > SENT_MAX)
			abort();
		resolver_tick(w->r, w->now_ms);
	}
}

static void block_wait(struct world *w)
{
	w->lists_to_come = true;
	resolver_block_wait(w->r);
}

static void doubt(struct world *w, unsigned which)
{
	struct addr ip = addr_v4(0xc0000201 + which % 3);
	resolver_upstream_doubted(w->r, w->now_ms, &ip);
}

static void step(struct world *w, struct rd *r)
{
	unsigned op = rd_u8(r), what = rd_u8(r);
	size_t flushed;
	switch (op & 7) {
	case 0:
	case 1: ask(w, what | (op & 0xf8) << 5); break;
	case 2:
	case 3: answer(w, what, op & 8, r); break;
	case 4: fail(w, what); break;
	case 5:
		if (op & 8)
			block_wait(w);
		if (op & 16)
			block_give(w);
		pass(w, what * 8);
		break;
	case 6:
		w->gone[what] = true;
		w->owed[what] = 0;
		resolver_client_gone(w->r, what);
		break;
	case 7:
		w->lists = what & 3;
		if (what == 0xff)
			(void)resolver_flush(w->r, "b", true, &flushed);
		else if (what & 0x80)
			resolver_network_changed(w->r);
		else if (what & 0x40)
			doubt(w, what);
		else
			configure(w, what);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* An input does the same each time: every other letter is in upper case. */
static void always(void *arg, void *buf, size_t len)
{
	(void)arg;
	memset(buf, 0xaa, len);
}

static void make(struct world *w)
{
	static const struct random rnd = { .fill = always };
	struct resolver_ops ops = { .reply = reply,
		.upstream_send = upstream_send,
		.upstream_done = upstream_done,
		.lists = lists,
		.arg = w };
	w->now_ms = 1000;
	w->r = key_setup() ? resolver_new(&ops, &rnd) : NULL;
	if (!w->r)
		abort();
	zone_give(w);
	block_give(w);
}

/* One resolver for all inputs: a new one is too slow. Without upstreams, and days later, it remembers
 * nothing.
 */
static void reset(struct world *w)
{
	if (resolver_configure(w->r, &(struct resolver_config) { 0 }, NULL))
		abort();
	if (w->lists_to_come)
		block_give(w);
	w->now_ms += DAYS_MS;
	w->n_sent = 0;
	memset(w->gone, 0, sizeof(w->gone));
	configure(w, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct world w;
	struct rd r = rd_of(data, len < INPUT_MAX ? len : INPUT_MAX);
	if (!w.r)
		make(&w);
	reset(&w);
	while (r.left && !r.bad)
		step(&w, &r);
	pass(&w, END_MS);
	pass(&w, END_MS); /* checks that began with the end of questions */
	for (size_t i = 0; i < CLIENTS; i++)
		if (w.owed[i])
			abort();
	for (size_t i = 0; i < w.n_sent; i++)
		if (w.sent[i].open)
			abort();
	return 0;
}
