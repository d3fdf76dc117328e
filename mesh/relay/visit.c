/* Connections that have not shown a key (yet). Anybody can open one and leave it at that, at 45 kB for a TLS
 * handshake: so many are held at once. For one more the oldest goes, if it had its time; when all are young,
 * as after a restart of the relay, others wait. None of them gets more time than a handshake takes over a
 * poor link, which is longer where TCP's own round trips are: a loss costs seconds there. */
#include "mesh/os/sock.h"
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
	place_end(&r->places, v->place);
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

static void visit_leave(void *visit)
{
	struct visit *v = visit;
	v->r->stats.drop_crowded++;
	visit_drop(v);
}

static uint64_t visit_due(const struct visit *v)
{
	enum { SLOW = 3 };
	int ms = (int)v->r->handshake_ms,
	    fd = v->client ? client_fd(v->client) : stream_fd(http_conn_stream(v->conn));
	return v->since_ms + (uint64_t)sock_tcp_patience(fd, ms, SLOW * ms);
}

/* Only those are asked about their line that had what all have. */
void visits_overdue(void *arg)
{
	struct relay *r = arg;
	uint64_t now = loop_now_ms(r->loop), due = UINT64_MAX, next_due;
	for (struct visit *v = r->visits, *next; v; v = next) {
		next = v->next;
		bool young = now - v->since_ms < r->handshake_ms;
		next_due = young ? v->since_ms + r->handshake_ms : visit_due(v);
		if (next_due < due && next_due > now)
			due = next_due;
		if (young)
			break;
		if (next_due > now)
			continue;
		r->stats.drop_handshake += v->client != NULL;
		r->stats.drop_no_request += !v->asked && !v->client;
		visit_drop(v);
	}
	if (due != UINT64_MAX)
		loop_timer_set(r->overdue, due - now);
}

struct visit *visit_new(struct relay *r, const struct endpoint *from)
{
	uint64_t now = loop_now_ms(r->loop);
	if (r->n_visits >= r->visits_max) {
		r->stats.drop_crowded++;
		visit_drop(r->visits);
	}
	struct visit *v = calloc(1, sizeof(*v));
	struct place *place = v ? places_take(&r->places, &from->ip, now) : NULL;
	if (!place) {
		r->stats.drop_crowded += v != NULL;
		free(v);
		return NULL;
	}
	*v = (struct visit) { .r = r, .at = r->visits_end, .since_ms = now, .place = place };
	place->leave = visit_leave;
	place->holder = v;
	*r->visits_end = v;
	r->visits_end = &v->next;
	if (r->n_visits++ == 0)
		loop_timer_set(r->overdue, r->handshake_ms);
	return v;
}

bool visits_are_crowded(const struct relay *r)
{
	return r->n_visits >= r->visits_max && loop_now_ms(r->loop) - r->visits->since_ms < r->visit_ms;
}

void relay_admit(struct relay *r, const struct node_key *who, bool allow)
{
	struct visit *next;
	for (struct visit *v = r->visits; v; v = next) {
		next = v->next;
		if (v->client)
			client_admit(v->client, who, allow);
	}
}
