#include "simnet/fabric/user/board.h"

#include "mesh/base/heap.h"
#include "mesh/base/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A port is an end of a span: a wire, or a router's side. What enters at the owner's end of a wire takes its way up and
 * leaves at the fabric's end; what enters there takes the way down. A router's WAN has a wire too, whose owner's end is the
 * router itself. Packets that are not due yet wait in one heap, each with what is to be done with it then. */

struct span { /* two ports: 2 * i and 2 * i + 1 */
	struct board *board;
	char *name;
	struct link up, down;
	bool has_link;
	struct addr teller, teller6;
	struct router *router; /* NULL: a wire */
	int first_port;
	struct span *lead,
		*next; /* of several ways out of one router: the first, which has the LAN; the next */
	bool idle;
	int host, lan;	 /* a router's host's port; of that host, the router's LAN; 0 = none */
	uint64_t now_ns; /* while the router works */
};
enum goal { GOAL_PORT, GOAL_WAN }; /* out of the port; into the router's WAN */
struct held {
	struct heap_item due; /* ns */
	enum goal goal;
	int port;
	uint16_t len;
	uint8_t b[];
};
struct board {
	uint64_t seed;
	struct board_ops ops;
	void *owner;
	struct span **spans;
	size_t n;
	struct heap heap;
	size_t heap_size, held_bytes;
	bool bypass;
	struct decision_log log;
	struct board_drop drops[BOARD_DROPS_MAX];
	size_t first_drop, n_drops;
	struct frame in, piece, told;
};

/* ---- drops ---- */

static bool is_same_drop(const struct board_drop *a, const struct board_drop *b)
{
	return a->why == b->why && a->where == b->where && a->proto == b->proto &&
	       endpoint_equal(&a->src, &b->src) && endpoint_equal(&a->dst, &b->dst);
}

static void board_note_drop(
	struct board *b, const char *where, const char *why, const struct ip_view *v, uint64_t now_ns)
{
	struct board_drop d = { .at_ns = now_ns,
		.last_ns = now_ns,
		.where = where,
		.why = why,
		.src = { .ip = v->src, .port = v->sport },
		.dst = { .ip = v->dst, .port = v->dport },
		.proto = v->proto,
		.count = 1 };
	struct board_drop *last =
		&b->drops[(b->first_drop + b->n_drops + BOARD_DROPS_MAX - 1) % BOARD_DROPS_MAX];
	if (b->n_drops && is_same_drop(last, &d)) {
		last->count++;
		last->last_ns = now_ns;
		return;
	}
	if (b->n_drops == BOARD_DROPS_MAX) {
		b->first_drop = (b->first_drop + 1) % BOARD_DROPS_MAX;
		b->n_drops--;
	}
	b->drops[(b->first_drop + b->n_drops++) % BOARD_DROPS_MAX] = d;
}

size_t board_drops(struct board *b, struct board_drop *out, size_t cap)
{
	size_t n = 0;
	for (; n < cap && b->n_drops; n++, b->n_drops--) {
		out[n] = b->drops[b->first_drop];
		b->first_drop = (b->first_drop + 1) % BOARD_DROPS_MAX;
	}
	return n;
}

/* ---- life ---- */

struct board *board_new(uint64_t seed, const struct board_ops *ops, void *owner)
{
	struct board *b = calloc(1, sizeof(*b));
	if (b) {
		b->seed = seed;
		b->ops = *ops;
		b->owner = owner;
	}
	return b;
}

static void span_free(struct span *s)
{
	if (s->has_link) {
		link_fini(&s->up);
		link_fini(&s->down);
	}
	router_free(s->router);
	free(s->name);
	free(s);
}

void board_free(struct board *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++)
		span_free(b->spans[i]);
	for (size_t i = 0; i < b->heap.n; i++)
		free(heap_owner(b->heap.v[i], struct held, due));
	decision_fini(&b->log);
	free(b->heap.v);
	free(b->spans);
	free(b);
}

static void open_link(struct span *s, const struct link_model *m)
{
	link_init(&s->up, &m->up, s->board->seed, s->name, "up");
	link_init(&s->down, &m->down, s->board->seed, s->name, "down");
	s->up.log = s->down.log = &s->board->log;
	s->has_link = true;
}

