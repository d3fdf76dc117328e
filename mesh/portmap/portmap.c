/* The phases.
 *
 * IDLE    no router that could be asked: no default route, or no private address of ours behind it.
 * SEARCH  all protocols are asked whether they are there, a few times. The first answer of PCP ends it; one of NAT-PMP
 *         alone waits PCP_GRACE_MS for PCP's, or for the word that only NAT-PMP is spoken; one of UPnP, UPNP_GRACE_MS
 *         for either.
 * ASK     by one protocol, for a mapping or for its renewal, again and again after a gap that grows. Refused: the next
 *         protocol. No answer: the same, but a mapping that is held is asked for longer, for a router that restarts is
 *         silent a while.
 * HELD    the port is ours. Asked for again at half of its life, at each doubt, and each CHECK_MS: a renewal is 12 or
 *         60 bytes (by UPnP a few calls, and so less often), makes the mapping anew where the router has lost it, and tells when its outer address is another.
 * REST    nobody there, or all refuse. Searched again after rest_ms, which doubles.
 *
 * A router that has restarted, or has another outer address, says so to all hosts (RFC 6886 section 3.2.1, RFC 6887
 * section 14.1): each such word is a doubt. Its epoch is not looked at: asking makes anew what was lost, and costs one
 * packet where nothing was.
 *
 * An outer address that is not of the public network is another NAT's inside: no peer could reach us there, so the
 * mapping is given back and the search rests. */
#include "mesh/portmap/portmap.h"

#include "mesh/base/err.h"
#include <assert.h>
#include <stdio.h>

enum {
	LIFETIME_S = 7200,
	LIFETIME_MAX_S = 86400, /* whatever a router promises */
	TRIES = 4,
	TRIES_HELD = 30,
	GAP_MS = 250,
	GAP_MAX_MS = 1000,
	PCP_GRACE_MS = 50,
	UPNP_GRACE_MS = 300,
	UPNP_WAIT_MS = 60000, /* the driver has bounds of its own */
	CHECK_MS = 60000,
	UPNP_CHECK_MS = 300000,
	RENEW_MIN_MS = 1000,
	DOUBT_GAP_MS = 1000,
	SEARCH_GAP_MS = 10000, /* of doubts */
	REST_MS = 5000,
	REST_MAX_MS = 300000,
	UDP = 17
};

static const char *const protocol_names[] = {
	[PORTMAP_PCP] = "PCP", [PORTMAP_PMP] = "NAT-PMP", [PORTMAP_UPNP] = "UPnP"
};
static_assert(ARRAY_LEN(protocol_names) == PORTMAP_PROTOCOLS, "a protocol has no name");

const char *portmap_protocol_name(enum portmap_protocol p)
{
	return protocol_names[p];
}

static bool is_six(const struct portmap *m)
{
	return !addr_is_v4(&m->router.self);
}

static bool is_public(const struct portmap *m, const struct addr *a)
{
	return is_six(m) ? router_address_is_public6(a) : router_address_is_public(a);
}

static void set_answer(struct portmap *m, enum portmap_protocol p, enum portmap_answer a)
{
	if (m->answers[p] == a)
		return;
	m->answers[p] = a;
	m->news = true;
}

static void forget_mapping(struct portmap *m)
{
	m->news |= endpoint_is_set(&m->mapped);
	m->mapped = (struct endpoint) { 0 };
}

/* --- what is said --- */

static struct router_wish make_wish(const struct portmap *m, uint32_t lifetime_s)
{
	struct router_wish w = { .inner = m->router.port,
		.outer = endpoint_is_set(&m->mapped) ? m->mapped.port : m->router.port,
		.lifetime_s = lifetime_s,
		.self = m->router.self };
	if (endpoint_is_set(&m->mapped))
		w.address = m->mapped.ip;
	else if (is_six(m)) /* a firewall leaves it as it is */
		w.address = m->router.self;
	memcpy(w.nonce, m->nonce, sizeof(w.nonce));
	return w;
}

static void send_written(struct portmap *m, const struct wr *w)
{
	if (!w->bad)
		m->ops.send(m->ops.arg, w->p, w->len);
}

