#include "simnet/fabric/kernel/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A router that balances has an outer side for each uplink, each a router of its own in the box, with its NAT and addresses,
 * and one inner side for all (board_join). The one that is in use at first is the router as everything else knows it. */

int kernel_balance_open(struct engine *e, struct errbuf *eb)
{
	size_t n = e->s->n_routers * SCN_IFACES_MAX + 1;

	e->uplink_ports = calloc(n, sizeof(*e->uplink_ports));
	if (!e->uplink_ports)
		return err_set(eb, -ENOMEM, "balance over uplinks");
	for (size_t i = 0; i < n; i++)
		e->uplink_ports[i] = -1;
	return 0;
}

void kernel_uplink_port(int router, size_t uplink, char *out)
{
	kernel_port_name('r', router, (char)('a' + uplink), out);
}

static int *port_of(const struct engine *e, int router, size_t uplink)
{
	return &e->uplink_ports[router * SCN_IFACES_MAX + (int)uplink];
}

size_t kernel_user_ports(const struct engine *e, int router, int out[static SCN_IFACES_MAX])
{
	const struct scn_router *r = &e->s->routers[router];
	size_t n = 0;

	if (!r->balances)
		out[n++] = e->router_ports[router];
	for (size_t k = 0; r->balances && k < r->n_uplinks; k++)
		if (*port_of(e, router, k) >= 0)
			out[n++] = *port_of(e, router, k);
	return n;
}

/* The router's outer side is this one, for whoever asks e->s. */
static void look_out_by(struct engine *e, int router, size_t uplink)
{
	struct scn_router *r = &e->now.routers[router];

	r->behind = r->uplinks[uplink].network;
	r->wan = r->uplinks[uplink].ip;
	r->link = r->uplinks[uplink].link;
}

int kernel_balance_build(struct engine *e, int i, struct errbuf *eb)
{
	const struct scn_router *r = &e->s->routers[i];
	size_t first = r->uplink;
	int err = kernel_own_scenario(e, eb);

	*port_of(e, i, first) = e->router_ports[i];
	for (size_t k = 0; k < r->n_uplinks && !err; k++) {
		if (k == first)
			continue;
		look_out_by(e, i, k);
		int port = kernel_user_way_out(e, i, k, eb);
		err = port < 0 ? port : 0;
		*port_of(e, i, k) = port;
	}
	if (e->changed)
		look_out_by(e, i, first);
	return err;
}

static void fabric_port(const struct engine *e, int router, size_t uplink, char *out)
{
	if (uplink == e->s->routers[router].uplink)
		kernel_port_name('r', router, 'w', out);
	else
		kernel_uplink_port(router, uplink, out);
}

/* What is on its way by it is lost. */
static int raise_uplink(struct engine *e, int router, size_t uplink, bool up, struct errbuf *eb)
{
	char port[KERNEL_NAME];

	fabric_port(e, router, uplink, port);
	int ifindex = nl_link_index(e->fabric_nl, port), box = *port_of(e, router, uplink);
	int err = ifindex < 0 ? err_set(eb, ifindex, "find %s", port)
			      : nl_link_up(e->fabric_nl, ifindex, up, eb);
	if (!err)
		err = up ? nl_link_settle(e->fabric_nl, port, eb) : switch_pull(e->box, box, eb);
	return err ? err : switch_set_idle(e->box, box, !up, eb);
}

int kernel_balance_narrow(struct engine *e, int router, size_t uplink, struct errbuf *eb)
{
	int err = 0;

	for (int i = 0; i < (int)e->s->n_routers && !err; i++) {
		const struct scn_router *r = &e->s->routers[i];
		size_t only = i == router ? uplink : r->uplink;
		for (size_t k = 0; r->balances && k < r->n_uplinks && !err; k++)
			err = raise_uplink(e, i, k, k == only, eb);
		if (r->balances)
			look_out_by(e, i, only);
	}
	return err;
}

int kernel_balance_begin(struct engine *e, struct errbuf *eb)
{
	int err = kernel_balance_narrow(e, -1, 0, eb);

	for (int i = 0; i < (int)e->s->n_routers && !err; i++) {
		const struct scn_router *r = &e->s->routers[i];
		for (size_t k = 0; r->balances && k < r->n_uplinks && !err; k++)
			if (k != r->uplink && !r->uplinks[k].off)
				err = raise_uplink(e, i, k, true, eb);
	}
	return err;
}

int kernel_balance_plug(struct engine *e, struct scn_plug which, bool off, struct errbuf *eb)
{
	int err = raise_uplink(e, which.router, which.iface - 1, !off, eb);

	if (!err)
		e->now.routers[which.router].uplinks[which.iface - 1].off = off;
	return err;
}
