/* What the thread of plane/outward.c asks of the engine; all of it is asked on the loop's thread. */
#include "mesh/node/engine.h"

static void outward_received(void *arg, struct pkt *pkts, size_t n)
{
	dataplane_tun_received(&((struct engine *)arg)->plane, pkts, n);
}

static struct udp *outward_udp(void *arg, enum path_socket which)
{
	return engine_socket(arg, which);
}

static void outward_settled(void *arg)
{
	engine_rearm(arg);
}

int engine_outward_open(struct engine *e, const struct engine_config *cfg, struct errbuf *eb)
{
	struct outward_ops ops = {
		.received = outward_received, .udp = outward_udp, .settled = outward_settled, .arg = e
	};
	if (cfg->data_threads < 2 || outward_processors() < 2)
		return 0;
	e->outward = outward_open(e->loop, e->tun, &e->plane, &ops, eb);
	return e->outward ? 0 : eb->code;
}
