/* Everything that can happen to questions in flight, in any order: askers, answers right and wrong, sockets
 * that fail, names in another case, time, clients that leave, new configurations, answers that are forgotten, lists that hold, do not, and are to come. Whoever was promised a reply gets exactly one, and
 * no socket is given back twice or never. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "resolver/block.h"
#include "resolver/flight.h"
#include "resolver/report.h"
#include "resolver/report_api.h"
#include "resolver/report_text.h"
#include "resolver/resolver.h"
#include "resolver/zone.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	CLIENTS = 256,
	END_MS = 60000,
	DAYS_MS = 2 * 86400 * 1000,
	INPUT_MAX = 512,
	CROWD = 1100,
	SENT_MAX = ATTEMPTS_MAX * (CROWD + INPUT_MAX),
	PLACES = 1 << 16
};

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
	bool lists_to_come, crowded;
	size_t n_sent;
	struct sent sent[SENT_MAX];
	uint16_t places[PLACES]; /* by id: place_of */
};

static bool may_have(void *arg, uint64_t client)
{
	(void)arg;
	return client % 16 != 11;
}

/* Has it a record of a name that our zone has? */
static bool is_of_ours(const uint8_t *msg, size_t len)
{
	static const struct dns_name ours[] = { { 5, "\1a\1m" }, { 5, "\1c\1m" }, { 5, "\1l\1m" } };
	size_t at = dns_name_skip(msg, len, DNS_HEADER) + 4;
	struct dns_rr rr;
	for (unsigned n = (unsigned)be_get(msg + 6, 2); n && dns_rr_next(msg, len, &at, &rr); n--)
		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			if (dns_name_is_at(msg, len, rr.name_at, &ours[i]))
				return true;
	return false;
}

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	if (client >= CLIENTS || !w->owed[client] || w->gone[client])
		abort();
	if (len < DNS_HEADER || !(msg[2] & 0x80) || (client & 1 ? len > DNS_MESSAGE_MAX : len > DNS_UDP_SIZE))
		abort();
	if (!may_have(NULL, client) && !trouble_happened() && is_of_ours(msg, len))
		abort();
	w->owed[client]--;
}

static void told(void *arg, const struct resolver_told *t)
{
	struct world *w = arg;
	must(t->client < CLIENTS && w->owed[t->client] && !w->gone[t->client] && t->rcode < 16);
	must(resolver_source_text(t->source)[0] && t->name->len && !t->name->b[t->name->len - 1]);
}

/* Where it stands which one has this id, or will: the number of it, from 1. */
static uint16_t *place_of(struct world *w, uint64_t id)
{
	size_t at = (size_t)(id * 0x9e3779b97f4a7c15 >> 48);
	while (w->places[at] && w->sent[w->places[at] - 1].id != id)
		at = (at + 1) % PLACES;
	return &w->places[at];
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
	*place_of(w, id) = (uint16_t)w->n_sent;
}

static struct sent *sent_find(struct world *w, uint64_t id)
{
	uint16_t nth = *place_of(w, id);
	must(nth);
	return &w->sent[nth - 1];
}

static void upstream_done(void *arg, uint64_t id)
{
	struct sent *s = sent_find(arg, id);
	if (!s->open)
		abort();
	s->open = false;
}

static uint32_t lists(void *arg, uint64_t client)
{
	return ((struct world *)arg)->lists >> (client & 1);
}

static void sooner(void *arg)
{
	(void)resolver_deadline(((struct world *)arg)->r);
}

/* Nothing but what memory that is short excuses. */
static void excuse(int err)
{
	if (err && !trouble_happened())
		abort();
}

/* One name that some of the others may lead to, for some clients and at times. */
static void block_give(struct world *w)
{
	static const uint64_t seed[2] = { 1, 2 };
	struct block *b = block_new(seed);
	struct errbuf eb;
	struct dns_name name;
	unsigned list, allows;
	bool ok = b && !block_list_add(b, "fuzz", false, &list) && dns_name_parse("y.a", &name) &&
		  !block_add(b, list, &name, BLOCK_NAME | BLOCK_BELOW) &&
		  !block_list_add(b, "good", true, &allows) && dns_name_parse("z.y.a", &name) &&
		  !block_add(b, allows, &name, BLOCK_NAME) &&
		  !block_add_regex(b, list, "^bad[0-9]", strlen("^bad[0-9]"), &eb);
	if (ok) {
		resolver_block_set(
			w->r, b, &(struct block_answer) { .kind = w->lists % (BLOCK_ANSWER_ADDRESS + 1) });
		w->lists_to_come = false;
	}
	block_put(b);
	excuse(!ok);
}

