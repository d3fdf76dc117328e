#include "simnet/fabric/user/nat_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_TRIES = 64, PORT_LAST = 65535, COUNTS_MAX = 65536, ECHO_FIRST = 1 };
static_assert(sizeof(struct nat_key) == 40, "keys are hashed as their bytes");

/* ---- life ---- */

static void init_tables(struct nat *n)
{
	table_init(&n->mappings, sizeof(struct nat_key), n->seed);
	table_init(&n->outside, sizeof(struct nat_key), n->seed);
	table_init(&n->sessions, sizeof(struct nat_key), n->seed);
	table_init(&n->counts, sizeof(struct nat_key), n->seed);
	table_init(&n->blocks, sizeof(uint32_t), n->seed);
}

static void nat_place(struct nat *n, const struct addr *wan)
{
	n->pool[0] = *wan;
	for (uint32_t i = 1; i < n->m.pool && !n->pool_given; i++)
		n->pool[i] = addr_v4(addr_v4_get(wan) + i);
}

struct nat *nat_new(const struct nat_config *c)
{
	struct nat *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->m = *c->model;
	n->name = c->name;
	n->seed = c->seed;
	n->log = c->log;
	n->draw = draw_key_of(c->seed, c->name, "nat");
	n->pool_given = c->pool;
	if (c->pool)
		memcpy(n->pool, c->pool, sizeof(n->pool));
	nat_place(n, &c->wan);
	init_tables(n);
	n->heap.v = calloc(NAT_SESSIONS_MAX, sizeof(struct heap_item *));
	if (n->heap.v)
		return n;
	nat_free(n);
	return NULL;
}

void nat_move(struct nat *n, const struct addr *wan, uint64_t now_ns)
{
	nat_forget(n, false, now_ns);
	nat_place(n, wan);
}

void nat_become(struct nat *n, const struct nat_model *m, uint64_t now_ns)
{
	nat_forget(n, true, now_ns);
	n->m = *m;
	nat_place(n, &n->pool[0]);
}

static void free_all(struct table *t)
{
	size_t at = 0;
	for (void *p; (p = table_next(t, &at));)
		free(p);
	table_fini(t);
}

void nat_free(struct nat *n)
{
	if (!n)
		return;
	free_all(&n->mappings);
	free_all(&n->sessions);
	free_all(&n->counts);
	free_all(&n->blocks);
	table_fini(&n->outside);
	free(n->heap.v);

	free(n);
}

size_t nat_sessions(const struct nat *n)
{
	return n->sessions.n;
}

const struct nat_model *nat_model_of(const struct nat *n)
{
	return &n->m;
}

/* ---- keys ---- */

struct nat_key nat_key_of(uint8_t proto, const struct endpoint *inside, const struct endpoint *peer)
{
	struct nat_key k = { .proto = proto, .port = inside->port, .ip = inside->ip };
	if (peer) {
		k.peer = peer->ip;
		k.peer_port = peer->port;
	}
	return k;
}

enum nat_mapping nat_mapping_class(const struct nat *n, uint8_t proto)
{
	return proto == IP_TCP ? n->m.tcp.mapping : proto == IP_UDP ? n->m.udp.mapping : NAT_EIM;
}

enum nat_filtering nat_filtering_class(const struct nat *n, uint8_t proto)
{
	return proto == IP_TCP ? n->m.tcp.filtering : proto == IP_UDP ? n->m.udp.filtering : NAT_ADF;
}

static struct nat_key mapping_key(
	const struct nat *n, uint8_t proto, const struct endpoint *inside, const struct endpoint *peer)
{
	struct endpoint about = *peer;
	enum nat_mapping class = nat_mapping_class(n, proto);
	if (class == NAT_ADM)
		about.port = 0;
	return nat_key_of(proto, inside, class == NAT_EIM ? NULL : &about);
}

static void note(
	struct nat *n, enum decision_kind kind, const struct nat_binding *m, const char *why, uint64_t now_ns)
{
	if (!n->log)
		return;
	decision_note(n->log, &(struct decision) { .at_ns = now_ns,
				      .object = n->name,
				      .why = why,
				      .kind = kind,
				      .flow = { .proto = m->key.proto,
					      .sport = m->key.port,
					      .dport = m->key.peer_port,
					      .src = m->key.ip,
					      .dst = m->key.peer },
				      .outside = m->outside });
}

/* ---- finding ---- */