static void send_map(struct portmap *m, uint32_t lifetime_s)
{
	uint8_t b[ROUTER_REQUEST_MAX];
	struct wr w = wr_of(b, sizeof(b));
	struct router_wish wish = make_wish(m, lifetime_s);

	if (m->by == PORTMAP_UPNP) {
		m->ops.upnp_map(m->ops.arg, &wish);
		return;
	}
	if (m->by == PORTMAP_PCP)
		pcp_write_map(&w, &wish);
	else
		pmp_write_map(&w, &wish);
	send_written(m, &w);
}

/* PCP and NAT-PMP know a mapping by our side of it; UPnP by the outer port, which is another host's until it is given
 * to us. outer 0: none was. */
static void give_back(struct portmap *m, uint16_t outer)
{
	if (m->by != PORTMAP_UPNP)
		send_map(m, 0);
	else if (outer)
		m->ops.upnp_unmap(m->ops.arg, outer);
}

static void send_pmp_address(struct portmap *m)
{
	uint8_t b[ROUTER_REQUEST_MAX];
	struct wr w = wr_of(b, sizeof(b));

	pmp_write_address(&w);
	send_written(m, &w);
}

static void send_pcp_announce(struct portmap *m)
{
	uint8_t b[ROUTER_REQUEST_MAX];
	struct wr w = wr_of(b, sizeof(b));

	pcp_write_announce(&w, &m->router.self);
	send_written(m, &w);
}

/* --- the phases --- */

static uint64_t next_gap(const struct portmap *m)
{
	return m->tries >= 3 ? GAP_MAX_MS : (uint64_t)GAP_MS << (m->tries - 1);
}

static void search_send(struct portmap *m, uint64_t now_ms)
{
	if (m->answers[PORTMAP_PCP] == PORTMAP_UNKNOWN)
		send_pcp_announce(m);
	if (m->answers[PORTMAP_PMP] == PORTMAP_UNKNOWN)
		send_pmp_address(m);
	m->tries++;
	m->next_ms = now_ms + next_gap(m);
}

static void search_begin(struct portmap *m, uint64_t now_ms)
{
	m->phase = PORTMAP_SEARCH;
	m->tries = 0;
	m->searched_ms = now_ms;
	memset(m->answers, 0, sizeof(m->answers)); /* is_there says what was, until the search has ended */
	if (is_six(m))
		m->answers[PORTMAP_PMP] = m->answers[PORTMAP_UPNP] = PORTMAP_ABSENT;
	else
		m->ops.upnp_search(m->ops.arg);
	search_send(m, now_ms);
}

static void rest_begin(struct portmap *m, uint64_t now_ms)
{
	forget_mapping(m);
	m->phase = PORTMAP_REST;
	m->next_ms = now_ms + m->rest_ms;
	m->rest_ms = m->rest_ms < REST_MAX_MS / 2 ? m->rest_ms * 2 : REST_MAX_MS;
}

static void ask_send(struct portmap *m, uint64_t now_ms)
{
	if (m->by == PORTMAP_PMP && !m->address_told)
		send_pmp_address(m);
	if (!m->port_granted)
		send_map(m, LIFETIME_S);
	m->tries++;
	m->next_ms = now_ms + next_gap(m);
	if (m->by == PORTMAP_UPNP) { /* once: it always comes to an end */
		m->tries = TRIES_HELD;
		m->next_ms = now_ms + UPNP_WAIT_MS;
	}
}

static void ask_begin(struct portmap *m, uint64_t now_ms)
{
	m->phase = PORTMAP_ASK;
	m->tries = 0;
	m->asked_ms = now_ms;
	m->port_granted = m->address_told = false;
	ask_send(m, now_ms);
}

/* The best of those that are there and have not refused; else rest. */
static void ask_next(struct portmap *m, uint64_t now_ms)
{
	m->news |= !m->searched;
	m->searched = true;
	for (int p = 0; p < PORTMAP_PROTOCOLS; p++) {
		if (m->answers[p] == PORTMAP_THERE) {
			m->by = (enum portmap_protocol)p;
			ask_begin(m, now_ms);
			return;
		}
	}
	rest_begin(m, now_ms);
}