/* One that is refused, whole: the one of before stays. */
static void configure_wrongly(struct world *w, const struct resolver_config *good, unsigned how)
{
	static const char *const bad_name[] = { "a..b" };
	static const struct resolver_local_zone twice[] = { { "b", RESOLVER_REFUSE },
		{ "B", RESOLVER_REDIRECT } },
						bad_zone = { "a..b", RESOLVER_REFUSE };
	struct resolver_config c = *good;
	struct resolver_route routes[3] = { c.routes[0], c.routes[1] };
	struct errbuf eb = { 0 };
	c.routes = routes;
	switch (how % 6) {
	case 0: routes[1].suffix = "a..b"; break;
	case 1: routes[1].n_upstreams = RESOLVER_UPSTREAMS_MAX + 1; break;
	case 2:
		routes[2] = routes[1];
		c.n_routes = 3;
		break;
	case 3:
		c.private_ok = bad_name;
		c.n_private_ok = 1;
		break;
	case 4:
		c.local_zones = twice;
		c.n_local_zones = 2;
		break;
	case 5:
		c.local_zones = &bad_zone;
		c.n_local_zones = 1;
		break;
	}
	if (!resolver_configure(w->r, &c, &eb) || !eb.text[0])
		abort();
}

enum {
	HOW_VALIDATE = 0x40,
	HOW_PREFIX = 0x20, /* of a NAT64, else one is looked for: */
	HOW_FIND = 0x80,
	HOW_WORDS = 0x100,
	HOW_CAREFUL = 0x200, /* no private addresses, a site, and an upstream that is ourselves */
	HOW_FRESH = 0x400,   /* nothing stale, and no random case */
	HOW_WRONG = 0x800,
};

static void configure(struct world *w, unsigned how)
{
	static const struct dns_secure tls = { .name = "fuzz.test" },
				       https = { .by = DNS_SECURE_HTTPS, .name = "fuzz.test", .path = "/q" };
	static const char *const private_ok[] = { "ok.b", "x.b", "OK.b" };
	static const struct resolver_local_zone words[] = { { "rd.b", RESOLVER_REDIRECT },
		{ "rf.b", RESOLVER_REFUSE }, { "tr.b", RESOLVER_TRANSPARENT },
		{ "tt.b", RESOLVER_TYPETRANSPARENT }, { "nx.b", RESOLVER_ALWAYS_NXDOMAIN },
		{ "nd.b", RESOLVER_ALWAYS_NODATA }, { "ar.b", RESOLVER_ALWAYS_REFUSE },
		{ "nl.b", RESOLVER_ALWAYS_NULL }, { "at.b", RESOLVER_ALWAYS_TRANSPARENT } };
	const struct resolver_upstream up[3] = { { .at = { .ip = addr_v4(0xc0000201), .port = 53 } },
		{ .at = { .ip = addr_v4(0xc0000202), .port = 53 }, .trusted = true },
		{ .at = { .ip = addr_v4(0xc0000203), .port = 853 },
			.secure = how & HOW_FRESH ? &https : &tls } };
	const struct resolver_upstream site = { .at = { .ip = addr_v4(0xc0000204), .port = 53 },
		.site = true };
	struct resolver_route routes[] = {
		{ .suffix = "", .upstreams = up, .n_upstreams = how % 4, .validate = how & HOW_VALIDATE },
		{ .suffix = "b",
			.upstreams = up + 1,
			.n_upstreams = 1 + (how >> 2 & 1),
			.order = (how >> 3) % 3 }
	};
	struct resolver_config c = { .routes = routes, .n_routes = 2, .cache_bytes = 1 << 14 };
	if (how & HOW_PREFIX && !nat64_parse("64:ff9b::/96", &c.dns64))
		abort();
	c.dns64_find = (how & (HOW_PREFIX | HOW_FIND)) == HOW_FIND;
	c.local_zones = words;
	c.n_local_zones = how & HOW_WORDS ? sizeof(words) / sizeof(words[0]) : 0;
	c.lower_case = how & HOW_FRESH;
	c.stale_s = how & HOW_FRESH ? UINT32_MAX : 0;
	c.refuse_private = how & HOW_CAREFUL;
	if (how & HOW_CAREFUL) {
		c.private_ok = private_ok;
		c.n_private_ok = sizeof(private_ok) / sizeof(private_ok[0]);
		c.site = &site;
		c.own = &up[1].at;
		c.n_site = c.n_own = 1;
	}
	if (how & HOW_WRONG)
		configure_wrongly(w, &c, how);
	excuse(resolver_configure(w->r, &c, NULL));
}

