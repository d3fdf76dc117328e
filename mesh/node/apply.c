/* From one map to the next.
 *
 * Order (make_true); the steps with a star may fail, and are those of enum apply_step:
 *   1 peers that left the map or whose key ended go    2 the map becomes the current one    3 rules *
 *   4 relay map    5 peers that are new or another *    6 interface and routes *
 *   7 networks behind peers *    8 names *
 * "Running" needs 3 and 6 (node.c, map_applied). What goes, goes first, so that at no moment is somebody let in whom neither the old map
 * nor the new one lets in, and a failure further down never keeps one in who is out.
 *
 * A few peers' routes are told to the kernel beside the loop, which goes on meanwhile; step 6 is "begun" then, and 8 waits
 * for its end.
 *
 * When a step fails. The newest map stays the current one. The step is "missing": its sentence is kept for
 * `status`, the other steps go on, and it is tried again with the map that is newest then, after
 * RETRY_MIN_MS, twice that, and so on up to RETRY_MAX_MS, and at each new map. Rules fail closed: as long as
 * those of the newest map are not in force, none are, and nothing comes in (what is let in by the old ones
 * might be what was revoked). A peer that could not be set is removed, for it may have another key or address
 * now, and all are set again. Where memory does not even suffice to compare two maps, the whole of the new
 * one is applied.
 *
 * Keys end by the clock. expiry_ms is never later than the first end of a key; apply_tick looks at all when
 * it has passed, removes who is due, and finds the next. The clock is the server's (netmap/server_clock.h);
 * where it is set after all, all peers are judged anew, within CLOCK_LOOK_MS. Expired peers stay in the map,
 * for names and `status`. */
#include "mesh/node/apply.h"
#include "mesh/base/log.h"
#include <stdio.h>
#include <string.h>

enum {
	CLOCK_LOOK_MS = 60 * 1000, /* the clock may be set, the machine sleep: no timer tells */
	CLOCK_MOVED_MS = 60 * 1000,
	RETRY_MIN_MS = 1000,
	RETRY_MAX_MS = 60000
};

/* --- what is missing --- */

static void step_done(struct apply *a, enum apply_step s)
{
	if (a->why[s][0])
		log_info("done at last, after: %s", a->why[s]);
	a->missing &= ~(1u << s);
	a->why[s][0] = 0;
}

static void step_failed(struct apply *a, enum apply_step s, const char *why)
{
	if (strcmp(a->why[s], why) != 0)
		log_error("%s", why);
	snprintf(a->why[s], sizeof(a->why[s]), "%s", why);
	a->missing |= 1u << s;
}

static void settle_step(struct apply *a, enum apply_step s, int err, const struct errbuf *eb)
{
	if (err)
		step_failed(a, s, eb->text);
	else
		step_done(a, s);
}

static void plan_retry(struct apply *a)
{
	uint64_t now = a->ops.now_ms(a->ops.arg);
	if (!a->missing) {
		a->retry_ms = UINT64_MAX;
		a->backoff_ms = 0;
	} else if (a->retry_ms == UINT64_MAX || a->retry_ms <= now) {
		a->backoff_ms = a->backoff_ms ? a->backoff_ms * 2 : RETRY_MIN_MS;
		if (a->backoff_ms > RETRY_MAX_MS)
			a->backoff_ms = RETRY_MAX_MS;
		a->retry_ms = now + a->backoff_ms;
	}
}

bool apply_is_missing(const struct apply *a, enum apply_step s)
{
	return a->missing & 1u << s;
}

/* --- steps --- */

static void set_rules(struct apply *a)
{
	struct errbuf eb = { 0 };
	char why[sizeof(a->why[0])];
	if (a->ops.rules_set(a->ops.arg, a->map, &eb) == 0) {
		step_done(a, APPLY_RULES);
		return;
	}
	a->ops.rules_shut(a->ops.arg);
	snprintf(why, sizeof(why), "%s; until they do, nothing is let in from the mesh", eb.text);
	step_failed(a, APPLY_RULES, why);
}

