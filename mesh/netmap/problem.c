#include "mesh/netmap/doubles.h"

#include "mesh/base/sorted.h"
#include <stdlib.h>
#include <string.h>

void problem_note(struct problem_list *l, const struct ctl_problem *p)
{
	if (l->n < CTL_PROBLEMS_MAX)
		l->v[l->n++] = *p;
	else
		l->more++;
}

static const char lost_member[] = "Peers.Addresses";

void problem_note_found(struct problem_list *l, const struct ctl_problem *p)
{
	size_t more = l->more;
	problem_note(l, p);
	l->more_found += l->more - more;
}

/* --- addresses --- */

void problem_note_lost(struct problem_list *l, const struct ctl_node *it, const struct prefix *address,
	const struct ctl_node *owner)
{
	char text[PREFIX_TEXT];
	struct ctl_problem x = { .member = lost_member, .node = it->id };
	x.text = arena_printf(&l->arena,
		"Peers[%s].Addresses: %s: it is also that of %s: %s cannot be reached by it", it->name,
		prefix_format(address, text), owner->name, it->name);
	if (x.text)
		problem_note_found(l, &x);
}

/* Why p may not be an address of a node; NULL: it may. own: this machine's, which is nobody else's. */
static const char *address_fault(const struct prefix *p, const struct ctl_node *own)
{
	if (p->bits != (addr_is_v4(&p->ip) ? 32 : 128) || !addr_is_mesh(&p->ip))
		return "not a single address of the mesh (100.64.0.0/10, fd7a:115c:a1e0::/48)";
	if (addr_is_service(&p->ip))
		return "the address of every node's resolver";
	return own && ctl_node_has(own, &p->ip) ? "this machine's own address" : NULL;
}

struct usable {
	struct problem_list *l;
	const struct ctl_node *told, *own;
	bool self;
	const struct prefix
		*sorted; /* addresses of told; NULL: as few as they are, they are looked through */
};

enum { LOOK_THROUGH_MAX = 8 };

static int compare_prefixes(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int by_ip = memcmp(x->ip.b, y->ip.b, sizeof(x->ip.b));
	return by_ip ? by_ip : (x->bits > y->bits) - (x->bits < y->bits);
}

static bool prefix_before(const void *v, size_t i, const void *key)
{
	return compare_prefixes(&((const struct prefix *)v)[i], key) < 0;
}

/* Memory that is short is the list's to tell. */
static const struct prefix *sort_addresses(struct problem_list *l, const struct ctl_prefixes *all)
{
	if (all->n <= LOOK_THROUGH_MAX)
		return NULL;
	struct prefix *v = arena_memdup(&l->arena, all->v, all->n * sizeof(*v));
	if (v)
		qsort(v, all->n, sizeof(*v), compare_prefixes);
	return v;
}

static bool is_address(const struct usable *u, const struct prefix *p)
{
	const struct ctl_prefixes *all = &u->told->addresses;
	if (u->sorted) {
		size_t i = sorted_before(u->sorted, all->n, p, prefix_before);
		return i < all->n && prefix_equal(&u->sorted[i], p);
	}
	for (size_t i = 0; i < all->n && i < LOOK_THROUGH_MAX; i++)
		if (prefix_equal(&all->v[i], p))
			return true;
	return false;
}

static void note_prefix(const struct usable *u, const char *field, const struct prefix *p, const char *fault)
{
	char text[PREFIX_TEXT];
	struct problem_list *l = u->l;
	struct ctl_problem x = { .member = u->self ? "Node" : "Peers", .node = u->told->id };
	prefix_format(p, text);
	x.text = u->self ? arena_printf(&l->arena, "Node.%s: %s: %s", field, text, fault)
			 : arena_printf(&l->arena, "Peers[%s].%s: %s: %s", u->told->name, field, text, fault);
	if (x.text)
		problem_note(l, &x);
}

static const char *fault_of_address(const struct usable *u, const struct prefix *p)
{
	return address_fault(p, u->own);
}

/* An address of its own is allowed where it may be one; that it may not has been said. */
static const char *fault_of_allowed(const struct usable *u, const struct prefix *p)
{
	if (is_address(u, p))
		return address_fault(p, u->own) ? "" : NULL;
	return prefix_route_fault(p);
}

