/* Shared by the files of server_link.h: the link's life (server_link.c), its login (server_register.c) and its map
 * stream (server_stream.c). Each state's deadlines and requests are set by its own file. */
#ifndef RW_NODE_LINKS_SERVER_LINK_INNER_H
#define RW_NODE_LINKS_SERVER_LINK_INNER_H

#include "mesh/node/links/portal.h"
#include "mesh/node/links/server_exchange.h"
#include "mesh/node/links/server_key.h"
#include "mesh/node/links/server_link.h"
#include "mesh/node/links/server_login.h"
#include "mesh/node/links/server_ping.h"
#include "mesh/transport/control_link.h"

enum { SERVER_BACKOFF_MIN_MS = 100, SERVER_BACKOFF_MAX_MS = 10000, SERVER_LOGOUT_MS = 3000 };

enum server_stage { SERVER_IDLE, SERVER_KEY, SERVER_LINK, SERVER_REGISTER, SERVER_STREAM };

struct server_link {
	struct loop *loop;
	struct server_link_ops ops;
	const struct state *us; /* the owner's */
	enum server_stage stage;
	struct machine_key server;
	struct server_way way;
	struct server_key_ask *key_ask;
	struct server_ping ping;
	struct portal portal; /* looked for while the server cannot be reached */
	struct control_client_link *link;
	struct server_exchange reg, update;
	struct h2_request *stream;
	int stream_status;
	struct map_frames *frames;
	struct loop_timer *retry, *silence, *told;
	uint64_t backoff_ms, asked_ms, told_ms; /* told_ms: our disco key; 0 = not yet */
	uint64_t stream_ms, map_backoff_ms;	/* since when; of streams that could not be used */
	int idle_s; /* without a word, until TCP asks whether the server is there */
	bool must_register, update_wanted, first_of_stream;
	bool by_memory; /* the next try of a server with a name goes to where it was seen last */
	bool is_shown;	/* a login is out or was left open: the server may know a key that is not in force */
	char waiting[1024];
	struct server_login login;
	void (*logout_done)(void *arg);
	void *logout_arg;
};

/* server_link.c */
/* The one setter. The owner hears of the stream's beginning and end. */
void server_link_enter(struct server_link *c, enum server_stage to);
/* Whatever failed ends here: IDLE, and the retry timer. Safe below a callback of the link. */
void server_link_retry_later(struct server_link *c, const char *what, const char *why);
void server_link_stay_out(struct server_link *c, const char *why); /* IDLE, and a person must act */
void server_link_finish_logout(struct server_link *c);
/* The connection ended; before its state is left. A NAT on the way may have forgotten it. */
void server_link_lost(struct server_link *c, int code);
bool server_link_gave_up(const struct server_link *c);	 /* what comes now is of a try that was given up */
bool server_link_is_pinned(const struct server_link *c); /* which key the server has was known beforehand */

/* server_register.c */
void server_register_send(struct server_link *c);
void server_register_goodbye(struct server_link *c);

/* server_stream.c */
void server_stream_open(struct server_link *c);

#endif
