/* Three things follow the map, in this order when it grows: guard (own addresses), addresses, routes with the
 * guard's peers; and the other way round when all of it goes. A fourth follows the machine: what it needs
 * outside of the mesh (list_outside) is left out of routes and guard, and is looked at anew whenever its
 * links, routes or nameservers change; so are the networks behind peers, beside those around (net_plan.h). The kernel tells what others do to us (monitor_ready); what we do
 * through this file's own sockets is no news, so that putting back never answers itself. */
#include "mesh/node/host/iface.h"
#include "mesh/base/log.h"
#include "mesh/node/host/around.h"
#include "mesh/node/host/guard.h"
#include "mesh/node/host/net_plan.h"
#include "mesh/node/host/net_table.h"
#include "mesh/node/host/route_table.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static_assert((int)IFACE_BEGUN == (int)ROUTE_TABLE_BEGUN, "told on as it is");
enum { ADDRS_MAX = 16, LOCAL_MAX = 256, NAMESERVERS_MAX = 16, OUTSIDE_MAX = NAMESERVERS_MAX + LOCAL_MAX + 2 };

struct iface {
	struct nl *nl, *route_nl; /* route_nl: of `routes` alone, which has a thread use it */
	int index;
	char name[16], conflict[224], overlap[224];
	struct prefix addrs[ADDRS_MAX]; /* what is set now */
	size_t n_addrs;
	struct addr nameservers[NAMESERVERS_MAX];
	size_t n_nameservers;
	struct addr_bag peers;	   /* as the map has them */
	struct addr_set needed;	   /* by the machine, outside of the mesh */
	struct addr_set outside;   /* peers' addresses among them */
	bool owed;		   /* `routes` or the guard may not have what follows from these */
	struct route_table routes; /* those without what the machine needs outside */
	struct prefix *nets;	   /* behind peers, as they are wished */
	size_t n_nets;
	bool nets_before_own, exit_keeps_own;
	struct net_table net_routes;
	struct guard *guard;
	bool guard_stays; /* when it is closed */
	struct iface_options o;
	int monitor_fd;
	struct loop_fd *monitor;
};

bool iface_service_taken(void)
{
	struct nl_addr all[LOCAL_MAX];
	struct nl *nl = nl_open(NULL);
	int n = nl ? nl_addr_list(nl, all, LOCAL_MAX, NULL) : 0;
	bool taken = false;
	for (int k = 0; k < n && k < LOCAL_MAX; k++)
		taken = taken || addr_is_service(&all[k].p.ip);
	nl_close(nl);
	return taken;
}

/* --- addresses --- */

static bool has_address(const struct prefix *v, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_equal(&v[i], p))
			return true;
	}
	return false;
}

/* A machine without IPv6 keeps working with what it has. */
static bool v6_missing(const struct prefix *p, int err)
{
	if (addr_is_v4(&p->ip))
		return false;
	log_info("no IPv6 on this machine: %s", err_text(err));
	return true;
}

/* A /32 that comes after the node's own is not chosen in IPv4; IPv6 must be told. */
static int add_address(struct iface *i, const struct prefix *p, struct errbuf *eb)
{
	bool aside = !addr_is_v4(&p->ip) && addr_is_service(&p->ip);
	return aside ? nl_addr_add_deprecated(i->nl, i->index, p, eb) : nl_addr_add(i->nl, i->index, p, eb);
}

/* An address that the kernel did not take is not among those that are set. */
static int apply_addrs(struct iface *i, const struct prefix *addrs, size_t n, struct errbuf *eb)
{
	struct prefix set[ADDRS_MAX];
	size_t k = 0;
	int first = 0;
	for (size_t j = 0; j < i->n_addrs; j++) {
		if (!has_address(addrs, n, &i->addrs[j]))
			nl_addr_del(i->nl, i->index, &i->addrs[j], NULL);
	}
	for (size_t j = 0; j < n && k < ADDRS_MAX; j++) {
		int err = has_address(i->addrs, i->n_addrs, &addrs[j]) ? 0 : add_address(i, &addrs[j], eb);
		if (!err || v6_missing(&addrs[j], err))
			set[k++] = addrs[j];
		else if (!first)
			first = err;
	}
	memcpy(i->addrs, set, k * sizeof(set[0]));
	i->n_addrs = k;
	int up = nl_link_up(i->nl, i->index, true, first ? NULL : eb);
	return first ? first : up;
}

/* --- peers --- */