static int64_t server_now_ms(const struct apply *a)
{
	return a->ops.server_ms(a->ops.arg);
}

static bool is_out(const struct apply *a, const struct netmap_peer *p)
{
	return netmap_peer_expired(p, server_now_ms(a)) || key_is_zero(p->node.key.b) ||
	       netmap_peer_is_double(a->map, p->node.id);
}

static void note_expiry(struct apply *a, const struct netmap_peer *p)
{
	a->keys_end = a->keys_end || p->node.key_expiry_ms != INT64_MIN;
	if (p->node.key_expiry_ms > server_now_ms(a) && p->node.key_expiry_ms < a->expiry_ms)
		a->expiry_ms = p->node.key_expiry_ms;
}

static void set_peer(struct apply *a, const struct netmap_peer *p)
{
	struct errbuf eb = { 0 };
	if (is_out(a, p)) {
		a->ops.peer_remove(a->ops.arg, (uint64_t)p->node.id);
	} else if (a->ops.peer_set(a->ops.arg, &p->node, &eb) != 0) {
		a->ops.peer_remove(a->ops.arg, (uint64_t)p->node.id);
		if (!apply_is_missing(a, APPLY_PEERS))
			step_failed(a, APPLY_PEERS, eb.text);
	}
	note_expiry(a, p);
}

static void set_all_peers(struct apply *a)
{
	a->missing &= ~(1u << APPLY_PEERS);
	for (size_t i = 0; i < a->map->n_peers; i++)
		set_peer(a, a->map->peers[i]);
	if (!apply_is_missing(a, APPLY_PEERS))
		step_done(a, APPLY_PEERS);
}

static void set_iface(struct apply *a)
{
	struct errbuf eb = { 0 };
	a->begun = false; /* all of it is told anew, and true when that returns */
	settle_step(a, APPLY_IFACE, a->ops.iface_set(a->ops.arg, a->map, &eb), &eb);
}

static void change_iface(struct apply *a, const struct netmap *old, const struct netmap_diff *d)
{
	struct errbuf eb = { 0 };
	int err = a->ops.iface_change(a->ops.arg, old, a->map, d, &eb);
	a->begun = a->begun || err == APPLY_BEGUN;
	if (err < 0)
		step_failed(a, APPLY_IFACE, eb.text);
	else if (!a->begun)
		step_done(a, APPLY_IFACE);
}

static void set_nets(struct apply *a)
{
	struct errbuf eb = { 0 };
	settle_step(a, APPLY_NETS, a->ops.nets_set(a->ops.arg, a->map, &eb), &eb);
}

/* No name leads to a peer before the route to it does: what a program sends there would leave by another interface. */
static void set_names(struct apply *a)
{
	struct errbuf eb = { 0 };
	a->names_wait = a->begun;
	if (a->begun)
		return;
	settle_step(a, APPLY_NAMES, a->ops.names_set(a->ops.arg, a->map, apply_self_expired(a), &eb), &eb);
}

/* --- differences --- */

/* Disco keys live as long as their process, and so do its WireGuard sessions. */
static void notice_restart(struct apply *a, const struct netmap_peer *was, const struct ctl_node *now)
{
	if (!key_is_zero(was->node.disco.b) && !key_equal(was->node.disco.b, now->disco.b))
		a->ops.peer_restarted(a->ops.arg, (uint64_t)now->id);
}

/* It may still be there; the resolver need not wait long to find out. */
static void notice_offline(struct apply *a, const struct netmap_peer *was, const struct ctl_node *now)
{
	if (was->node.online == OPT_TRUE && now->online == OPT_FALSE)
		a->ops.peer_offline(a->ops.arg, now);
}

