/* Map streams: one for each node, over which it is told its map and every change of it.
 *
 * States of a node here, by node number:
 *   streaming  its newest map request is open; view says what it was told. Moves to away when the request
 *              ends, cannot be written to, or a newer one takes its place (which streams at once).
 *   away       no stream for less than OFFLINE_GRACE_MS: it still counts as online. Then forgotten, and said
 *              offline.
 *
 * Streams stand in a queue by the moment they were last told of. A change wakes the flush, which serves them
 * from the front, for a few milliseconds in each turn of the loop, until the front knows all there is; what
 * happens meanwhile is in the message of whoever is served after it. The journal keeps what the front does
 * not know. */
#ifndef RW_CONTROL_VIEW_STREAMS_H
#define RW_CONTROL_VIEW_STREAMS_H

#include "mesh/control/view/packed.h"
#include "mesh/control/view/view.h"
#include "mesh/os/loop.h"
#include "mesh/transport/control_link.h"

/* What the data of an h2 stream points at while its answer is open, first in the owner's struct. */
struct h2_owner {
	void (*gone)(
		struct h2_owner *o); /* the other side ended it: the stream is not to be touched any more */
};

struct streams_ops {
	void (*online)(
		void *arg, int64_t node, bool online); /* at the first stream, and some time after the last */
	void *arg;
};
struct streams {
	struct loop *loop;
	const struct fleet *fleet;
	struct streams_ops ops;
	struct settings *set; /* counted */
	struct view_cache cache;
	struct packed packed;
	struct journal journal;
	struct table by_node;		 /* -> struct map_stream */
	struct map_stream *first, **end; /* those that stream, by view.told */
	struct loop_timer *flush;
	size_t n;			 /* that stream */
	uint64_t flush_from_ms, busy_ns; /* no flush before that; what the flush at hand has cost */
	bool flush_queued, closed;
};

/* fleet must outlive it. -ENOMEM. */
int streams_open(struct streams *s, struct loop *l, const struct fleet *fleet, const struct streams_ops *ops,
	struct errbuf *eb);
void streams_close(struct streams *s); /* ends every stream; all zero is fine */
/* Settings as they are from now on, counted: all nodes are told what differs. After streams_close nothing is kept. */
void streams_settings_set(struct streams *s, struct settings *set);
/* A member has changed, as registry_ops.changed says. */
void streams_changed(struct streams *s, const struct member *old, const struct member *now, bool identity);
/* The map request is a stream for the member: answered from here on. */
void streams_accept(struct streams *s, struct h2_stream *stream, const struct member *m,
	const struct ctl_map_request *rq);
/* Asks the node to show that it lives, at this URL inside Noise. false: it has no stream, or lost it. */
bool streams_ping(struct streams *s, int64_t node, const char *url, const char *types, const char *ip);
size_t streams_count(const struct streams *s);

#endif