static void refuse(struct portmap *m, uint64_t now_ms, const char *why)
{
	snprintf(m->refusals[m->by], sizeof(m->refusals[m->by]), "%s", why);
	set_answer(m, m->by, PORTMAP_REFUSES);
	forget_mapping(m);
	ask_next(m, now_ms);
}

static void ask_unanswered(struct portmap *m, uint64_t now_ms)
{
	if (endpoint_is_set(&m->mapped)) { /* it may be there still; its time will end */
		m->phase = PORTMAP_HELD;
		m->next_ms = now_ms + CHECK_MS;
	} else {
		refuse(m, now_ms, "no answer to a request");
	}
}

static void held_begin(struct portmap *m, uint64_t now_ms)
{
	struct endpoint at = { .ip = m->granted.address, .port = m->granted.outer };
	uint64_t life_ms =
		1000ull * (m->granted.lifetime_s < LIFETIME_MAX_S ? m->granted.lifetime_s : LIFETIME_MAX_S);

	m->phase = PORTMAP_HELD;
	m->rest_ms = REST_MS;
	m->expires_ms = m->asked_ms + life_ms;
	m->renew_ms = now_ms + (life_ms / 2 > RENEW_MIN_MS ? life_ms / 2 : RENEW_MIN_MS);
	m->next_ms = now_ms + (m->by == PORTMAP_UPNP ? UPNP_CHECK_MS : CHECK_MS);
	if (m->renew_ms < m->next_ms)
		m->next_ms = m->renew_ms;
	m->news |= !endpoint_equal(&m->mapped, &at);
	m->mapped = at;
}

static void granted(struct portmap *m, uint64_t now_ms)
{
	if (!m->port_granted || !m->address_told)
		return;
	m->outer = m->granted.address;
	if (!is_public(m, &m->granted.address)) {
		if (m->granted.outer)
			give_back(m, m->granted.outer);
		m->news = true;
		rest_begin(m, now_ms);
	} else if (!m->granted.outer || !m->granted.lifetime_s) {
		refuse(m, now_ms, "it says yes, and gives no port");
	} else {
		held_begin(m, now_ms);
	}
}

/* --- what comes in --- */

static void search_heard(struct portmap *m, uint64_t now_ms, const struct router_reply *r)
{
	bool pcp = r->kind == ROUTER_PCP_ANNOUNCE;

	if (r->kind == ROUTER_PCP_MAP || r->kind == ROUTER_PMP_MAP) {
		m->drops.unasked++;
		return;
	}
	if (!pcp && is_six(m) && r->result != ROUTER_OTHER_VERSION) { /* NAT-PMP has no IPv6 */
		m->drops.unasked++;
		return;
	}
	/* A refusal of our version is in the form of the version that is spoken there. */
	if (pcp || !is_six(m))
		set_answer(m, pcp ? PORTMAP_PCP : PORTMAP_PMP, PORTMAP_THERE);
	if (r->result == ROUTER_OTHER_VERSION)
		set_answer(m, pcp ? PORTMAP_PMP : PORTMAP_PCP, PORTMAP_ABSENT);
	if (!pcp && r->result == ROUTER_DONE)
		m->outer = r->address;
	if (m->answers[PORTMAP_PCP] != PORTMAP_UNKNOWN) {
		ask_next(m, now_ms);
		return;
	}
	m->tries = TRIES;
	m->next_ms = now_ms + PCP_GRACE_MS;
}

static bool is_answer(const struct portmap *m, const struct router_reply *r)
{
	if (r->result == ROUTER_OTHER_VERSION) /* of the search: what is asked here is known to be spoken */
		return false;
	if (m->by == PORTMAP_PCP) {
		bool whole = r->has_body && r->proto == UDP && r->inner == m->router.port &&
			     memcmp(r->nonce, m->nonce, sizeof(m->nonce)) == 0;
		return r->kind == ROUTER_PCP_MAP && (whole || !r->has_body);
	}
	if (r->kind == ROUTER_PMP_ADDRESS)
		return !m->address_told;
	return r->kind == ROUTER_PMP_MAP && !m->port_granted &&
	       (r->result != ROUTER_DONE || r->inner == m->router.port);
}