static void remove_who_went(struct apply *a, const struct netmap *old, const struct netmap_diff *d)
{
	for (size_t i = 0; d && i < d->n_removed; i++)
		a->ops.peer_remove(a->ops.arg, (uint64_t)d->removed[i]->node.id);
	for (size_t i = 0; d && i < d->n_changed; i++) {
		if (is_out(a, d->changed[i]))
			a->ops.peer_remove(a->ops.arg, (uint64_t)d->changed[i]->node.id);
	}
	for (size_t i = 0; !d && old && i < old->n_peers; i++) {
		const struct netmap_peer *p = netmap_peer_by_id(a->map, old->peers[i]->node.id);
		if (!p || is_out(a, p))
			a->ops.peer_remove(a->ops.arg, (uint64_t)old->peers[i]->node.id);
	}
}

/* Whose key ended by a clock that was wrong is let in again when the clock is right: no record of them changes
 * then. */
static bool clock_moved(const struct apply *a)
{
	int64_t by = server_now_ms(a) - (int64_t)a->ops.now_ms(a->ops.arg) - a->offset_ms;
	return by > CLOCK_MOVED_MS || by < -CLOCK_MOVED_MS;
}

static void note_clock(struct apply *a)
{
	a->offset_ms = server_now_ms(a) - (int64_t)a->ops.now_ms(a->ops.arg);
}

static void set_who_came(struct apply *a, const struct netmap *old, const struct netmap_diff *d)
{
	if (clock_moved(a) || !d || d->doubles || apply_is_missing(a, APPLY_PEERS)) {
		note_clock(a);
		set_all_peers(a);
	} else {
		for (size_t i = 0; i < d->n_added; i++)
			set_peer(a, d->added[i]);
		for (size_t i = 0; i < d->n_changed; i++)
			set_peer(a, d->changed[i]);
	}
	for (size_t i = 0; d && old && i < d->n_changed; i++) {
		const struct ctl_node *now = &d->changed[i]->node;
		const struct netmap_peer *was = netmap_peer_by_id(old, now->id);
		if (!was)
			continue;
		notice_restart(a, was, now);
		notice_offline(a, was, now);
	}
}

/* d NULL: all of it is new. */
static void make_true(struct apply *a, const struct netmap *old, const struct netmap_diff *d)
{
	remove_who_went(a, old, d);
	a->ops.map_set(a->ops.arg, a->map);
	if (!d || d->filters || d->self || apply_is_missing(a, APPLY_RULES))
		set_rules(a);
	if ((!d || d->derp) && a->map->derp)
		a->ops.relays_set(a->ops.arg, a->map->derp);
	set_who_came(a, old, d);
	if (!d || d->self || apply_is_missing(a, APPLY_IFACE))
		set_iface(a);
	else if (d->n_added || d->n_removed || d->addresses)
		change_iface(a, old, d);
	if (!d || d->nets || apply_is_missing(a, APPLY_NETS) || apply_is_missing(a, APPLY_PEERS))
		set_nets(a);
	/* The exit, whom names may be asked of, is a peer with networks. */
	if (!d || d->names || d->nets || d->dns || d->derp || d->self || apply_is_missing(a, APPLY_NAMES))
		set_names(a);
}

static void apply_next(struct apply *a, struct netmap *next, bool anew)
{
	struct netmap_diff d;
	struct netmap *old = a->map;
	bool compared = old && !anew && netmap_compare(old, next, &d);
	a->map = next; /* the old one is held until what went is gone */
	note_expiry(a, next->self);
	make_true(a, old, compared ? &d : NULL);
	if (compared)
		netmap_diff_fini(&d);
	netmap_put(old);
	plan_retry(a);
	a->ops.changed(a->ops.arg);
}

void apply_map(struct apply *a, struct netmap *next)
{
	apply_next(a, next, false);
}

void apply_anew(struct apply *a, struct netmap *next)
{
	apply_next(a, next, true);
}

void apply_again(struct apply *a, enum apply_step s)
{
	if (!a->map)
		return;
	switch (s) {
	case APPLY_RULES: set_rules(a); break;
	case APPLY_PEERS: set_all_peers(a); break;
	case APPLY_IFACE: set_iface(a); break;
	case APPLY_NETS: set_nets(a); break;
	case APPLY_NAMES: set_names(a); break;
	case APPLY_STEPS: return;
	}
	plan_retry(a);
	a->ops.changed(a->ops.arg);
}

