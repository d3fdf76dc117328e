#include "mesh/node/host/uplinks.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdlib.h>

struct uplink {
	struct addr to, via;
	int ifindex; /* 0: there was no way */
};
struct uplinks {
	struct nl *nl;
	struct uplink v[UPLINKS_MAX];
	size_t n, next; /* next: the place of the oldest, once all are taken */
};

struct uplinks *uplinks_open(struct errbuf *eb)
{
	struct uplinks *u = calloc(1, sizeof(*u));
	if (!u) {
		err_set(eb, -ENOMEM, "watch routes");
		return NULL;
	}
	u->nl = nl_open(eb);
	if (!u->nl) {
		free(u);
		return NULL;
	}
	/* The way to everywhere: documentation addresses, for which nobody has a route of its own. */
	struct addr four = addr_v4(0xc0000201), six = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	uplinks_note(u, &four);
	uplinks_note(u, &six);
	return u;
}

void uplinks_close(struct uplinks *u)
{
	if (!u)
		return;
	nl_close(u->nl);
	free(u);
}

static struct uplink uplinks_look(struct uplinks *u, const struct addr *to)
{
	struct nl_route r;
	if (nl_route_get(u->nl, to, SOCK_MARK_OUTSIDE, &r) != 0)
		return (struct uplink) { .to = *to };
	return (struct uplink) { .to = *to, .via = r.via, .ifindex = r.ifindex };
}

void uplinks_note(struct uplinks *u, const struct addr *to)
{
	for (size_t i = 0; i < u->n; i++) {
		if (addr_equal(&u->v[i].to, to))
			return;
	}
	struct uplink *slot = &u->v[u->n < UPLINKS_MAX ? u->n++ : 2 + u->next++ % (UPLINKS_MAX - 2)];
	*slot = uplinks_look(u, to);
}

size_t uplinks_moved(struct uplinks *u, struct addr out[static UPLINKS_MAX])
{
	size_t moved = 0;
	for (size_t i = 0; i < u->n; i++) {
		struct uplink now = uplinks_look(u, &u->v[i].to);
		if (now.ifindex == u->v[i].ifindex && addr_equal(&now.via, &u->v[i].via))
			continue;
		u->v[i] = now;
		out[moved++] = now.to;
	}
	return moved;
}