/* Gateways of the default routes, nameservers, and the machine's addresses elsewhere. */
static size_t list_outside(struct iface *i, struct addr out[static OUTSIDE_MAX])
{
	const struct addr far[] = { addr_v4(0x01010101), { { 0x26, 0x06, 0x47, 0, [15] = 1 } } };
	struct nl_route r;
	size_t n = iface_local(i, out, LOCAL_MAX);
	for (size_t j = 0; j < ARRAY_LEN(far); j++)
		if (nl_route_get(i->nl, &far[j], SOCK_MARK_OUTSIDE, &r) == 0 && r.ifindex != i->index &&
			!addr_is_unspecified(&r.via))
			out[n++] = r.via;
	for (size_t j = 0; j < i->n_nameservers; j++)
		out[n++] = i->nameservers[j];
	return n;
}

static void tell_conflict(struct iface *i)
{
	char text[sizeof(i->conflict)] = "", ip[ADDR_TEXT];
	if (i->outside.n)
		snprintf(text, sizeof(text),
			"this machine needs %s outside of the mesh (gateway, nameserver or address of its "
			"own): the peer with that address is reached by its other address alone, if it has "
			"one",
			addr_format(&i->outside.v[0], ip));
	if (text[0] && strcmp(text, i->conflict) != 0)
		log_warn("%s", text);
	memcpy(i->conflict, text, sizeof(text));
}

/* false: memory is short. *others: it is not what it was. */
static bool look_outside(struct iface *i, bool *others)
{
	struct addr list[OUTSIDE_MAX];
	struct addr_set now = { 0 };
	if (!addr_set_assign(&now, list, list_outside(i, list)))
		return false;
	*others = !addr_set_equal(&now, &i->needed);
	addr_set_free(&i->needed);
	i->needed = now;
	return true;
}

/* By what the machine needs outside. */
static int tell_peers(struct iface *i, struct errbuf *eb)
{
	struct addr_set all = addr_bag_all(&i->peers), peers = { 0 }, want = { 0 }, both = { 0 };
	bool ok = addr_set_assign(&peers, all.v, all.n) && addr_set_minus(&peers, &i->needed, &want) &&
		  addr_set_common(&peers, &i->needed, &both);
	int err = ok ? route_table_set(&i->routes, &want, eb) : err_set(eb, -ENOMEM, "set up %s", i->name);
	if (ok) {
		addr_set_free(&i->outside);
		i->outside = both;
		tell_conflict(i);
		if (!guard_peers(i->guard, want.v, want.n) && !err)
			err = err_set(eb, -ENOMEM, "guard %s", i->name);
	}
	addr_set_free(&peers);
	addr_set_free(&want);
	i->owed = err != 0;
	return err;
}

static int apply_peers(struct iface *i, struct errbuf *eb)
{
	bool others;
	return look_outside(i, &others) ? tell_peers(i, eb) : err_set(eb, -ENOMEM, "set up %s", i->name);
}

/* The machine is another, perhaps. Where it needs the same as before, nothing is waited for. */
static void follow_machine(struct iface *i)
{
	bool others = true;
	if (!look_outside(i, &others) || others || i->owed)
		tell_peers(i, NULL);
}

/* Each address that a change names, by whether some peer has it now. false: memory is short. */
static bool sort_change(const struct iface *i, const struct addr *v, size_t n, struct addr_set *come,
	struct addr_set *gone, bool *needed)
{
	bool ok = true;
	for (size_t k = 0; ok && k < n; k++) {
		*needed = *needed || addr_set_has(&i->needed, &v[k]);
		ok = addr_set_add(addr_bag_has(&i->peers, &v[k]) ? come : gone, &v[k]);
	}
	return ok;
}

static void routes_ended(void *arg, const struct errbuf *why)
{
	struct iface *i = arg;
	i->o.routed(i->o.arg, why);
}

/* What the machine needs outside of the mesh is as the kernel's news left it. */
int iface_peers_change(struct iface *i, const struct addr *gone, size_t n_gone, const struct addr *come,
	size_t n_come, struct errbuf *eb)
{
	struct addr_set here = { 0 }, away = { 0 };
	bool ok = n_gone + n_come <= IFACE_CHANGE_MAX, needed = false;
	for (size_t k = 0; ok && k < n_gone; k++)
		addr_bag_remove(&i->peers, &gone[k]);
	for (size_t k = 0; ok && k < n_come; k++)
		ok = addr_bag_add(&i->peers, &come[k]);
	ok = ok && sort_change(i, gone, n_gone, &here, &away, &needed) &&
	     sort_change(i, come, n_come, &here, &away, &needed);
	int err;
	if (!ok) {
		err = err_set(eb, -ENOMEM, "set up %s", i->name);
	} else if (needed) {
		err = apply_peers(i, eb);
	} else {
		err = route_table_change(&i->routes, &here, &away, eb);
		if (!guard_peers_change(i->guard, &here, &away) && err >= 0)
			err = err_set(eb, -ENOMEM, "guard %s", i->name);
	}
	addr_set_free(&here);
	addr_set_free(&away);
	return err;
}

