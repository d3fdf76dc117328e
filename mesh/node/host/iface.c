#include "mesh/node/host/iface.h"
#include "mesh/base/log.h"
#include "mesh/os/netlink.h"
#include <stdlib.h>
#include <string.h>

enum { ADDRS_MAX = 16, LOCAL_MAX = 256 };

struct iface {
	struct nl *nl;
	int index;
	char name[16];
	struct prefix *addrs, *routes; /* what is set now */
	size_t n_addrs, n_routes;
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

struct iface *iface_open(const char *name, uint32_t mtu, struct errbuf *eb)
{
	struct iface *i = calloc(1, sizeof(*i));
	if (!i)
		return NULL;
	strncpy(i->name, name, sizeof(i->name) - 1);
	i->nl = nl_open(eb);
	if (!i->nl)
		goto free_iface;
	i->index = nl_link_index(i->nl, name);
	if (i->index <= 0) {
		err_set(eb, i->index, "find interface %s", name);
		goto close_nl;
	}
	if (nl_link_mtu(i->nl, i->index, mtu, eb) != 0)
		goto close_nl;
	return i;
close_nl:
	nl_close(i->nl);
free_iface:
	free(i);
	return NULL;
}

void iface_close(struct iface *i)
{
	if (!i)
		return;
	nl_close(i->nl);
	free(i->addrs);
	free(i->routes);
	free(i);
}

static bool contains(const struct prefix *v, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_equal(&v[i], p))
			return true;
	}
	return false;
}

static void replace(struct prefix **v, size_t *n, const struct prefix *with, size_t n_with)
{
	struct prefix *copy = malloc((n_with ? n_with : 1) * sizeof(*copy));
	if (!copy)
		return;
	if (n_with)
		memcpy(copy, with, n_with * sizeof(*copy));
	free(*v);
	*v = copy;
	*n = n_with;
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
static int add_addr(struct iface *i, const struct prefix *p, struct errbuf *eb)
{
	bool aside = !addr_is_v4(&p->ip) && addr_is_service(&p->ip);
	return aside ? nl_addr_add_deprecated(i->nl, i->index, p, eb) : nl_addr_add(i->nl, i->index, p, eb);
}

static int apply_addrs(struct iface *i, const struct prefix *addrs, size_t n, struct errbuf *eb)
{
	for (size_t k = 0; k < i->n_addrs; k++) {
		if (!contains(addrs, n, &i->addrs[k]))
			nl_addr_del(i->nl, i->index, &i->addrs[k], NULL);
	}
	for (size_t k = 0; k < n; k++) {
		if (contains(i->addrs, i->n_addrs, &addrs[k]))
			continue;
		int err = add_addr(i, &addrs[k], eb);
		if (err && !v6_missing(&addrs[k], err))
			return err;
	}
	replace(&i->addrs, &i->n_addrs, addrs, n);
	return nl_link_up(i->nl, i->index, true, eb);
}

static int apply_routes(struct iface *i, const struct prefix *routes, size_t n, struct errbuf *eb)
{
	struct nl_route r = { .ifindex = i->index };
	for (size_t k = 0; k < i->n_routes; k++) {
		r.dst = i->routes[k];
		if (!contains(routes, n, &r.dst))
			nl_route_del(i->nl, &r, NULL);
	}
	for (size_t k = 0; k < n; k++) {
		r.dst = routes[k];
		int err = contains(i->routes, i->n_routes, &r.dst) ? 0 : nl_route_add(i->nl, &r, eb);
		if (err && !v6_missing(&r.dst, err))
			return err;
	}
	replace(&i->routes, &i->n_routes, routes, n);
	return 0;
}

int iface_apply(struct iface *i, const struct prefix *addrs, size_t n_addrs, const struct prefix *routes,
	size_t n_routes, struct errbuf *eb)
{
	int err = apply_addrs(i, addrs, n_addrs, eb);
	return err ? err : apply_routes(i, routes, n_routes, eb);
}

void iface_repair(struct iface *i)
{
	struct nl_route r = { .ifindex = i->index };
	if (!i->n_addrs)
		return;
	nl_link_up(i->nl, i->index, true, NULL);
	for (size_t k = 0; k < i->n_addrs; k++)
		add_addr(i, &i->addrs[k], NULL);
	for (size_t k = 0; k < i->n_routes; k++) {
		r.dst = i->routes[k];
		nl_route_keep(i->nl, &r, NULL);
	}
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
