/* Whether nodes that could carry one network for each other are alive. One that hangs keeps its connection for
 * minutes; so those are asked (PingRequest, answered inside Noise), and who says nothing, or has no stream,
 * carries nothing that another can.
 *
 *   well     its last question was answered, or is younger than SILENT_MS
 *   silent   a question is older than that, or the stream has been away for AWAY_LOOKS looks; until an answer */
#ifndef RW_CONTROL_VIEW_PROBES_H
#define RW_CONTROL_VIEW_PROBES_H

#include "mesh/control/fleet/id_list.h"
#include "mesh/control/view/streams.h"

struct probes_ops {
	void (*rivals)(void *arg, struct id_list *out);	      /* who to look after; into an empty list */
	void (*silent)(void *arg, int64_t node, bool silent); /* it has changed */
	void *arg;
};
struct probes { /* all zero is closed */
	struct loop *loop;
	struct streams *streams;
	const char *url; /* the server's, without a last slash */
	struct probes_ops ops;
	struct probe *first;
	struct loop_timer *timer;
};
/* url is borrowed. -ENOMEM. */
int probes_open(struct probes *p, struct loop *l, struct streams *s, const char *url,
	const struct probes_ops *ops, struct errbuf *eb);
void probes_close(struct probes *p);
/* A machine has shown the token of a question; which member that is, so that the caller may check that it is
 * this machine's. 0: none. */
int64_t probes_asked(const struct probes *p, const char *token);
void probes_answered(struct probes *p, int64_t node);

#endif
