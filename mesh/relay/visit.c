/* Connections that have not shown a key (yet). Anybody can open one and leave it at that, at 45 kB for a TLS
 * handshake: so many are held at once. For one more the oldest goes, if it had its time; when all are young,
 * as after a restart of the relay, others wait. */
#include "mesh/relay/inner.h"

#include <stdlib.h>

void visit_upgraded(struct visit *v, struct client *c)
{
	if (v) {
		v->conn = NULL;
		v->client = c;
	}
}

void visit_end(struct visit *v)
{
	if (!v)
		return;
	struct relay *r = v->r;
	*v->at = v->next;
	*(v->next ? &v->next->at : &r->visits_end) = v->at;
	r->n_visits--;
	free(v);
}

void visit_gone(void *arg, struct http_server_conn *c)
{
	struct relay *r = arg;
	struct visit *v = http_conn_data(c);
	if (!v)
		return;
	r->stats.drop_no_request += !v->asked;
	visit_end(v);
}

void visit_drop(struct visit *v)
{
	v->asked = true;
	if (v->client)
		client_close(v->client);
	else
		http_server_close(v->conn, false);
}

struct visit *visit_new(struct relay *r)
{
	struct visit *v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	if (r->n_visits >= r->visits_max) {
		r->stats.drop_crowded++;
		visit_drop(r->visits);
	}
	*v = (struct visit) { .r = r, .at = r->visits_end, .since_ms = loop_now_ms(r->loop) };
	*r->visits_end = v;
	r->visits_end = &v->next;
	r->n_visits++;
	return v;
}

bool visits_are_crowded(const struct relay *r)
{
	return r->n_visits >= r->visits_max && loop_now_ms(r->loop) - r->visits->since_ms < r->visit_ms;
}