void apply_iface_ended(struct apply *a, const struct errbuf *why)
{
	if (!a->begun)
		return; /* told whole since */
	a->begun = false;
	if (why->code ||
		!apply_is_missing(a, APPLY_IFACE)) /* what is missing for another reason is told whole */
		settle_step(a, APPLY_IFACE, why->code, why);
	if (a->names_wait)
		set_names(a);
	plan_retry(a);
	a->ops.changed(a->ops.arg);
}

void apply_nothing(struct apply *a)
{
	a->ops.forget(a->ops.arg);
	for (size_t i = a->map ? a->map->n_peers : 0; i > 0; i--)
		a->ops.peer_remove(a->ops.arg, (uint64_t)a->map->peers[i - 1]->node.id);
	a->ops.map_set(a->ops.arg, NULL);
	netmap_put(a->map);
	apply_init(a, &a->ops);
}

/* --- time --- */

bool apply_self_expired(const struct apply *a)
{
	return a->map && netmap_peer_expired(a->map->self, server_now_ms(a));
}

static bool expiry_passed(const struct apply *a)
{
	return a->map && a->expiry_ms <= server_now_ms(a);
}

/* Who ended is removed; when the next ends is found. */
static void look_at_keys(struct apply *a)
{
	bool gone = false;
	a->expiry_ms = INT64_MAX;
	for (size_t i = 0; i <= a->map->n_peers; i++) {
		const struct netmap_peer *p = i ? a->map->peers[i - 1] : a->map->self;
		if (i && is_out(a, p)) {
			a->ops.peer_remove(a->ops.arg, (uint64_t)p->node.id);
			gone = true;
		}
		note_expiry(a, p);
	}
	if (gone)
		set_nets(a);
	if (apply_self_expired(a))
		set_names(a);
}

/* The clock was set: who had ended by the old one may be good, and the other way round. */
static void follow_clock(struct apply *a)
{
	note_clock(a);
	a->expiry_ms = INT64_MAX;
	note_expiry(a, a->map->self);
	set_all_peers(a);
	set_nets(a);
	set_names(a);
}

static void retry_steps(struct apply *a)
{
	bool peers = apply_is_missing(a, APPLY_PEERS);
	if (apply_is_missing(a, APPLY_RULES))
		set_rules(a);
	if (peers)
		set_all_peers(a);
	if (apply_is_missing(a, APPLY_IFACE))
		set_iface(a);
	if (apply_is_missing(a, APPLY_NETS) || peers)
		set_nets(a);
	if (apply_is_missing(a, APPLY_NAMES))
		set_names(a);
}

void apply_tick(struct apply *a)
{
	bool due = a->map && a->retry_ms <= a->ops.now_ms(a->ops.arg), ended = expiry_passed(a);
	bool moved = a->map && a->keys_end && clock_moved(a);
	if (moved)
		follow_clock(a);
	else if (ended)
		look_at_keys(a);
	if (due)
		retry_steps(a);
	if (!due && !ended && !moved)
		return;
	plan_retry(a);
	a->ops.changed(a->ops.arg);
}

uint64_t apply_deadline(const struct apply *a)
{
	if (!a->map)
		return UINT64_MAX;
	uint64_t due = a->retry_ms, now = a->ops.now_ms(a->ops.arg);
	if (!a->keys_end)
		return due;
	int64_t left = a->expiry_ms == INT64_MAX ? CLOCK_LOOK_MS : a->expiry_ms - server_now_ms(a);
	uint64_t look = left < 0 ? now : left < CLOCK_LOOK_MS ? now + (uint64_t)left : now + CLOCK_LOOK_MS;
	return look < due ? look : due;
}

void apply_init(struct apply *a, const struct apply_ops *ops)
{
	*a = (struct apply) { .ops = *ops, .retry_ms = UINT64_MAX, .expiry_ms = INT64_MAX };
}
