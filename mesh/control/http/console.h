/* The console: pages for a browser (mesh/control/console), which work by the rows that programs and the admin socket use.
 *
 * Whoever has logged in (login.h) and asks from one of our pages has the right API_SESSION. The cookie alone gives none:
 * each request carries what only our pages can know of it (X-Ropewalk-Form), so that no other site makes a browser ask.
 * A local admin may do all; a person what their role says, looked up at every request; a member sees and changes their
 * own nodes (API_OWN).
 *
 * GET /admin/events is answered for as long as the page is open, as text/event-stream:
 *   event: nodes   data: {"nodes":[as nodes/list],"gone":[numbers]}   what changed since the last one
 *   event: all     data: {}   more changed than is remembered: ask for the whole
 *   event: other   data: {}   something that is no node: users, keys, who waits, rules
 * A viewer that reads slowly is told less often, and more at once; nothing is kept for it but where it stands. There are
 * CONSOLE_VIEWERS at most, CONSOLE_VIEWERS_EACH of one session; the oldest goes, of a session that has its share its own.
 */
#ifndef RW_CONTROL_HTTP_CONSOLE_H
#define RW_CONTROL_HTTP_CONSOLE_H

#include "mesh/control/http/api.h"
#include "mesh/web/browser.h"

#define CONSOLE_PATH "/admin"
enum { CONSOLE_VIEWERS = 64, CONSOLE_VIEWERS_EACH = 8, CONSOLE_NEWS = 1024 };

struct viewer;
struct console {
	struct loop *loop;
	struct api *api;
	struct loop_timer *turn; /* runs while somebody looks */
	struct viewer *first;	 /* the oldest */
	size_t n;
	struct console_news {
		int64_t node, was; /* was: the user whose own it was before; 0 = nobody's */
	} news[CONSOLE_NEWS];	   /* nodes that changed, by seq */
	uint64_t seq;		   /* so many changes there were */
	unsigned turns;
};
/* Nothing that can fail. */
void console_init(struct console *k, struct loop *l, struct api *api);
void console_close(struct console *k); /* when no connection is left; all zero is fine */
/* old: NULL when the node is new, now: when it is gone. */
void console_node_changed(struct console *k, const struct member *old, const struct member *now);

/* A session that the request shows gives API_SESSION, for paths that such a session opens. */
void console_authenticate(struct api_call *c);
/* Whether who asks may send more than a stranger. */
bool console_may_send(const struct api *a, const struct http_head *head);

/* For console_events.c: the rights of a session, into c. false: it has ended. */
bool console_rights(struct api_call *c, const struct browser_hash *who);

#endif
