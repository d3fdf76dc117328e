/* netcheck: measured anew for whoever asks. One that was made a moment ago is as good; one that does not end
 * is answered by what was known before. The answer says how old it is. */
#include "mesh/node/local/local_request.h"
#include <stdlib.h>

enum { FRESH_MS = 2000, LOOK_MS = 50, PATIENCE_MS = 6000 };

struct measuring {
	struct request r; /* without its head */
	struct loop_timer *look;
	uint64_t asked_ms;
};
struct measured {
	struct arena mem;
	struct api_netcheck report;
	struct local_measured when;
	bool up;
};

static struct measured measured_now(const struct request *r)
{
	struct measured m = { 0 };
	m.up = r->node->netcheck(r->node->arg, &m.mem, &m.report, &m.when);
	return m;
}

/* Ends m. */
static void reply_measured(const struct request *r, struct measured *m)
{
	struct buf b = { 0 };
	if (!m->up) {
		local_reply_error(r->conn, 503, "the node is stopped; run `ropewalk up` first");
	} else {
		m->report.measured = m->when.at_ms != 0;
		const uint64_t age_ms = m->when.at_ms ? loop_now_ms(r->loop) - m->when.at_ms : 0;
		m->report.age_s = (double)age_ms / 1000;
		m->report.now_ms = m->when.at_ms ? clock_unix_ms() - (int64_t)age_ms : INT64_MIN;
		bool ok = api_netcheck_write(&b, &m->report);
		local_reply_json(r->conn, &b, ok);
	}
	arena_free(&m->mem);
}

static bool ended_since(const struct measured *m, uint64_t ms)
{
	return m->when.at_ms && m->when.at_ms >= ms;
}

static void measuring_free(struct measuring *g)
{
	g->r.client->measuring = NULL;
	loop_timer_free(g->look);
	free(g);
}

static void look_again(void *arg)
{
	struct measuring *g = arg;
	struct request r = g->r;
	struct measured m = measured_now(&r);
	if (m.up && m.when.running && !ended_since(&m, g->asked_ms) &&
		loop_now_ms(r.loop) - g->asked_ms < PATIENCE_MS) {
		arena_free(&m.mem);
		loop_timer_set(g->look, LOOK_MS);
		return;
	}
	measuring_free(g); /* before the answer, which may end the client */
	reply_measured(&r, &m);
}

void local_netcheck(struct request *r)
{
	uint64_t now = loop_now_ms(r->loop);
	struct measured m = measured_now(r);
	struct measuring *g = NULL;
	if (m.up && !(m.when.at_ms && now - m.when.at_ms < FRESH_MS))
		g = calloc(1, sizeof(*g));
	if (g)
		*g = (struct measuring) { .r = *r, .asked_ms = now };
	if (!g || !(g->look = loop_timer_new(r->loop, look_again, g))) {
		free(g);
		reply_measured(r, &m);
		return;
	}
	arena_free(&m.mem);
	g->r.head = NULL;
	r->client->measuring = g;
	r->node->measure(r->node->arg);
	loop_timer_set(g->look, 0);
}

void local_netcheck_gone(struct local_client *c)
{
	if (c->measuring)
		measuring_free(c->measuring);
}

/* The official command line measures by itself. */
void local_derp_map(struct request *r)
{
	struct buf b = { 0 };
	const struct netmap *m = r->node->map(r->node->arg);
	if (!m || !m->derp) {
		local_reply_error(r->conn, 503, "no relays are known yet; run `ropewalk up` first");
		return;
	}
	bool ok = ctl_derp_map_write(&b, m->derp);
	local_reply_json(r->conn, &b, ok);
}