struct nat_session *nat_find_session(
	struct nat *n, uint8_t proto, const struct endpoint *inside, const struct endpoint *peer)
{
	struct nat_key k = nat_key_of(proto, inside, peer);
	return table_get(&n->sessions, &k);
}

struct nat_binding *nat_find_outside(struct nat *n, uint8_t proto, const struct endpoint *outside)
{
	struct nat_key k = nat_key_of(proto, outside, NULL);
	return table_get(&n->outside, &k);
}

/* ---- outside ends ---- */

struct choice { /* of an outside end for a mapping */
	struct nat *n;
	const struct nat_key *key;
	const struct endpoint *peer;
	uint64_t what; /* hash of what the mapping depends on */
	uint32_t made;
	uint16_t first, last, last_port; /* last_port: what it had when it was made before; 0 = never */
	struct addr ip;
};

static bool talks_with(const struct nat_binding *m, const struct endpoint *peer)
{
	for (const struct nat_session *s = m->sessions; s; s = s->next)
		if (addr_equal(&s->key.peer, &peer->ip) && s->key.peer_port == peer->port)
			return true;
	return false;
}

static bool is_forwarded_to(const struct nat_forward *f, const struct nat_key *k)
{
	return addr_equal(&f->ip, &k->ip) && f->to_port == k->port;
}

/* Overloading: the port may be another's too, as long as both do not talk with one peer, and neither with the other. So it
 * is always with what the router itself talks from. */
static bool is_free(const struct choice *c, uint16_t port)
{
	struct endpoint outside = { .ip = c->ip, .port = port };
	const struct nat_binding *m = nat_find_outside(c->n, c->key->proto, &outside);
	for (size_t i = 0; i < c->n->m.n_forwards; i++) {
		const struct nat_forward *f = &c->n->m.forwards[i];
		if (f->proto == c->key->proto && f->port == port && !is_forwarded_to(f, c->key))
			return false;
	}
	if (m && endpoint_equal(&outside, c->peer))
		return false;
	for (; m; m = m->same)
		if ((c->n->m.ports != NAT_PORTS_OVERLOAD && !nat_owns(c->n, &m->key.ip)) ||
			talks_with(m, c->peer))
			return false;
	return true;
}

static bool fits(const struct choice *c, uint32_t port)
{
	bool parity = c->n->m.ports != NAT_PORTS_PARITY || c->key->proto == IP_ICMP ||
		      (port & 1) == (c->key->port & 1);
	return parity && port >= c->first && port <= c->last && is_free(c, (uint16_t)port);
}

static uint32_t wish(const struct choice *c, uint32_t i)
{
	uint64_t n = (uint64_t)c->n->epoch << 48 | (uint64_t)c->made << 16 | i;
	return c->first +
	       (uint32_t)draw_below(&c->n->draw, c->what, n, DRAW_PORT, (uint64_t)(c->last - c->first) + 1);
}

/* What the policy says before any choice: a forward's inside end keeps the forwarded port, a mapping that keeps its port
 * has its last one, and a port that is preserved is the inner one. 0: nothing. */
static uint16_t given_port(const struct choice *c)
{
	const struct nat_model *m = &c->n->m;
	bool keeps = m->ports == NAT_PORTS_PRESERVE || m->ports == NAT_PORTS_OVERLOAD;
	for (size_t i = 0; i < m->n_forwards; i++)
		if (m->forwards[i].proto == c->key->proto && is_forwarded_to(&m->forwards[i], c->key) &&
			is_free(c, m->forwards[i].port))
			return m->forwards[i].port;
	if (m->expiry == NAT_EXPIRY_KEEP && c->last_port && is_free(c, c->last_port))
		return c->last_port;
	return keeps && !c->made && is_free(c, c->key->port) ? c->key->port : 0;
}

static uint16_t next_in_sequence(const struct choice *c)
{
	uint32_t room = (uint32_t)(c->last - c->first) + 1;
	for (uint32_t i = 0; i < room; i++) {
		uint32_t port = c->first + c->n->next_port++ % room;
		if (fits(c, port))
			return (uint16_t)port;
	}
	return 0;
}