/* The first address of the family that is not the resolver's. */
static struct addr source_of(const struct iface *i, bool v4)
{
	for (size_t j = 0; j < i->n_addrs; j++)
		if (addr_is_v4(&i->addrs[j].ip) == v4 && !addr_is_service(&i->addrs[j].ip))
			return i->addrs[j].ip;
	return (struct addr) { 0 };
}

/* --- networks behind peers --- */

static void tell_overlap(struct iface *i, const struct prefix *p)
{
	char text[sizeof(i->overlap)] = "", net[PREFIX_TEXT];
	if (p->bits != UINT8_MAX)
		snprintf(text, sizeof(text),
			"a peer carries %s, and this machine is there itself: what goes there stays outside "
			"of "
			"the mesh (ropewalk set --routes-prefer=mesh sends it to the peer)",
			prefix_format(p, net));
	if (text[0] && strcmp(text, i->overlap) != 0)
		log_warn("%s", text);
	memcpy(i->overlap, text, sizeof(text));
}

static int apply_nets(struct iface *i, struct errbuf *eb)
{
	struct prefix around[LOCAL_MAX], left_out = { .bits = UINT8_MAX };
	struct net_plan p = { .nets = i->nets,
		.n_nets = i->n_nets,
		.around = around,
		.ifindex = i->index,
		.src4 = source_of(i, true),
		.src6 = source_of(i, false),
		.before_own = i->nets_before_own,
		.keep_own = i->exit_keeps_own };
	size_t n = 0;
	if (!i->n_nets && !i->net_routes.n) {
		tell_overlap(i, &left_out);
		return 0;
	}
	p.n_around = around_list(i->nl, i->index, around, LOCAL_MAX);
	struct nl_route *v = net_plan_routes(&p, &n, &left_out);
	int err = v ? net_table_set(&i->net_routes, v, n, eb)
		    : err_set(eb, -ENOMEM, "route the networks of the mesh");
	free(v);
	tell_overlap(i, &left_out);
	return err;
}

int iface_nets_set(struct iface *i, const struct iface_nets *w, struct errbuf *eb)
{
	struct prefix *copy = malloc((w->n + 1) * sizeof(*copy));
	if (!copy)
		return err_set(eb, -ENOMEM, "route the networks of the mesh");
	if (w->n)
		memcpy(copy, w->v, w->n * sizeof(*copy));
	free(i->nets);
	i->nets = copy;
	i->n_nets = w->n;
	i->nets_before_own = w->before_own;
	i->exit_keeps_own = w->exit_keeps_own;
	return apply_nets(i, eb);
}

bool iface_serve(struct iface *i, const struct guard_service *s)
{
	return guard_serve(i->guard, s);
}

void iface_rules_allow(struct iface *i, bool allowed)
{
	guard_allow(i->guard, allowed);
}

/* --- the whole --- */

int iface_apply(struct iface *i, const struct prefix *addrs, size_t n_addrs, const struct addr *peers,
	size_t n_peers, struct errbuf *eb)
{
	struct addr own[ADDRS_MAX];
	size_t n = n_addrs < ADDRS_MAX ? n_addrs : ADDRS_MAX;
	if (!addr_bag_assign(&i->peers, peers, n_peers))
		return err_set(eb, -ENOMEM, "set up %s", i->name);
	for (size_t j = 0; j < n; j++)
		own[j] = addrs[j].ip;
	if (n && !guard_own(i->guard, own, n)) /* no address without it */
		return err_set(eb, -ENOMEM, "guard %s", i->name);
	int err = apply_addrs(i, addrs, n, eb);
	struct addr src4 = source_of(i, true), src6 = source_of(i, false);
	route_table_source(&i->routes, &src4, &src6);
	int err2 = apply_peers(i, err ? NULL : eb);
	int err3 = apply_nets(i, err || err2 ? NULL : eb);
	if (!n)
		(void)guard_own(i->guard, NULL, 0);
	return err ? err : err2 ? err2 : err3;
}

void iface_nameservers_set(struct iface *i, const struct addr *v, size_t n)
{
	n = n < NAMESERVERS_MAX ? n : NAMESERVERS_MAX;
	if (n == i->n_nameservers && (!n || memcmp(v, i->nameservers, n * sizeof(*v)) == 0))
		return;
	if (n)
		memcpy(i->nameservers, v, n * sizeof(*v));
	i->n_nameservers = n;
	follow_machine(i);
}

/* --- what others do --- */

/* Up, addresses, routes. What is there stays, without news of it. */
void iface_repair(struct iface *i)
{
	if (!i->n_addrs)
		return;
	nl_link_up(i->nl, i->index, true, NULL);
	for (size_t k = 0; k < i->n_addrs; k++)
		add_address(i, &i->addrs[k], NULL);
	route_table_repair(&i->routes);
	net_table_repair(&i->net_routes);
}