static void zone_give(struct world *w)
{
	static const struct {
		const char *name, *rdata;
		uint8_t type, len;
	} rows[] = { { "c.m", "\1x\1b", DNS_CNAME, 5 }, { "l.m", "\1l\1m", DNS_CNAME, 5 },
		{ "*.w.m", "\1x\1y\1a", DNS_CNAME, 7 }, { "rd.b", "\300\0\2\7", DNS_A, 4 },
		{ "s.tt.b", "\300\0\2\7", DNS_A, 4 }, { "s.tr.b", "\300\0\2\7", DNS_A, 4 },
		{ "s.rf.b", "\300\0\2\7", DNS_A, 4 }, { "i.b", "\3bad\1a", DNS_CNAME, 7 },
		{ "d.b", "\11localhost", DNS_CNAME, 11 } };
	struct addr ip = addr_v4(0x64400001);
	struct dns_name alias;
	struct zone *z = zone_new();
	bool ok = z && !zone_add_authority(z, "m") && !zone_add_address(z, "a.m", &ip, true);
	for (size_t i = 0; ok && i < sizeof(rows) / sizeof(rows[0]); i++)
		ok = dns_name_parse(rows[i].name, &alias) &&
		     !zone_add_record(z, &alias, rows[i].type, (const uint8_t *)rows[i].rdata, rows[i].len);
	if (ok) {
		zone_via6_names(z);
		resolver_zone_set(w->r, z);
	}
	zone_put(z);
	excuse(!ok);
}

static const char *const names[] = { "x.b", "y.b", "x.y.a", "c.m", "a.m", "q.a", "b", "z.c.b", "s.rd.b",
	"s.rf.b", "x.rf.b", "s.tr.b", "s.tt.b", "x.nx.b", "x.nd.b", "x.ar.b", "x.nl.b", "s.at.b", "l.m",
	"x.w.m", "m", "10-1-1-16-via-7.m", "localhost", "single", "x.local", "x.onion", "ok.b", "bad1.a",
	"d.b", "7.2.0.192.in-addr.arpa", "use-application-dns.net",
	"1.0.0.0.7.0.0.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa" };

static void ask_name(struct world *w, uint64_t client, const char *text, struct dns_ask q)
{
	uint8_t msg[DNS_ASK_MAX];
	struct dns_name name;
	if (w->gone[client] || w->owed[client] == UINT8_MAX || !dns_name_parse(text, &name))
		return;
	q.name = &name;
	w->owed[client]++;
	if (!resolver_query(w->r, w->now_ms, client, msg, dns_ask_write(msg, &q), client & 1))
		abort();
}

enum { ASK_ADDRESS = 8, ASK_EDNS = 16, ASK_DO = 32, ASK_SIX = 256, ASK_OTHER = 512, ASK_CD = 1024 };

static void ask(struct world *w, unsigned what)
{
	static const uint16_t others[] = { DNS_PTR, DNS_PTR, DNS_SOA, DNS_HTTPS, DNS_NS, DNS_SVCB, DNS_ANY,
		DNS_MX };
	struct dns_ask q = { .id = (uint16_t)what, .type = DNS_CNAME };
	if (what & ASK_ADDRESS)
		q.type = what & ASK_SIX ? DNS_AAAA : DNS_A;
	else if (what & ASK_OTHER)
		q.type = others[what >> 5 & 7];
	q.edns = what & ASK_EDNS;
	q.dnssec_ok = what & ASK_DO;
	q.cd = what & ASK_CD;
	ask_name(w, what & (CLIENTS - 1), names[(what & 7) | (what >> 8 & 0x18)], q);
}

/* More at once than there is room for. */
static void crowd_come(struct world *w)
{
	if (w->crowded)
		return;
	w->crowded = true;
	for (unsigned i = 0; i < CROWD; i++) {
		char text[16];
		struct dns_ask q = { .id = (uint16_t)i, .type = DNS_A };
		snprintf(text, sizeof(text), "n%u.b", i);
		ask_name(w, i % CLIENTS, text, q);
	}
}

/* What we asked comes back to us. */
static void ring(struct world *w, unsigned which)
{
	struct sent *s = w->n_sent ? &w->sent[w->n_sent - 1 - which % w->n_sent] : NULL;
	uint64_t client = which & (CLIENTS - 1);
	if (!s || w->gone[client] || w->owed[client] == UINT8_MAX)
		return;
	w->owed[client]++;
	if (!resolver_query(w->r, w->now_ms, client, s->msg, s->len, client & 1))
		abort();
}