static void ask_heard(struct portmap *m, uint64_t now_ms, const struct router_reply *r)
{
	if (!is_answer(m, r)) {
		m->drops.unasked++;
		return;
	}
	if (r->result != ROUTER_DONE) {
		refuse(m, now_ms, router_result_text(r));
		return;
	}
	if (r->kind == ROUTER_PMP_ADDRESS) {
		m->granted.address = r->address;
		m->address_told = true;
	} else {
		struct addr address = m->by == PORTMAP_PCP ? r->address : m->granted.address;
		m->granted = *r;
		m->granted.address = address;
		m->port_granted = true;
		m->address_told |= m->by == PORTMAP_PCP;
	}
	granted(m, now_ms);
}

void portmap_upnp_found(struct portmap *m, uint64_t now_ms)
{
	if (m->phase == PORTMAP_IDLE || m->answers[PORTMAP_UPNP] != PORTMAP_UNKNOWN)
		return;
	set_answer(m, PORTMAP_UPNP, PORTMAP_THERE);
	if (m->phase == PORTMAP_REST) {
		ask_next(m, now_ms);
	} else if (m->phase == PORTMAP_SEARCH && m->tries < TRIES) {
		m->tries = TRIES;
		m->next_ms = now_ms + UPNP_GRACE_MS;
	}
}

void portmap_upnp_mapped(struct portmap *m, uint64_t now_ms, const struct router_reply *got, const char *why)
{
	if (m->phase != PORTMAP_ASK || m->by != PORTMAP_UPNP)
		return;
	if (why) {
		refuse(m, now_ms, why);
		return;
	}
	m->granted = *got;
	m->port_granted = m->address_told = true;
	granted(m, now_ms);
}

static bool is_router(struct portmap *m, const struct endpoint *from)
{
	if (m->phase != PORTMAP_IDLE && addr_equal(&from->ip, &m->router.gateway))
		return true;
	m->drops.stranger++;
	return false;
}

/* NAT-PMP's answer to a search that PCP's has ended; one that refuses its address may give a port. */
static bool is_late(const struct portmap *m, const struct router_reply *r)
{
	return m->by == PORTMAP_PCP && r->kind == ROUTER_PMP_ADDRESS && r->result != ROUTER_OTHER_VERSION &&
	       m->answers[PORTMAP_PMP] == PORTMAP_UNKNOWN;
}

void portmap_received(
	struct portmap *m, uint64_t now_ms, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct router_reply r;

	if (!is_router(m, from))
		return;
	if (from->port != ROUTER_PORT || !router_reply_read(p, len, &r)) {
		m->drops.malformed++;
		return;
	}
	if (m->phase == PORTMAP_SEARCH)
		search_heard(m, now_ms, &r);
	else if (is_late(m, &r))
		set_answer(m, PORTMAP_PMP, PORTMAP_THERE);
	else if (m->phase == PORTMAP_ASK)
		ask_heard(m, now_ms, &r);
	else
		m->drops.unasked++;
}

bool portmap_news_received(
	struct portmap *m, uint64_t now_ms, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct router_reply r;

	if (!is_router(m, from))
		return false;
	if (!router_reply_read(p, len, &r) || r.result != ROUTER_DONE) {
		m->drops.malformed++;
		return false;
	}
	portmap_doubt(m, now_ms);
	return true;
}

void portmap_doubt(struct portmap *m, uint64_t now_ms)
{
	uint64_t due = m->asked_ms + DOUBT_GAP_MS;

	if (m->phase == PORTMAP_HELD && now_ms >= due)
		ask_begin(m, now_ms);
	else if (m->phase == PORTMAP_HELD && due < m->next_ms)
		m->next_ms = due;
	else if (m->phase == PORTMAP_REST && now_ms - m->searched_ms >= SEARCH_GAP_MS)
		search_begin(m, now_ms);
}

/* --- time, and the ends --- */