static struct span *span_add(struct board *b, const char *name, const struct board_wire *w)
{
	static const struct link_model plain;
	struct span **more = reallocarray(b->spans, b->n + 1, sizeof(struct span *));
	struct span *s = calloc(1, sizeof(*s));
	if (more)
		b->spans = more;
	if (!more || !s || !(s->name = strdup(name))) {
		free(s);
		return NULL;
	}
	s->board = b;
	if (w) {
		open_link(s, w->model ? w->model : &plain);
		s->up.far = w->far;
		s->up.n_far = w->n_far;
		s->teller = w->teller;
		s->teller6 = w->teller6;
	}
	b->spans[b->n++] = s;
	return s;
}

int board_add_wire(struct board *b, const struct board_wire *w)
{
	struct span *s = span_add(b, w->name, w);
	return s ? (int)(b->n - 1) * 2 : -1;
}

size_t board_ports(const struct board *b)
{
	return 2 * b->n;
}

static struct span *span_of(const struct board *b, int port)
{
	return b->spans[port / 2];
}

struct router *board_router(struct board *b, int port)
{
	return span_of(b, port)->router;
}

struct decision_log *board_log(struct board *b)
{
	return &b->log;
}

bool board_set_link(struct board *b, int port, const struct link_model *m)
{
	struct span *s = span_of(b, port);
	if (!s->has_link)
		return false;
	link_change(&s->up, &m->up);
	link_change(&s->down, &m->down);
	return true;
}

void board_bypass(struct board *b, bool on)
{
	b->bypass = on;
	board_lift_firewalls(b, on);
}

void board_lift_firewalls(struct board *b, bool lifted)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->spans[i]->router)
			router_lift_firewall(b->spans[i]->router, lifted);
}

void board_forget(struct board *b, uint64_t now_ns)
{
	for (size_t i = 0; i < b->n; i++) {
		struct span *s = b->spans[i];
		if (s->has_link) {
			link_forget(&s->up);
			link_forget(&s->down);
		}
		if (s->router)
			router_forget(s->router, false, now_ns);
	}
	decision_forget(&b->log);
	b->log.start_ns = now_ns;
	b->n_drops = 0;
}

/* ---- what waits ---- */

static bool make_room(struct board *b)
{
	if (b->heap.n < b->heap_size)
		return true;
	size_t size = b->heap_size ? 2 * b->heap_size : 256;
	struct heap_item **v = reallocarray(b->heap.v, size, sizeof(struct heap_item *));
	if (!v)
		return false;
	b->heap.v = v;
	b->heap_size = size;
	return true;
}

static bool hold(struct board *b, const struct frame *f, enum goal goal, int port, uint64_t due_ns)
{
	if (b->held_bytes + f->len > BOARD_HELD_BYTES || !make_room(b))
		return false;
	struct held *h = malloc(sizeof(*h) + f->len);
	if (!h)
		return false;
	h->due = (struct heap_item) { 0 };
	h->goal = goal;
	h->port = port;
	h->len = f->len;
	memcpy(h->b, f->b, f->len);
	b->held_bytes += h->len;
	heap_set(&b->heap, &h->due, due_ns);
	return true;
}

void board_pull(struct board *b, int port)
{
	size_t n = b->heap.n;
	b->heap.n = 0; /* and filled anew, within what has been looked at */
	for (size_t i = 0; i < n; i++) {
		struct held *h = heap_owner(b->heap.v[i], struct held, due);
		uint64_t due_ns = h->due.due_ms;
		if (h->port / 2 == port / 2) {
			b->held_bytes -= h->len;
			free(h);
			continue;
		}
		h->due = (struct heap_item) { 0 };
		heap_set(&b->heap, &h->due, due_ns);
	}
}

static void reach(struct board *b, const struct frame *f, enum goal goal, int port, uint64_t now_ns)
{
	struct span *s = span_of(b, port);
	if (goal == GOAL_PORT) {
		b->ops.send(b->owner, port, f->b, f->len);
		return;
	}
	s->now_ns = now_ns;
	router_received(s->router, ROUTER_WAN, f, now_ns);
}

/* ---- links ---- */

struct crossing { /* of a frame over a link */
	struct board *b;
	struct span *s;
	struct link *l;
	enum goal goal; /* behind the link */
	int port;
	enum goal back_goal; /* where it came from: for what the sender is told */
	int back_port;
	uint64_t now_ns;
};