/* 0: none is free. */
static uint16_t choose_port(const struct choice *c)
{
	uint16_t given = given_port(c);
	if (given || c->n->m.ports == NAT_PORTS_SEQUENTIAL)
		return given ? given : next_in_sequence(c);
	for (uint32_t i = 0; i < PORT_TRIES; i++)
		if (fits(c, wish(c, i)))
			return (uint16_t)wish(c, i);
	for (uint32_t port = c->first; port <= c->last; port++)
		if (fits(c, port))
			return (uint16_t)port;
	return 0;
}

/* The block of an inside address: the first free one from where its hash falls. false: all are somebody else's. */
static bool choose_block(struct choice *c)
{
	struct nat *n = c->n;
	uint32_t all = (PORT_LAST + 1 - NAT_PORT_FIRST) / n->m.block_ports;
	uint64_t what = draw_hash(&n->draw, &c->key->ip, sizeof(c->key->ip));
	for (uint32_t i = 0; i < all; i++) {
		uint32_t block = (uint32_t)((what + i) % all);
		struct addr *owner = table_get(&n->blocks, &block);
		if (owner && !addr_equal(owner, &c->key->ip))
			continue;
		if (!owner) {
			owner = malloc(sizeof(*owner));
			if (!owner || !table_put(&n->blocks, &block, owner)) {
				free(owner);
				return false;
			}
			*owner = c->key->ip;
		}
		c->first = (uint16_t)(NAT_PORT_FIRST + block * n->m.block_ports);
		c->last = (uint16_t)(c->first + n->m.block_ports - 1);
		return true;
	}
	return false;
}

/* A forward is of the first address, and what is sent from its inside end too. */
static struct addr choose_address(const struct nat *n, const struct nat_key *k)
{
	bool first = n->m.pool < 2;
	for (size_t i = 0; i < n->m.n_forwards; i++)
		first |= n->m.forwards[i].proto == k->proto && is_forwarded_to(&n->m.forwards[i], k);
	if (first)
		return n->pool[0];
	const void *about = n->m.pool_arbitrary ? (const void *)k : (const void *)&k->ip;
	uint64_t what = draw_hash(&n->draw, about, n->m.pool_arbitrary ? sizeof(*k) : sizeof(k->ip));
	return n->pool[draw_below(&n->draw, what, n->epoch, DRAW_ADDRESS, n->m.pool)];
}

/* What is remembered of the mappings of a key; NULL: no memory for it, and ports are as at the first time. */
static struct nat_count *count_of(struct nat *n, const struct nat_key *k)
{
	struct nat_count *c = table_get(&n->counts, k);
	if (c || n->counts.n >= COUNTS_MAX || !(c = calloc(1, sizeof(*c))))
		return c;
	if (table_put(&n->counts, k, c))
		return c;
	free(c);
	return NULL;
}

static bool moves(const struct nat *n)
{
	return n->m.expiry == NAT_EXPIRY_MOVE ||
	       (n->m.expiry == NAT_EXPIRY_POLICY && n->m.ports == NAT_PORTS_RANDOM);
}

static bool choose_outside(struct nat *n, const struct nat_key *k, const struct endpoint *peer,
	struct endpoint *out, const char **why)
{
	struct nat_count *count = count_of(n, k);
	struct choice c = { .n = n,
		.key = k,
		.peer = peer,
		.what = draw_hash(&n->draw, k, sizeof(*k)),
		.made = count && moves(n) ? count->made++ : 0,
		.last_port = count ? count->port : 0,
		.first = NAT_PORT_FIRST,
		.last = (uint16_t)PORT_LAST,
		.ip = choose_address(n, k) };
	bool blocks = n->m.ports == NAT_PORTS_BLOCK && k->proto != IP_ICMP;
	*out = (struct endpoint) { .ip = c.ip };
	if (k->proto == IP_ICMP)
		c.first = ECHO_FIRST;
	else if (k->proto != IP_UDP && k->proto != IP_TCP)
		return true;
	if (blocks && !choose_block(&c)) {
		*why = "no mapping: every block of ports is another host's";
		return false;
	}
	out->port = choose_port(&c);
	if (count)
		count->port = out->port;
	*why = blocks ? "no mapping: the host's block of ports is used up"
		      : "no mapping: every port that was tried is taken";
	return out->port;
}

/* ---- making and ending ---- */

static int kind_of(uint8_t proto)
{
	return proto == IP_UDP ? 0 : proto == IP_TCP ? 1 : 2;
}

