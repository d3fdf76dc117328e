/* Three things follow the map, in this order when it grows: guard (own addresses), addresses, routes with the
 * guard's peers; and the other way round when all of it goes. A fourth follows the machine: what it needs
 * outside of the mesh (list_outside) is left out of routes and guard, and is looked at anew whenever its
 * links, routes or nameservers change. The kernel tells what others do to us (monitor_ready); what we do
 * through this file's own socket is no news, so that putting back never answers itself. */
#include "mesh/node/host/iface.h"
#include "mesh/base/log.h"
#include "mesh/node/host/guard.h"
#include "mesh/node/host/route_table.h"
#include "mesh/os/netlink.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ADDRS_MAX = 16, LOCAL_MAX = 256, NAMESERVERS_MAX = 16, OUTSIDE_MAX = NAMESERVERS_MAX + LOCAL_MAX + 2 };

struct iface {
	struct nl *nl;
	int index;
	char name[16], conflict[160];
	struct prefix addrs[ADDRS_MAX]; /* what is set now */
	size_t n_addrs;
	struct addr nameservers[NAMESERVERS_MAX];
	size_t n_nameservers;
	struct addr_set peers;	   /* as the map has them */
	struct route_table routes; /* those without what the machine needs outside */
	struct guard *guard;
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
		if (nl_route_get(i->nl, &far[j], &r) == 0 && r.ifindex != i->index &&
			!addr_is_unspecified(&r.via))
			out[n++] = r.via;
	for (size_t j = 0; j < i->n_nameservers; j++)
		out[n++] = i->nameservers[j];
	return n;
}

static void tell_conflict(struct iface *i, const struct addr_set *both)
{
	char text[sizeof(i->conflict)] = "", ip[ADDR_TEXT];
	if (both->n)
		snprintf(text, sizeof(text),
			"this machine needs %s outside of the mesh (gateway, nameserver or address of its "
			"own): the peer "
			"with that address cannot be reached",
			addr_format(&both->v[0], ip));
	if (text[0] && strcmp(text, i->conflict) != 0)
		log_warn("%s", text);
	memcpy(i->conflict, text, sizeof(text));
}

static int apply_peers(struct iface *i, struct errbuf *eb)
{
	struct addr list[OUTSIDE_MAX];
	struct addr_set outside = { 0 }, want = { 0 }, both = { 0 };
	bool ok = addr_set_assign(&outside, list, list_outside(i, list)) &&
		  addr_set_minus(&i->peers, &outside, &want) && addr_set_common(&i->peers, &outside, &both);
	int err = ok ? route_table_set(&i->routes, &want, eb) : err_set(eb, -ENOMEM, "set up %s", i->name);
	if (ok) {
		tell_conflict(i, &both);
		guard_peers(i->guard, want.v, want.n);
	}
	addr_set_free(&outside);
	addr_set_free(&want);
	addr_set_free(&both);
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

int iface_apply(struct iface *i, const struct prefix *addrs, size_t n_addrs, const struct addr *peers,
	size_t n_peers, struct errbuf *eb)
{
	struct addr own[ADDRS_MAX];
	size_t n = n_addrs < ADDRS_MAX ? n_addrs : ADDRS_MAX;
	if (!addr_set_assign(&i->peers, peers, n_peers))
		return err_set(eb, -ENOMEM, "set up %s", i->name);
	for (size_t j = 0; j < n; j++)
		own[j] = addrs[j].ip;
	if (n)
		guard_own(i->guard, own, n);
	int err = apply_addrs(i, addrs, n, eb);
	struct addr src4 = source_of(i, true), src6 = source_of(i, false);
	route_table_source(&i->routes, &src4, &src6);
	int err2 = apply_peers(i, err ? NULL : eb);
	if (!n)
		guard_own(i->guard, NULL, 0);
	return err ? err : err2;
}

void iface_nameservers_set(struct iface *i, const struct addr *v, size_t n)
{
	n = n < NAMESERVERS_MAX ? n : NAMESERVERS_MAX;
	if (n == i->n_nameservers && (!n || memcmp(v, i->nameservers, n * sizeof(*v)) == 0))
		return;
	if (n)
		memcpy(i->nameservers, v, n * sizeof(*v));
	i->n_nameservers = n;
	apply_peers(i, NULL);
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
}

static void monitor_ready(void *arg, int events)
{
	struct iface *i = arg;
	struct nl_part ours = { .ifindex = i->index, .table = i->routes.table };
	unsigned news = nl_monitor_read(i->monitor_fd, &ours);
	(void)events;
	if (!news)
		return;
	if (news & NL_NEWS_OURS)
		iface_repair(i);
	guard_links_changed(i->guard);
	apply_peers(i, NULL);
	i->o.changed(i->o.arg);
}

static int open_monitor(struct iface *i, struct loop *l, struct errbuf *eb)
{
	i->monitor_fd = nl_monitor_open(i->nl, eb);
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
	if (!i->nl)
		goto close;
	i->index = nl_link_index(i->nl, o->name);
	if (i->index <= 0) {
		err_set(eb, i->index, "find interface %s", o->name);
		goto close;
	}
	i->guard = guard_open(l, i->nl, i->name, o->journal);
	if (!i->guard) {
		err_set(eb, -ENOMEM, "set up %s", o->name);
		goto close;
	}
	if (nl_link_mtu(i->nl, i->index, o->mtu, eb) != 0 ||
		route_table_open(&i->routes, i->nl, i->index, o->journal, eb) != 0 ||
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
	guard_close(i->guard);
	if (i->routes.nl)
		route_table_close(&i->routes, i->o.journal);
	addr_set_free(&i->peers);
	nl_close(i->nl);
	free(i);
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

const char *iface_unguarded(const struct iface *i)
{
	return guard_problem(i->guard);
}

const char *iface_conflict(const struct iface *i)
{
	return i->conflict;
}