static void arrive(const struct crossing *c, const struct frame *f, uint64_t due_ns)
{
	if (due_ns <= c->now_ns)
		reach(c->b, f, c->goal, c->port, c->now_ns);
	else if (!hold(c->b, f, c->goal, c->port, due_ns)) {
		struct eth_view v;
		if (eth_read(f->b, f->len, &v) && v.is_ip)
			board_note_drop(c->b, c->s->name, "the links hold no more packets", &v.ip, c->now_ns);
	}
}

static void turn_bit(struct frame *f, const struct eth_view *v, int32_t bit)
{
	size_t at = (size_t)ETH_HEADER + v->ip.l4_at + (size_t)bit / 8;
	if (at < f->len)
		f->b[at] ^= (uint8_t)(1 << bit % 8);
}

/* Who gets it throws it away without a word, since a checksum covers what was turned; of UDP that has none nobody can tell. */
static void note_damage(const struct crossing *c, const struct frame *f, const struct eth_view *v)
{
	const uint8_t *udp = f->b + ETH_HEADER + v->ip.l4_at;
	bool unchecked = v->ip.proto == IP_UDP && !v->ip.later_fragment && !udp[6] && !udp[7];
	if (!unchecked)
		board_note_drop(c->b, c->s->name, "the link damages it, and its checksum is wrong", &v->ip,
			c->now_ns);
}

static void tell_too_big(const struct crossing *c, const struct frame *f, const struct eth_view *v)
{
	const struct addr *from = v->ip.version == 4 ? &c->s->teller : &c->s->teller6;
	struct frame *out = &c->b->told;
	board_note_drop(c->b, c->s->name, "larger than the link's MTU", &v->ip, c->now_ns);
	if (c->l->way.mtu_silent || addr_is_unspecified(from) ||
		!eth_write_error(out, ETH_TOO_BIG, c->l->way.mtu, from, f->b + ETH_HEADER, &v->ip, v->ip_len))
		return;
	eth_set_ethernet(out, &v->dst, &v->src, v->type);
	/* It meets neither rate nor loss: it is written at this end. */
	uint64_t due_ns = c->now_ns + 1;
	if (c->back_goal == GOAL_PORT)
		c->b->ops.send(c->b->owner, c->back_port, out->b, out->len);
	else
		(void)hold(c->b, out, c->back_goal, c->back_port, due_ns);
}

/* As it is behind the link. */
static void change(
	struct frame *f, const struct eth_view *v, const struct link *l, const struct link_fate *fate)
{
	for (unsigned i = 0; i < l->way.hops; i++)
		(void)eth_hop(f->b + ETH_HEADER, &v->ip);
	if (fate->turned_bit >= 0)
		turn_bit(f, v, fate->turned_bit);
}

static void cross_once(const struct crossing *c, const struct frame *f, const struct eth_view *v)
{
	struct link_fate fate = link_enter(c->l, f->b + ETH_HEADER, &v->ip, c->now_ns);
	if (fate.end != LINK_PASSES) {
		board_note_drop(c->b, c->s->name, fate.why ? fate.why : "larger than the link's MTU", &v->ip,
			c->now_ns);
		return;
	}
	if (fate.turned_bit < 0 && !c->l->way.hops) {
		arrive(c, f, fate.due_ns);
		if (fate.twin_due_ns)
			arrive(c, f, fate.twin_due_ns);
		return;
	}
	struct frame behind = *f;
	struct link_fate sound = { .turned_bit = -1 };
	change(&behind, v, c->l, &fate);
	if (!fate.twin_due_ns && fate.turned_bit >= 0)
		note_damage(c, f, v);
	arrive(c, &behind, fate.due_ns);
	if (!fate.twin_due_ns)
		return;
	behind = *f;
	change(&behind, v, c->l, &sound);
	arrive(c, &behind, fate.twin_due_ns);
}

