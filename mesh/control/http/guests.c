#include "mesh/control/http/guests.h"

#include "mesh/web/throttle.h"

enum {
	VISITS_MAX = 2048,
	STRANGERS_MAX = 1024,
	ADMINS_MAX = 16,
	RESERVED = 32, /* descriptors for the database, listeners, the admin socket */
	SHARE = 4 /* one address may have this part of the places, FEW at least */,
	FEW = 8
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

void guests_init(struct guests *all, size_t descriptors, uint64_t seed)
{
	const size_t quarter = descriptors / 4;
	*all = (struct guests) { 0 };
	table_init(&all->by_machine, sizeof(struct machine_key), seed);
	for (size_t i = 0; i < GUEST_KINDS; i++)
		all->kinds[i].end = &all->kinds[i].first;
	all->kinds[GUEST_VISIT].most = least(quarter, VISITS_MAX);
	all->kinds[GUEST_STRANGER].most = least(quarter, STRANGERS_MAX);
	all->kinds[GUEST_NODE].most = quarter * 2 > RESERVED + quarter ? quarter * 2 - RESERVED : quarter;
	all->kinds[GUEST_ADMIN].most = ADMINS_MAX;
	all->per_net = all->kinds[GUEST_STRANGER].most / SHARE;
	if (all->per_net < FEW)
		all->per_net = FEW;
}

void guests_fini(struct guests *all)
{
	table_fini(&all->by_machine);
}

static bool is_charged(const struct guest *g)
{
	return g->kind == GUEST_VISIT || g->kind == GUEST_STRANGER;
}

static void list_join(struct guest_list *l, struct guest *g)
{
	g->next = NULL;
	g->at = l->end;
	*l->end = g;
	l->end = &g->next;
	l->n++;
}

static void list_leave(struct guest *g)
{
	struct guest_list *l = &g->all->kinds[g->kind];
	*g->at = g->next;
	if (g->next)
		g->next->at = g->at;
	else
		l->end = g->at;
	l->n--;
}

/* Out of the chain of its machine's links. */
static void machine_leave(struct guest *g)
{
	struct table *t = &g->all->by_machine;
	struct guest *o = table_get(t, &g->machine);
	if (o == g && g->same)
		(void)table_put(t, &g->machine, g->same);
	else if (o == g)
		table_remove(t, &g->machine);
	while (o && o->same != g)
		o = o->same;
	if (o)
		o->same = g->same;
	g->same = NULL;
}

/* Its newest; the oldest when it has as many as it may, else NULL. */
static struct guest *machine_join(struct guest *g)
{
	struct table *t = &g->all->by_machine;
	struct guest *o = table_get(t, &g->machine);
	size_t n = 1;
	if (!table_put(t, &g->machine, g))
		return NULL; /* no memory: not counted, and closed as any */
	g->same = o;
	for (; o && o->same; o = o->same)
		n++;
	return n >= GUEST_LINKS_PER_MACHINE ? o : NULL;
}

void guest_leave(struct guest *g)
{
	if (g->kind == GUEST_NODE)
		machine_leave(g);
	if (is_charged(g))
		g->all->bytes -= g->bytes;
	g->bytes = 0;
	list_leave(g);
}

static void turn_away(struct guests *all, struct guest *g, uint64_t now_ms)
{
	static const char *const names[GUEST_KINDS] = { [GUEST_VISIT] = "visitors",
		[GUEST_STRANGER] = "machines that wait to join",
		[GUEST_NODE] = "links of nodes",
		[GUEST_ADMIN] = "admins" };
	all->turned_away++;
	if (log_allowed(&all->said, 1, now_ms))
		log_warn("too many %s: the oldest are closed", names[g->kind]);
	g->turn_away(g);
}

/* The oldest of its address when that has its share, else the oldest of all when the places are taken. */
static void guests_make_room(struct guests *all, const struct guest *newcomer, uint64_t now_ms)
{
	struct guest_list *l = &all->kinds[newcomer->kind];
	struct guest *oldest = NULL;
	size_t same = 0;
	for (struct guest *g = is_charged(newcomer) ? l->first : NULL; g; g = g->next)
		if (addr_equal(&g->net, &newcomer->net)) {
			oldest = oldest ? oldest : g;
			same++;
		}
	if (oldest && same >= all->per_net)
		turn_away(all, oldest, now_ms);
	else if (l->n >= l->most && l->first)
		turn_away(all, l->first, now_ms);
}

void guest_arrive(struct guests *all, struct guest *g, const struct endpoint *peer, uint64_t now_ms)
{
	g->all = all;
	g->bytes = 0;
	g->net = peer ? throttle_net(&peer->ip) : (struct addr) { { 0 } };
	guests_make_room(all, g, now_ms);
	list_join(&all->kinds[g->kind], g);
}

void guest_is_node(struct guest *g, const struct machine_key *machine, uint64_t now_ms)
{
	struct guests *all = g->all;
	if (g->kind == GUEST_NODE)
		return;
	guest_leave(g);
	g->kind = GUEST_NODE;
	g->machine = *machine;
	guests_make_room(all, g, now_ms);
	list_join(&all->kinds[GUEST_NODE], g);
	struct guest *oldest = machine_join(g);
	if (oldest)
		turn_away(all, oldest, now_ms);
}

bool guest_charge(struct guest *g, long bytes, uint64_t now_ms)
{
	struct guests *all = g->all;
	if (!is_charged(g))
		return true;
	if (bytes <= 0) {
		size_t less = (size_t)-bytes < g->bytes ? (size_t)-bytes : g->bytes;
		g->bytes -= less;
		all->bytes -= less;
		return true;
	}
	while (all->bytes + (size_t)bytes > GUEST_BYTES_MAX) {
		struct guest *o = all->kinds[GUEST_STRANGER].first;
		while (o && (o == g || !o->bytes))
			o = o->next;
		if (!o)
			return false;
		turn_away(all, o, now_ms);
	}
	g->bytes += (size_t)bytes;
	all->bytes += (size_t)bytes;
	return true;
}
