#include "mesh/node/host/exit_hold.h"
#include "mesh/node/host/around.h"
#include "mesh/node/host/net_plan.h"
#include <errno.h>
#include <stdlib.h>

enum { AROUND_MAX = 256 };

void exit_hold_off(struct exit_hold *h)
{
	net_table_close(&h->table);
	nl_close(h->nl);
	*h = (struct exit_hold) { 0 };
}

void exit_hold_repair(struct exit_hold *h)
{
	if (h->nl)
		net_table_repair(&h->table);
}

int exit_hold_set(struct exit_hold *h, bool on, bool keep_own, struct journal *j, struct errbuf *eb)
{
	static const struct prefix all[] = { { { { [10] = 0xff, 0xff } }, 0 }, { { { 0 } }, 0 } };
	struct prefix around[AROUND_MAX], left_out;
	size_t n = 0;
	if (!on) {
		exit_hold_off(h);
		return 0;
	}
	if (!h->nl) {
		h->nl = nl_open(eb);
		if (!h->nl)
			return eb->code;
		net_table_init(&h->table, h->nl, HOLD_TABLE, HOLD_RULE_PRIORITY, j);
	}
	const struct net_plan p = { .nets = all,
		.n_nets = 2,
		.around = around,
		.n_around = around_list(h->nl, 0, around, AROUND_MAX),
		.keep_own = keep_own,
		.nowhere = true };
	struct nl_route *v = net_plan_routes(&p, &n, &left_out);
	int err = v ? net_table_set(&h->table, v, n, eb)
		    : err_set(eb, -ENOMEM, "hold what an exit shall carry");
	free(v);
	return err;
}
