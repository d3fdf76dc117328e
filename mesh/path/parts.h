/* What each file of this room offers the others. */
#ifndef RW_PATH_PARTS_H
#define RW_PATH_PARTS_H

#include "mesh/path/state.h"

/* path.c */
void path_wake(struct path *p, uint64_t at_ms); /* tick no later than this */
uint32_t path_random(struct path *p, uint32_t bound);

/* peers.c */
struct peer *peers_find(const struct path *p, uint64_t id);
void peers_free_all(struct path *p);
bool peers_box(struct path *p, struct peer *e); /* e->box is usable */

/* candidates.c */
struct candidate *candidates_find(struct peer *e, const struct endpoint *at);
bool candidates_sendable(const struct endpoint *at);
struct candidate *candidates_add(struct path *p, struct peer *e, const struct endpoint *at, uint8_t from);
void candidates_forget(
	struct path *p, struct peer *e, uint8_t from); /* before the same source names its new list */
void candidates_sweep(struct path *p, struct peer *e); /* drops those that nobody names any more */
void candidates_prove(struct path *p, struct peer *e, struct candidate *c);
bool candidates_usable(const struct path *p, const struct candidate *c);
double candidates_cost(const struct path *p, const struct endpoint *at, double latency_ms);
bool candidates_on_our_link(const struct path *p, const struct addr *a);

/* probe.c */
bool probe_send(
	struct path *p, struct peer *e, const struct endpoint *to, int32_t region, const uint64_t *token);
/* Tells where we are; without (may be NULL) is left out. */
void probe_call(struct path *p, struct peer *e, const struct endpoint *without);
bool probe_received(struct path *p, const struct endpoint *from, int32_t region, const struct node_key *via,
	const uint8_t *b, size_t len);
void probe_free_all(struct path *p);
void probe_expire(struct path *p);

/* session.c */
bool session_active(const struct path *p, const struct peer *e);
bool session_trusted(const struct path *p, const struct peer *e);
void session_begin(struct path *p, struct peer *e);
void session_burst(struct path *p, struct peer *e);	   /* start the fast rounds anew */
void session_answer_burst(struct path *p, struct peer *e); /* a few rounds because the peer is trying */
void session_pong(struct path *p, struct peer *e, struct candidate *c, double latency_ms);
bool session_peer_left(const struct path *p, const struct peer *e, const struct candidate *c);
void session_call(struct path *p, struct peer *e); /* soon, if the relay carries its packets */
void session_doubt(struct path *p, struct peer *e);
void session_forget_best(struct path *p, struct peer *e);
void session_step(struct path *p, struct peer *e);
void session_at(struct path *p, struct peer *e, uint64_t at_ms);
void session_notify(struct path *p, struct peer *e);
void session_self_fresh(struct path *p, bool changed); /* own endpoints are known anew */

uint64_t session_check_time(const struct peer *e); /* how long an answer by best may take */

/* liveness.c */
void liveness_begin(struct path *p, struct peer *e); /* another direct way was chosen */
void liveness_sent(struct path *p, struct peer *e);
void liveness_wake(struct path *p, struct peer *e);		   /* a question may be due sooner */
uint64_t liveness_due(const struct path *p, const struct peer *e); /* UINT64_MAX = nothing to ask */
void liveness_step(struct path *p, struct peer *e);

/* self.c */
void self_seen(struct path *p, const struct endpoint *at);
void self_rebuild(struct path *p);
void self_forget_before(struct path *p, uint64_t ms);
void self_changed(struct path *p);
void self_flush(struct path *p);
bool self_is_ours(const struct path *p, const struct endpoint *at);

/* netcheck.c */
void netcheck_start(struct path *p, bool full);
bool netcheck_received(struct path *p, const struct endpoint *from, const uint8_t *b, size_t len);
void netcheck_tick(struct path *p);
void netcheck_session(struct path *p); /* a session began: keep the report young */
void netcheck_free(struct path *p);

/* home.c */
struct region *home_region(const struct path *p, int32_t id);
void home_sample(struct path *p, struct region *r, double latency_ms);
double home_latency(const struct region *r);	/* < 0 = unknown */
bool home_is_only_choice(const struct path *p); /* nothing to measure for */
void home_pick(struct path *p);
void home_tick(struct path *p);
bool home_is_usable(const struct path *p, int32_t region);	   /* not known to be down */
int32_t home_for_peer(const struct path *p, const struct peer *e); /* whose relay reaches this peer */

#endif