/* Into both tables; without memory m is freed. */
static bool enter_mapping(struct nat *n, struct nat_binding *m)
{
	struct nat_key out = nat_key_of(m->key.proto, &m->outside, NULL);
	struct nat_binding *last = table_get(&n->outside, &out);
	bool ok = table_put(&n->mappings, &m->key, m);
	if (ok && !last && !table_put(&n->outside, &out, m)) {
		(void)table_remove(&n->mappings, &m->key);
		ok = false;
	}
	if (!ok) {
		free(m);
		return false;
	}
	while (last && last->same)
		last = last->same;
	if (last)
		last->same = m;
	n->n_bindings[kind_of(m->key.proto)]++;
	return true;
}

static struct nat_binding *make_mapping(struct nat *n, const struct nat_key *k, const struct endpoint *peer,
	uint64_t now_ns, const char **why)
{
	struct nat_binding *m = calloc(1, sizeof(*m));
	*why = "no memory for another mapping";
	if (n->n_bindings[kind_of(k->proto)] >= n->m.table) {
		*why = "no mapping: the router's table is full";
		free(m);
		return NULL;
	}
	if (!m)
		return NULL;
	m->key = *k;
	if (!choose_outside(n, k, peer, &m->outside, why)) {
		free(m);
		return NULL;
	}
	if (!enter_mapping(n, m))
		return NULL;
	note(n, DECISION_MAPPED, m, NULL, now_ns);
	return m;
}

static void end_mapping(struct nat *n, struct nat_binding *m)
{
	struct nat_key out = nat_key_of(m->key.proto, &m->outside, NULL);
	struct nat_binding *first = table_get(&n->outside, &out);
	if (first == m) {
		if (m->same)
			(void)table_put(&n->outside, &out, m->same);
		else
			(void)table_remove(&n->outside, &out);
	} else {
		while (first && first->same != m)
			first = first->same;
		if (first)
			first->same = m->same;
	}
	(void)table_remove(&n->mappings, &m->key);
	n->n_bindings[kind_of(m->key.proto)]--;
	free(m);
}

void nat_close_session(struct nat *n, struct nat_session *s, enum decision_kind kind, uint64_t now_ns)
{
	struct nat_binding *m = s->mapping;
	struct nat_session **at = &m->sessions;
	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	heap_remove(&n->heap, &s->due);
	(void)table_remove(&n->sessions, &s->key);
	free(s);
	if (m->sessions)
		return;
	note(n, kind, m, NULL, now_ns);
	end_mapping(n, m);
}

struct nat_session *nat_join_session(
	struct nat *n, struct nat_binding *m, const struct endpoint *peer, uint64_t now_ns, const char **why)
{
	struct endpoint inside = { .ip = m->key.ip, .port = m->key.port };
	struct nat_session *s = NULL;
	*why = "no mapping: the router has no room for another session";
	if (n->sessions.n < NAT_SESSIONS_MAX)
		s = calloc(1, sizeof(*s));
	if (s)
		s->key = nat_key_of(m->key.proto, &inside, peer);
	if (!s || !table_put(&n->sessions, &s->key, s)) {
		free(s);
		if (!m->sessions)
			end_mapping(n, m);
		return NULL;
	}
	s->mapping = m;
	s->next = m->sessions;
	m->sessions = s;
	heap_set(&n->heap, &s->due, now_ns);
	return s;
}

/* Whether somebody else who has this outside end talks with the peer from it. */
static bool is_occupied(struct nat *n, const struct nat_binding *m, const struct endpoint *peer)
{
	if (!m->outside.port)
		return false;
	for (const struct nat_binding *o = nat_find_outside(n, m->key.proto, &m->outside); o; o = o->same)
		if (o != m && talks_with(o, peer))
			return true;
	return false;
}

struct nat_session *nat_open_session(struct nat *n, uint8_t proto, const struct endpoint *inside,
	const struct endpoint *peer, uint64_t now_ns, const char **why)
{
	struct nat_session *s = nat_find_session(n, proto, inside, peer);
	if (s)
		return s;
	struct nat_key k = mapping_key(n, proto, inside, peer);
	struct nat_binding *m = table_get(&n->mappings, &k);
	bool moved = m && is_occupied(n, m, peer);
	if (moved) {
		k = nat_key_of(proto, inside, peer);
		m = table_get(&n->mappings, &k);
	}
	if (!m)
		m = make_mapping(n, &k, peer, now_ns, why);
	if (m && moved)
		note(n, DECISION_MOVED, m, "another talks with the peer from the mapping's port", now_ns);
	return m ? nat_join_session(n, m, peer, now_ns, why) : NULL;
}