/* Those of all without a fault; all itself where none has one. */
static struct ctl_prefixes keep_usable(const struct usable *u, const char *field,
	const struct ctl_prefixes *all, const char *(*fault)(const struct usable *u, const struct prefix *p))
{
	size_t good = 0;
	while (good < all->n && !fault(u, &all->v[good]))
		good++;
	if (good == all->n)
		return *all;
	struct ctl_prefixes kept = { .v = arena_array(&u->l->arena, all->n, sizeof(*kept.v)) };
	for (size_t i = 0; kept.v && i < all->n; i++) {
		const char *why = fault(u, &all->v[i]);
		if (!why)
			kept.v[kept.n++] = all->v[i];
		else if (*why)
			note_prefix(u, field, &all->v[i], why);
	}
	return kept;
}

static const struct ctl_node *usable_node(struct problem_list *l, const struct ctl_node *told,
	const struct ctl_node *own, bool self, struct ctl_node *copy)
{
	const struct usable u = {
		.l = l, .told = told, .own = own, .self = self, .sorted = sort_addresses(l, &told->addresses)
	};
	struct ctl_prefixes addresses = keep_usable(&u, "Addresses", &told->addresses, fault_of_address);
	struct ctl_prefixes allowed = keep_usable(&u, "AllowedIPs", &told->allowed_ips, fault_of_allowed);
	if (addresses.v == told->addresses.v && allowed.v == told->allowed_ips.v)
		return told;
	*copy = *told;
	copy->addresses = addresses;
	copy->allowed_ips = allowed;
	return copy;
}

const struct ctl_node *problem_usable_peer(struct problem_list *l, const struct ctl_node *told,
	const struct ctl_node *self, struct ctl_node *copy)
{
	return usable_node(l, told, self, false, copy);
}

const struct ctl_node *problem_usable_self(
	struct problem_list *l, const struct ctl_node *told, struct ctl_node *copy)
{
	return usable_node(l, told, NULL, true, copy);
}

/* --- how long a problem lasts --- */

static bool list_has(const struct ctl_node *v, size_t n, int64_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].id == id)
			return true;
	}
	return false;
}

static bool says_node(const struct ctl_map_response *m, int64_t id)
{
	return (m->node && m->node->id == id) || list_has(m->peers, m->n_peers, id) ||
	       list_has(m->peers_changed, m->n_changed, id);
}

static bool says_member(const struct ctl_map_response *m, const char *member)
{
	const struct {
		const char *name;
		bool here;
	} rows[] = { { "DERPMap", m->derp_map }, { "DNSConfig", m->dns }, { "PacketFilter", m->has_filter },
		{ "PacketFilters", m->n_filters || m->filters_clear }, { "UserProfiles", m->n_users },
		{ "Domain", m->domain }, { "Health", m->has_health } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].here && strcmp(rows[i].name, member) == 0)
			return true;
	}
	for (size_t i = 0; i < m->n_problems; i++) {
		if (strcmp(m->problems[i].member, member) == 0)
			return true;
	}
	return false;
}

static bool still_stands(
	const struct ctl_problem *p, const struct netmap *next, const struct ctl_map_response *m)
{
	if (strcmp(p->member, doubles_member) == 0 || strcmp(p->member, lost_member) == 0)
		return false; /* looked for each time */
	if (!p->node)
		return !says_member(m, p->member);
	bool here = netmap_peer_by_id(next, p->node) || (next->self && next->self->node.id == p->node);
	return here && !says_node(m, p->node);
}

void problem_list_finish(struct problem_list *l, const struct netmap *next, const struct netmap *old,
	const struct ctl_map_response *m)
{
	l->more += m->more_problems;
	for (size_t i = 0; i < m->n_problems; i++)
		problem_note(l, &m->problems[i]);
	for (size_t i = 0; old && i < old->n_problems; i++) {
		if (still_stands(&old->problems[i], next, m))
			problem_note(l, &old->problems[i]);
	}
	if (old && old->more_problems - old->more_found > l->more)
		l->more = old->more_problems - old->more_found;
}

bool problem_list_equal(const struct problem_list *l, const struct netmap *m)
{
	if (l->n != m->n_problems || l->more != m->more_problems || l->more_found != m->more_found)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].node != m->problems[i].node || strcmp(l->v[i].text, m->problems[i].text) != 0)
			return false;
	}
	return true;
}
