/* Files to and from peers: what both doors (PeerAPI, LocalAPI) ask for. Bytes move on errands, never on the loop.
 * Connections are handed over (http_carry.h), answered, and closed here. */
#ifndef RW_NODE_SERVE_FILES_H
#define RW_NODE_SERVE_FILES_H

#include "mesh/base/addr.h"
#include "mesh/node/serve/inbox.h"
#include "mesh/os/loop.h"
#include "mesh/transport/http_carry.h"

struct files;
/* Creates the folder, and reads what waits there. NULL with a sentence. */
struct files *files_open(struct loop *l, const char *state_dir, struct errbuf *eb);
void files_close(struct files *f); /* what is on its way is stopped; NULL is fine */

/* What waits, as inbox_files and inbox_count. */
void files_waiting(struct files *f, void (*each)(void *arg, const struct inbox_file *file), void *arg);
size_t files_count(struct files *f);
/* One of them came, from the loop. May call anything of files.h but files_close. */
struct files_waiter;
struct files_waiter *files_wait(
	struct files *f, void (*came)(void *arg), void *arg); /* NULL: memory is short */
void files_wait_end(struct files_waiter *w);		      /* NULL is fine */

/* Whether one more may begin: 0, or an HTTP status and why. peer 0: not for one of them. */
int files_refuse_more(struct files *f, int64_t peer, const char **why);

/* Ends what is on its way from or to peers that stay does not name any more. */
void files_cut(struct files *f, bool (*stays)(void *arg, int64_t peer), void *arg);

struct files_peer { /* copied */
	int64_t id;
	const char *name;
};
bool files_is_receiving(const struct files *f, int64_t peer, const char *name); /* that one, now */
/* They take over c. A name is fit (sharing_name_is_fit). */
void files_receive(struct files *f, struct http_carry *c, const struct files_peer *from, const char *name,
	uint64_t at); /* from that byte on */
void files_tell_blocks(struct files *f, struct http_carry *c, const struct files_peer *to, const char *name);
void files_tell_partials(struct files *f, struct http_carry *c, const struct files_peer *to);
void files_hand_out(struct files *f, struct http_carry *c, const char *name);
void files_remove(struct files *f, struct http_carry *c, const char *name);

enum { FILES_STABLE_ID = 64, FILES_OUTGOING_ID = 31 };
struct files_target { /* copied */
	struct files_peer peer;
	const char *stable_id; /* of the peer, for who watches; at most FILES_STABLE_ID with its end */
	struct endpoint at;    /* its PeerAPI */
	const char *ifname;    /* the only way that the bytes may take */
};
/* The body of c to a peer: what it has of it already is not sent again. */
void files_send(struct files *f, struct http_carry *c, const struct files_target *to, const char *name);

/* Those that go to peers, in the order of their beginning: all that are on their way, and some that ended. Strings live
 * until the next one begins or ends. */
struct files_outgoing {
	const char *id, *peer, *name; /* peer: its stable id */
	int64_t started_ms;	      /* Unix */
	int64_t size;		      /* -1: who sends does not know it */
	uint64_t sent;		      /* bytes that the peer has */
	bool finished, succeeded;
};
void files_outgoing(
	const struct files *f, void (*each)(void *arg, const struct files_outgoing *o), void *arg);
/* changed: one began or ended, or bytes went (a few times a second), from the loop; may call files_outgoing. NULL: no
 * more. There is one who is told. */
void files_outgoing_watch(struct files *f, void (*changed)(void *arg), void *arg);

#endif