struct nat_session *nat_lead_session(struct nat *n, uint8_t proto, const struct endpoint *inside,
	const struct endpoint *outside, const struct endpoint *peer, uint64_t now_ns, const char **why)
{
	struct nat_session *s = nat_find_session(n, proto, inside, peer);
	struct nat_key k = mapping_key(n, proto, inside, peer);
	struct nat_binding *m = s ? NULL : table_get(&n->mappings, &k);
	if (s)
		return s;
	if (m && !endpoint_equal(&m->outside, outside)) {
		k = nat_key_of(proto, inside, peer);
		m = NULL;
	}
	if (m)
		return nat_join_session(n, m, peer, now_ns, why);
	*why = "no memory for another mapping";
	if (table_get(&n->mappings, &k) || !(m = calloc(1, sizeof(*m))))
		return NULL;
	m->key = k;
	m->outside = *outside;
	if (!enter_mapping(n, m))
		return NULL;
	note(n, DECISION_MAPPED, m, "somebody has come for a port that was asked for", now_ns);
	return nat_join_session(n, m, peer, now_ns, why);
}

struct nat_session *nat_occupy(struct nat *n, uint8_t proto, const struct endpoint *outside,
	const struct endpoint *peer, uint64_t now_ns, const char **why)
{
	struct nat_key k = nat_key_of(proto, outside, NULL);
	struct nat_binding *m = table_get(&n->mappings, &k);
	struct nat_session *s = nat_find_session(n, proto, outside, peer);
	if (s || m)
		return s ? s : nat_join_session(n, m, peer, now_ns, why);
	m = calloc(1, sizeof(*m));
	*why = "no memory for another mapping";
	if (!m)
		return NULL;
	m->key = k;
	m->outside = *outside;
	return enter_mapping(n, m) ? nat_join_session(n, m, peer, now_ns, why) : NULL;
}

void nat_forget(struct nat *n, bool reborn, uint64_t now_ns)
{
	while (n->heap.n)
		nat_close_session(
			n, heap_owner(n->heap.v[0], struct nat_session, due), DECISION_FORGOTTEN, now_ns);
	free_all(&n->counts);
	free_all(&n->blocks);
	table_init(&n->counts, sizeof(struct nat_key), n->seed);
	table_init(&n->blocks, sizeof(uint32_t), n->seed);
	memset(n->fragments, 0, sizeof(n->fragments));
	n->next_port = 0;
	if (reborn)
		n->epoch++;
}

void nat_tick(struct nat *n, uint64_t now_ns)
{
	while (n->heap.n && n->heap.v[0]->due_ms <= now_ns)
		nat_close_session(
			n, heap_owner(n->heap.v[0], struct nat_session, due), DECISION_EXPIRED, now_ns);
}

uint64_t nat_deadline_ns(const struct nat *n)
{
	return n->heap.n ? n->heap.v[0]->due_ms : UINT64_MAX;
}

static bool format_session(const struct nat_session *s, uint64_t now_ns, struct buf *out)
{
	static const char *const words[] = { [IP_ICMP] = "icmp", [IP_TCP] = "tcp", [IP_UDP] = "udp" };
	char inside[ENDPOINT_TEXT], peer[ENDPOINT_TEXT], outside[ENDPOINT_TEXT];
	struct endpoint a = { .ip = s->key.ip, .port = s->key.port },
			b = { .ip = s->key.peer, .port = s->key.peer_port };
	const char *word = s->key.proto <= IP_UDP ? words[s->key.proto] : NULL;
	uint64_t left = s->due.due_ms > now_ns ? (s->due.due_ms - now_ns) / 1000000000 : 0;
	return buf_printf(out, "%s %s -> %s, outside as %s%s, %llu s left\n", word ? word : "other",
		endpoint_format(&a, inside), endpoint_format(&b, peer),
		endpoint_format(&s->mapping->outside, outside), s->state == NAT_NEW ? ", not answered" : "",
		(unsigned long long)left);
}

bool nat_format(const struct nat *n, uint64_t now_ns, struct buf *out)
{
	size_t at = 0;
	bool ok = true;
	for (const struct nat_session *s; ok && (s = table_next(&n->sessions, &at));)
		ok = format_session(s, now_ns, out);
	return ok;
}