void portmap_tick(struct portmap *m, uint64_t now_ms)
{
	if (m->phase == PORTMAP_IDLE)
		return;
	if (endpoint_is_set(&m->mapped) && now_ms >= m->expires_ms) {
		forget_mapping(m);
		search_begin(m, now_ms);
		return;
	}
	if (now_ms < m->next_ms)
		return;
	unsigned tries = endpoint_is_set(&m->mapped) ? TRIES_HELD : TRIES;
	if (m->phase == PORTMAP_SEARCH && m->tries < TRIES)
		search_send(m, now_ms);
	else if (m->phase == PORTMAP_SEARCH)
		ask_next(m, now_ms);
	else if (m->phase == PORTMAP_ASK && m->tries < tries)
		ask_send(m, now_ms);
	else if (m->phase == PORTMAP_ASK)
		ask_unanswered(m, now_ms);
	else if (m->phase == PORTMAP_HELD)
		ask_begin(m, now_ms);
	else
		search_begin(m, now_ms);
}

uint64_t portmap_deadline(const struct portmap *m)
{
	if (m->phase == PORTMAP_IDLE)
		return UINT64_MAX;
	return endpoint_is_set(&m->mapped) && m->expires_ms < m->next_ms ? m->expires_ms : m->next_ms;
}

void portmap_init(struct portmap *m, const struct portmap_ops *ops, const uint8_t nonce[static ROUTER_NONCE])
{
	*m = (struct portmap) { .ops = *ops, .rest_ms = REST_MS };
	memcpy(m->nonce, nonce, sizeof(m->nonce));
}

static void forget_all(struct portmap *m)
{
	forget_mapping(m);
	m->news |= m->searched;
	m->phase = PORTMAP_IDLE;
	m->router = (struct portmap_router) { 0 };
	m->rest_ms = REST_MS;
	m->searched = false;
	m->outer = (struct addr) { 0 };
	memset(m->answers, 0, sizeof(m->answers));
}

void portmap_router_set(struct portmap *m, uint64_t now_ms, const struct portmap_router *r)
{
	forget_all(m);
	if (addr_is_unspecified(&r->gateway))
		return;
	m->router = *r;
	search_begin(m, now_ms);
}

void portmap_release(struct portmap *m)
{
	if (m->phase == PORTMAP_ASK || m->phase == PORTMAP_HELD)
		give_back(m, m->mapped.port);
	forget_all(m);
}

/* --- questions --- */

bool portmap_take_news(struct portmap *m)
{
	bool news = m->news;
	m->news = false;
	return news;
}

bool portmap_is_there(const struct portmap *m, enum portmap_protocol p)
{
	return m->answers[p] == PORTMAP_THERE || m->answers[p] == PORTMAP_REFUSES;
}

static void explain_six(const struct portmap *m, const char *gateway, char *buf, size_t cap)
{
	char outer[ADDR_TEXT];

	if (!addr_is_unspecified(&m->outer) && !is_public(m, &m->outer))
		snprintf(buf, cap,
			"the router %s opens its firewall, but says that this machine is %s outside", gateway,
			addr_format(&m->outer, outer));
	else if (m->phase == PORTMAP_REST)
		snprintf(buf, cap,
			"the router %s speaks no PCP for IPv6; with it, peers could speak first through its "
			"firewall",
			gateway);
}

char *portmap_explain(const struct portmap *m, char *buf, size_t cap)
{
	char gateway[ADDR_TEXT], outer[ADDR_TEXT];

	buf[0] = 0;
	if (m->phase == PORTMAP_IDLE || !m->searched || endpoint_is_set(&m->mapped) || cap == 0)
		return buf;
	addr_format(&m->router.gateway, gateway);
	for (int p = 0; p < PORTMAP_PROTOCOLS; p++) {
		if (m->answers[p] != PORTMAP_REFUSES)
			continue;
		snprintf(buf, cap, "%s of the router %s %s no port: %s", protocol_names[p], gateway,
			is_six(m) ? "opens" : "gives", m->refusals[p]);
		return buf;
	}
	if (is_six(m))
		explain_six(m, gateway, buf, cap);
	else if (!addr_is_unspecified(&m->outer) && !router_address_is_public(&m->outer))
		snprintf(buf, cap,
			"the router %s gives ports, but its own outer address %s is behind another NAT",
			gateway, addr_format(&m->outer, outer));
	else if (m->phase == PORTMAP_REST)
		snprintf(buf, cap,
			"the router %s has none; with NAT-PMP, PCP or UPnP turned on there, peers could "
			"reach "
			"this machine directly",
			gateway);
	return buf;
}