static void cross(const struct crossing *c, const struct frame *f)
{
	struct eth_view v;
	uint64_t due_ns;
	struct eth_neighbour n;
	uint16_t mtu = c->l->way.mtu;
	if (c->b->bypass) {
		arrive(c, f, c->now_ns);
		return;
	}
	if (!eth_read(f->b, f->len, &v))
		return;
	/* Nor is what interfaces say to their groups, whenever they please: nothing of it is routed. */
	if (!v.is_ip || addr_is_multicast(&v.ip.dst) || eth_read_neighbour(f->b, f->len, &v, &n)) {
		if (link_enter_other(c->l, c->now_ns, &due_ns))
			arrive(c, f, due_ns);
		return;
	}
	if (!mtu || v.ip_len <= mtu || c->l->way.dead) {
		cross_once(c, f, &v);
		return;
	}
	if (!eth_may_be_cut(f->b + ETH_HEADER, &v.ip)) {
		tell_too_big(c, f, &v);
		return;
	}
	struct frame whole = *f; /* what arrives at once may come back in here */
	for (unsigned i = 0; eth_write_piece(&c->b->piece, &whole, mtu, i); i++) {
		struct frame piece = c->b->piece;
		if (eth_read(piece.b, piece.len, &v) && v.is_ip)
			cross_once(c, &piece, &v);
	}
}

/* ---- routers ---- */

static void router_sends(void *owner, enum router_side side, const struct frame *f)
{
	struct span *s = owner;
	int port = side == ROUTER_WAN ? s->first_port : (s->lead ? s->lead : s)->first_port + 1;
	if (side == ROUTER_WAN && s->has_link)
		cross(&(struct crossing) { .b = s->board,
			      .s = s,
			      .l = &s->up,
			      .goal = GOAL_PORT,
			      .port = port,
			      .back_goal = GOAL_WAN,
			      .back_port = port,
			      .now_ns = s->now_ns },
			f);
	else
		s->board->ops.send(s->board->owner, port, f->b, f->len);
}

static void router_drops(void *owner, const char *why, const struct ip_view *v)
{
	struct span *s = owner;
	board_note_drop(s->board, s->name, why, v, s->now_ns);
	decision_note(&s->board->log, &(struct decision) { .at_ns = s->now_ns,
					      .object = s->name,
					      .why = why,
					      .kind = DECISION_DROPPED,
					      .flow = draw_flow_of(v) });
}

int board_add_router(struct board *b, const struct router_config *c, const struct board_wire *wan)
{
	static const struct router_ops ops = { .send = router_sends, .dropped = router_drops };
	struct span *s = span_add(b, c->name, wan);
	if (!s)
		return -1;
	struct router_config own = *c;
	struct nat_config nat;
	own.name = s->name;
	if (c->nat) {
		nat = *c->nat;
		nat.name = s->name;
		nat.seed = b->seed;
		nat.log = &b->log;
		own.nat = &nat;
	}
	s->first_port = (int)(b->n - 1) * 2;
	s->router = router_new(&own, &ops, s);
	return s->router ? s->first_port : -1;
}

int board_add_host(struct board *b, int port)
{
	struct span *router = span_of(b, port), *s = span_add(b, router->name, NULL);
	if (!s)
		return -1;
	s->lan = router->first_port + 1;
	router->host = (int)(b->n - 1) * 2;
	return router->host;
}

/* ---- several ways out of one router ---- */

void board_join(struct board *b, int port, int lead)
{
	struct span *s = span_of(b, port), *first = span_of(b, lead);
	s->lead = first;
	s->next = first->next;
	first->next = s;
}

void board_set_idle(struct board *b, int port, bool idle, uint64_t now_ns)
{
	struct span *s = span_of(b, port);
	s->idle = idle;
	if (idle)
		router_forget(s->router, false, now_ns);
}

/* Pieces of a packet have one way, whether they have ports or not. */
static uint64_t hash_of_flow(
	const struct board *b, const struct span *lead, const struct ip_view *v, bool piece)
{
	const struct draw_key key = draw_key_of(b->seed, lead->name, "balance");
	struct draw_flow flow = draw_flow_of(v);
	if (piece)
		flow.sport = flow.dport = 0;
	return draw_hash(&key, &flow, sizeof(flow));
}

static struct span *way_of_flow(const struct board *b, struct span *lead, const struct ip_view *v, bool piece)
{
	size_t live = 0;
	for (struct span *s = lead; s; s = s->next)
		live += !s->idle;
	uint64_t n = live ? hash_of_flow(b, lead, v, piece) % live : 0;
	for (struct span *s = lead; s && live; s = s->next)
		if (!s->idle && n-- == 0)
			return s;
	return lead;
}

