/* What one node is told: everything at first, then the difference between what it was told and what is, as
 * map messages. Pure. tailscale-protocol.md 1.8.
 *
 * There is no record of what each viewer knows of each peer: with n nodes that would be n * n. A viewer keeps
 * the moment of its last message, what it was itself then, and the settings of then; the journal says what
 * the members that have changed since were. From both follows whom it saw and as what, and from the fleet
 * whom it sees now. */
#ifndef RW_CONTROL_VIEW_VIEW_H
#define RW_CONTROL_VIEW_VIEW_H

#include "mesh/control/config/settings.h"
#include "mesh/control/fleet/fleet.h"
#include "mesh/control/policy/policy.h"
#include "mesh/control/view/journal.h"
#include "mesh/proto/control.h"

enum { VIEW_HASH = 32 };

/* What is found out about members once for all viewers. */
struct view_cache {
	struct table by_id; /* -> struct view_text: a peer as text, the same for all but for Cap and routes */
	struct view_rules_slot { /* what rules say of members, as they are and as they were told */
		struct policy_cache *cache;
		struct settings *set; /* whose rules; counted */
	} now, was;
};
bool view_cache_init(struct view_cache *c, uint64_t seed); /* false: memory is short; fini it all the same */
void view_cache_fini(struct view_cache *c);
/* A member has changed; identity: so that the rules may see it otherwise. */
void view_cache_changed(struct view_cache *c, int64_t id, bool identity);
void view_cache_told(struct view_cache *c); /* all viewers know all: what was is no longer needed */

/* All zero: was told nothing. */
struct view {
	const struct member *self; /* as it was told; counted */
	struct settings *set;	   /* counted */
	const struct member
		*blocker; /* the machine that answers names for it, as it was told; counted; NULL = none */
	uint64_t told;	  /* journal->now of then */
	uint64_t filter_mark;		/* policy_filter_mark of then */
	uint8_t filter_hash[VIEW_HASH]; /* and of who may log in */
	uint8_t caps_hash[VIEW_HASH];
	bool logins; /* it was told of some */
};
void view_fini(struct view *v);

struct view_context {
	const struct fleet *fleet;
	struct settings *set;
	struct view_cache *cache;
	struct journal *journal;
	int64_t now_ms; /* Unix */
	uint16_t viewer_cap;
};

/* First message of a stream: everything. The message's memory is in a, and in the cache until a member
 * changes. v is overwritten (fini an old one first). false: memory is short. */
bool view_whole(const struct view_context *c, const struct member *self, struct view *v, struct arena *a,
	struct ctl_map_response *out);
/* The same without the peers, whom it lists: for a message that is put together of parts. */
struct view_peers {
	const struct member **v; /* by id; in a, and good until the fleet changes */
	size_t n;
};
bool view_head(const struct view_context *c, const struct member *self, struct view *v, struct arena *a,
	struct ctl_map_response *out, struct view_peers *peers);
/* One of them as a node of a message. */
void view_describe(const struct view_context *c, const struct member *self, const struct member *peer,
	struct arena *a, struct ctl_node *out);
/* What changed since; *empty when there is nothing to say. false: memory is short, v knows nothing any more.
 */
bool view_update(const struct view_context *c, const struct member *self, struct view *v, struct arena *a,
	struct ctl_map_response *out, bool *empty);
/* Last message to a node that was removed: its login has ended. */
bool view_farewell(const struct view_context *c, const struct member *self, struct arena *a,
	struct ctl_map_response *out);

#endif