static void monitor_ready(void *arg, int events)
{
	struct iface *i = arg;
	struct nl_part ours = { .ifindex = i->index, .tables = { i->routes.table, i->net_routes.table } };
	unsigned news = nl_monitor_read(i->monitor_fd, &ours);
	(void)events;
	if (!news)
		return;
	if (news & NL_NEWS_OURS)
		iface_repair(i);
	guard_links_changed(i->guard);
	follow_machine(i);
	apply_nets(i, NULL);
	i->o.changed(i->o.arg);
}

static void guard_turned(void *arg)
{
	struct iface *i = arg;
	i->o.changed(i->o.arg);
}

static int open_monitor(struct iface *i, struct loop *l, struct errbuf *eb)
{
	const struct nl *own[] = { i->nl, i->route_nl };
	i->monitor_fd = nl_monitor_open(own, ARRAY_LEN(own), eb);
	if (i->monitor_fd < 0)
		return i->monitor_fd;
	i->monitor = loop_fd_new(l, i->monitor_fd, monitor_ready, i);
	if (!i->monitor)
		return err_set(eb, -ENOMEM, "watch for network changes");
	loop_fd_set(i->monitor, LOOP_READ);
	return 0;
}

/* --- open and close --- */

struct iface *iface_open(struct loop *l, const struct iface_options *o, struct errbuf *eb)
{
	struct iface *i = calloc(1, sizeof(*i));
	if (!i) {
		err_set(eb, -ENOMEM, "set up %s", o->name);
		return NULL;
	}
	i->o = *o;
	i->monitor_fd = -1;
	snprintf(i->name, sizeof(i->name), "%s", o->name);
	i->nl = nl_open(eb);
	i->route_nl = i->nl ? nl_open(eb) : NULL;
	if (!i->route_nl)
		goto close;
	i->index = nl_link_index(i->nl, o->name);
	if (i->index <= 0) {
		err_set(eb, i->index, "find interface %s", o->name);
		goto close;
	}
	net_table_init(
		&i->net_routes, i->nl, NET_TABLE_BASE + (uint32_t)i->index, NET_RULE_PRIORITY, o->journal);
	i->guard = guard_open(l, i->nl, i->name, o->journal);
	if (!i->guard) {
		err_set(eb, -ENOMEM, "set up %s", o->name);
		goto close;
	}
	guard_watch(i->guard, guard_turned, i);
	const struct route_table_events re = { .ended = routes_ended, .arg = i };
	if (nl_link_mtu(i->nl, i->index, o->mtu, eb) != 0 ||
		route_table_open(&i->routes, l, i->route_nl, i->index, o->journal, &re, eb) != 0 ||
		open_monitor(i, l, eb) != 0)
		goto close;
	return i;
close:
	iface_close(i);
	return NULL;
}

void iface_close(struct iface *i)
{
	if (!i)
		return;
	loop_fd_free(i->monitor);
	if (i->monitor_fd >= 0)
		close(i->monitor_fd);
	if (i->guard_stays && i->guard)
		guard_leave(i->guard);
	else
		guard_close(i->guard);
	net_table_close(&i->net_routes);
	free(i->nets);
	if (i->routes.nl)
		route_table_close(&i->routes, i->o.journal);
	addr_bag_free(&i->peers);
	addr_set_free(&i->needed);
	addr_set_free(&i->outside);
	nl_close(i->nl);
	nl_close(i->route_nl);
	free(i);
}

void iface_guard_stays(struct iface *i)
{
	i->guard_stays = true;
}

size_t iface_local(struct iface *i, struct addr *out, size_t cap)
{
	struct nl_addr all[LOCAL_MAX];
	int n = nl_addr_list(i->nl, all, LOCAL_MAX, NULL);
	size_t count = 0;
	for (int k = 0; k < n && k < LOCAL_MAX && count < cap; k++) {
		if (all[k].up && all[k].ifindex != i->index && !addr_is_loopback(&all[k].p.ip) &&
			!addr_is_link_local(&all[k].p.ip))
			out[count++] = all[k].p.ip;
	}
	return count;
}

const struct addr_set *iface_outside(const struct iface *i)
{
	return &i->outside;
}

const char *iface_unguarded(const struct iface *i)
{
	return guard_problem(i->guard);
}

const char *iface_conflict(const struct iface *i)
{
	return i->conflict;
}

const char *iface_overlap(const struct iface *i)
{
	return i->overlap;
}

size_t iface_around(struct iface *i, struct prefix *out, size_t cap)
{
	return around_list(i->nl, i->index, out, cap);
}