/* The servers, as a tool has them from us. */
static void servers_tell(const struct world *w, size_t routes)
{
	struct arena a = { 0 }, back = { 0 };
	struct api_dns_servers m, read;
	struct buf wire = { 0 }, text = { 0 };
	struct errbuf eb;
	bool ok = report_api_servers(&a, w->r, w->now_ms, &m) && api_dns_servers_write(&wire, &m);
	if (ok && api_dns_servers_read(&back, (const char *)buf_data(&wire), wire.len, &read, &eb) == 0) {
		must(read.n_routes == routes && read.cache_bytes == m.cache_bytes);
		for (size_t i = 0; i < routes; i++)
			must(strcmp(read.routes[i].suffix, m.routes[i].suffix) == 0 &&
				read.routes[i].n_servers == m.routes[i].n_servers);
		report_text_servers(&text, &read);
	} else {
		must(trouble_happened());
	}
	buf_free(&wire);
	buf_free(&text);
	arena_free(&a);
	arena_free(&back);
}

/* What others see of it. */
static void report(struct world *w, unsigned what)
{
	static struct resolver_route_report route;
	static struct resolver_way way;
	const uint8_t no_answer[DNS_HEADER] = { [3] = DNS_SERVFAIL };
	struct endpoint rings[2];
	char text[DNS_SECURE_TEXT];
	size_t n, routes = 0;
	for (; resolver_route_report(w->r, w->now_ms, routes, &route); routes++)
		for (size_t k = 0; k < route.n; k++) {
			must(resolver_server_text(&route.servers[k], text)[0]);
			must(resolver_health_text(route.servers[k].health)[0]);
			must(!route.servers[k].fault == !resolver_fault_text(route.servers[k].fault)[0]);
		}
	must(resolver_rings(w->r, rings, 2) <= 4 && !resolver_way(w->r, w->now_ms, "a..b", DNS_A, &way));
	must(resolver_flush(w->r, "a..b", what & 64, &n) == ERR_MALFORMED);
	must(resolver_way(w->r, w->now_ms, names[what & 31], what & 32 ? DNS_AAAA : DNS_A, &way));
	enum resolver_source went = resolver_way_went(&way, no_answer, sizeof(no_answer));
	must(went == way.source || went == RESOLVER_FROM_NOWHERE);
	must(resolver_source_text(went)[0] && (!way.has_route || resolver_order_text(way.route.order)[0]));
	(void)resolver_dns64(w->r);
	servers_tell(w, routes);
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

/* Records of answers as servers give them, after the name's pointer: type, class, time to live, data. */
static const struct {
	const char *wire;
	uint8_t len;
} records[] = { { "\0\1\0\1\0\0\0\74\0\4\306\63\144\7", 14 }, /* 198.51.100.7 */
	{ "\0\1\0\1\0\0\0\74\0\4\12\0\0\1", 14 },	      /* 10.0.0.1 */
	{ "\0\34\0\1\0\0\0\74\0\20\0\144\377\233\0\0\0\0\0\0\0\0\300\0\0\252",
		26 },							       /* 64:ff9b::192.0.0.170 */
	{ "\0\34\0\1\0\0\0\74\0\20\0\0\0\0\0\0\0\0\0\0\377\377\1\2\3\4", 26 }, /* ::ffff:1.2.3.4 */
	{ "\0\5\0\1\0\0\0\74\0\5\1y\1a", 15 }, { "\0\5\0\1\0\0\0\74\0\5\1a\1m", 15 },
	{ "\0\101\0\1\0\0\0\74\0\13\0\1\0\0\4\0\4\12\0\0\1", 21 }, /* HTTPS with ipv4hint=10.0.0.1 */
	{ "\0\6\0\1\0\0\0\74\0\30\300\14\300\14\0\0\0\1\0\0\16\20\0\0\16\20\0\0\16\20\0\0\0\12", 34 } };

enum { MADE_CUT = 8, MADE_SIGNED = 16, MADE_TWO = 32, MADE_LONG = 64 };

/* An answer to what was sent, of one record or two. how: which record, and the above; rcode: the low four bits of more. */
static void answer_made(struct world *w, unsigned which, struct rd *r)
{
	static const uint8_t pointer[2] = { 0xc0, DNS_HEADER };
	uint8_t msg[2048];
	unsigned how = rd_u8(r), more = rd_u8(r), n = how & MADE_LONG ? 40 : how & MADE_TWO ? 2 : 1;
	struct sent *s = w->n_sent ? &w->sent[w->n_sent - 1 - which % w->n_sent] : NULL;
	if (!s || r->bad)
		return;
	size_t question = dns_name_skip(s->msg, s->len, DNS_HEADER) + 4;
	struct wr out = wr_of(msg, sizeof(msg));
	bool authority = (how & 7) == 7;
	wr_bytes(&out, s->msg, 2);
	wr_u16(&out, 0x8180 | (how & MADE_CUT ? DNS_TC : 0) | (how & MADE_SIGNED ? DNS_AD : 0) | (more & 15));
	wr_u16(&out, 1);
	wr_u16(&out, authority ? 0 : n);
	wr_u16(&out, authority ? n : 0);
	wr_u16(&out, 0);
	wr_bytes(&out, s->msg + DNS_HEADER, question - DNS_HEADER);
	for (unsigned i = 0; i < n; i++) {
		unsigned k = authority ? 7 : (how + i * (more >> 4)) % 7;
		wr_bytes(&out, pointer, sizeof(pointer));
		wr_bytes(&out, records[k].wire, records[k].len);
	}
	if (!out.bad)
		resolver_upstream_received(w->r, w->now_ms, s->id, msg, out.len);
}

static void fail(struct world *w, unsigned which)
{
	static const int codes[] = { -ECONNREFUSED, -ENETUNREACH, -EMFILE, -1000, ERR_CRYPTO, ERR_UNSUPPORTED,
		-EPROTO };
	if (w->n_sent)
		resolver_upstream_failed(w->r, w->now_ms, w->sent[w->n_sent - 1 - which % w->n_sent].id,
			codes[which % (sizeof(codes) / sizeof(codes[0]))]);
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

/* What else may happen; `more`: in which way a configuration is another, or 0. */
static void change(struct world *w, unsigned what, unsigned more)
{
	size_t flushed;
	w->lists = what & 3;
	if (more)
		configure(w, what | more << 8);
	else if (what == 0xff)
		(void)resolver_flush(w->r, "b", true, &flushed);
	else if (what & 0x80)
		resolver_network_changed(w->r);
	else if (what & 0x40)
		doubt(w, what);
	else
		configure(w, what);
}

static void leave(struct world *w, unsigned client)
{
	w->gone[client] = true;
	w->owed[client] = 0;
	resolver_client_gone(w->r, client);
}

/* The upper bits of the first byte, where it has some. */
enum {
	OP_FOLD = 8,
	OP_MADE = 16,
	OP_WAIT = 8,
	OP_GIVE = 16,
	OP_LONG = 32,
	OP_RING = 8,
	OP_CROWD = 16,
	OP_REPORT = 32
};

static void step(struct world *w, struct rd *r)
{
	unsigned op = rd_u8(r), what = rd_u8(r);
	switch (op & 7) {
	case 0:
	case 1: ask(w, what | (op & 0xf8) << 5); break;
	case 2:
	case 3:
		if (op & OP_MADE)
			answer_made(w, what, r);
		else
			answer(w, what, op & OP_FOLD, r);
		break;
	case 4: fail(w, what); break;
	case 5:
		if (op & OP_WAIT)
			block_wait(w);
		if (op & OP_GIVE)
			block_give(w);
		pass(w, what * (op & OP_LONG ? 8000ULL : 8));
		break;
	case 6:
		if (op & OP_RING)
			ring(w, what);
		else if (op & OP_CROWD && what < 16) /* it takes long */
			crowd_come(w);
		else if (op & OP_REPORT)
			report(w, what);
		else
			leave(w, what);
		break;
	case 7: change(w, what, op >> 3); break;
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
		.may_have = may_have,
		.told = told,
		.sooner = sooner,
		.case_changes = resolver_case_say,
		.arg = w };
	log_setup(LOG_ERROR, false);
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
	memset(w->places, 0, sizeof(w->places));
	w->crowded = false;
	memset(w->gone, 0, sizeof(w->gone));
	configure(w, 1);
}

static void flight_target(const uint8_t *data, size_t len)
{
	static struct world w;
	struct rd r = rd_of(data, len < INPUT_MAX ? len : INPUT_MAX);
	if (!w.r)
		make(&w);
	reset(&w);
	trouble_begin();
	while (r.left && !r.bad)
		step(&w, &r);
	trouble_end();
	pass(&w, END_MS);
	configure(&w, 1); /* which looks for no prefix: that asks again and again */
	pass(&w, END_MS);
	pass(&w, END_MS); /* checks that began with the end of questions */
	for (size_t i = 0; i < CLIENTS; i++)
		if (w.owed[i])
			abort();
	for (size_t i = 0; i < w.n_sent; i++)
		if (w.sent[i].open)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(flight_target, data, len);
}