/* Which of them gets the frame in b->in, from the inside. */
static struct span *way_out(const struct board *b, struct span *lead)
{
	enum { MORE_OR_LATER = 0x3fff };
	const uint8_t *ip = b->in.b + ETH_HEADER;
	struct eth_view v;
	if (!eth_read(b->in.b, b->in.len, &v) || !v.is_ip || v.ip.version != 4)
		return lead;
	bool piece = be_get(ip + 6, 2) & MORE_OR_LATER;
	for (struct span *s = lead; s; s = s->next)
		if (!s->idle && (nat_owns(router_nat(s->router), &v.ip.dst) ||
					(!piece && nat_knows(router_nat(s->router), ip, &v.ip))))
			return s;
	return way_of_flow(b, lead, &v.ip, piece);
}

static void inside_received(struct board *b, struct span *lead, uint64_t now_ns)
{
	struct eth_view v;
	struct eth_neighbour n;
	bool answer = eth_read(b->in.b, b->in.len, &v) && eth_read_neighbour(b->in.b, b->in.len, &v, &n) &&
		      !n.request;
	struct span *way = answer ? NULL : way_out(b, lead);
	for (struct span *s = lead; s; s = s->next)
		if (answer || s == way) {
			s->now_ns = now_ns;
			router_received(s->router, ROUTER_LAN, &b->in, now_ns);
		}
}

/* ---- in ---- */

static bool is_shared_out(struct board *b, const struct span *s)
{
	enum router_share share = s->host ? router_share(s->router, &b->in) : ROUTER_SHARE_ROUTER;
	if (share != ROUTER_SHARE_ROUTER)
		b->ops.send(b->owner, s->host, b->in.b, b->in.len);
	return share == ROUTER_SHARE_HOST;
}

void board_received(struct board *b, int port, const uint8_t *frame, size_t len, uint64_t now_ns)
{
	struct span *s = span_of(b, port);
	bool first = port % 2 == 0;
	struct crossing c = { .b = b, .s = s, .now_ns = now_ns, .back_port = port, .back_goal = GOAL_PORT };
	if (len > ETH_FRAME_MAX || len < ETH_HEADER)
		return;
	b->in.len = (uint16_t)len;
	memcpy(b->in.b, frame, len);
	s->now_ns = now_ns;
	if (s->lan) {
		b->ops.send(b->owner, s->lan, b->in.b, b->in.len);
		return;
	}
	if (s->router && !first && is_shared_out(b, s))
		return;
	if (s->router && !first && s->next) {
		inside_received(b, s, now_ns);
		return;
	}
	if (s->router && !(first && s->has_link)) {
		router_received(s->router, first ? ROUTER_WAN : ROUTER_LAN, &b->in, now_ns);
		return;
	}
	c.l = s->router || !first ? &s->down : &s->up;
	c.goal = s->router ? GOAL_WAN : GOAL_PORT;
	c.port = s->router ? port : port ^ 1;
	cross(&c, &b->in);
}

void board_tick(struct board *b, uint64_t now_ns)
{
	while (b->heap.n && b->heap.v[0]->due_ms <= now_ns) {
		struct held *h = heap_owner(b->heap.v[0], struct held, due);
		heap_remove(&b->heap, &h->due);
		b->held_bytes -= h->len;
		b->in.len = h->len;
		memcpy(b->in.b, h->b, h->len);
		reach(b, &b->in, h->goal, h->port, now_ns);
		free(h);
	}
	for (size_t i = 0; i < b->n; i++)
		if (b->spans[i]->router && router_nat(b->spans[i]->router))
			nat_tick(router_nat(b->spans[i]->router), now_ns);
}

uint64_t board_deadline_ns(const struct board *b)
{
	uint64_t at = b->heap.n ? b->heap.v[0]->due_ms : UINT64_MAX;
	for (size_t i = 0; i < b->n; i++) {
		struct nat *n = b->spans[i]->router ? router_nat(b->spans[i]->router) : NULL;
		uint64_t one = n ? nat_deadline_ns(n) : UINT64_MAX;
		at = one < at ? one : at;
	}
	return at;
}
