/* What one node is told: its map view, computed from the fleet, and the difference of two views as a map
 * message. Pure. tailscale-protocol.md 1.8. */
#ifndef RW_CONTROL_VIEW_H
#define RW_CONTROL_VIEW_H

#include "mesh/control/fleet/fleet.h"
#include "mesh/control/policy/policy.h"
#include "mesh/proto/control.h"

enum { VIEW_HASH = 32 };

/* Settings that are the same for all; immutable, replaced as a whole at a reload. */
struct view_settings {
	const struct policy *policy; /* NULL = allow all */
	const struct ctl_dns *dns;
	const struct ctl_derp_map *derp;
	const char *base_domain; /* no dots at the ends */
	uint64_t dns_version, derp_version;
};

/* The routes of a peer that the viewer was told of, as one number. */
struct view_told {
	int64_t id;
	uint64_t routes;
};

struct view {
	const struct member *self;   /* counted */
	const struct member **peers; /* counted, sorted by id */
	size_t n, size;
	uint8_t filter_hash[VIEW_HASH]; /* and of who may log in */
	uint8_t caps_hash[VIEW_HASH];
	bool logins;		/* it was told of some */
	struct view_told *told; /* of peers with routes, sorted by id */
	size_t n_told, told_size;
	uint64_t dns_version, derp_version;
};

struct view_context {
	const struct fleet *fleet;
	const struct view_settings *set;
	struct policy_cache *cache; /* may be NULL */
	int64_t now_ms;		    /* Unix */
	uint16_t viewer_cap;
};

/* Whole view of a node; *out is overwritten (fini an old one first). false: memory is short, *out is empty.
 */
bool view_build(const struct view_context *c, const struct member *self, struct view *out);
void view_fini(struct view *v);
/* self and peer may see each other at all. */
bool view_visible(const struct view_context *c, const struct member *self, const struct member *peer);

/* First message of a stream: everything. Memory in a; the view must outlive the message. */
bool view_whole(const struct view_context *c, struct view *v, struct arena *a, struct ctl_map_response *out);
/* Last message to a node that was removed: its login has ended. */
bool view_farewell(const struct view_context *c, const struct member *self, struct arena *a,
	struct ctl_map_response *out);
/* What changed from old to new; *empty when there is nothing to say. refilter: look at the packet filter too
 * (it is dear); new->filter_hash is set in either case. */
bool view_delta(const struct view_context *c, const struct view *old, struct view *new, bool refilter,
	struct arena *a, struct ctl_map_response *out, bool *empty);
/* The same when only the members in ids[] and nothing about rules or self's own identity can have
 * changed: v is brought up to date in place, at no cost per other peer. After false v is to be thrown away.
 */
bool view_apply(const struct view_context *c, struct view *v, const struct member *self, const int64_t *ids,
	size_t n, bool refilter, struct arena *a, struct ctl_map_response *out, bool *empty);

#endif
