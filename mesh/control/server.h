/* The running server: everything that has a socket, a timer or a clock. Private to the room's program files.
 */
#ifndef RW_CONTROL_SERVER_H
#define RW_CONTROL_SERVER_H

#include "mesh/control/config/config.h"
#include "mesh/control/config/settings.h"
#include "mesh/control/fleet/registry.h"
#include "mesh/control/view/view.h"
#include "mesh/os/loop.h"
#include "mesh/transport/control_link.h"

enum { SERVER_DIRTY_MAX = 512 };

/* What an h2 stream's data points at while its answer is open. */
struct held {
	enum { HELD_SESSION, HELD_WAITER } kind;
};

struct listener {
	int fd;
	struct loop_fd *watch;
};

struct server {
	struct loop *loop;
	struct control_config cfg;
	struct registry reg;
	bool has_registry;
	struct settings *settings;
	struct view_settings view;
	struct policy_cache *cache; /* as fleet and policy are now */
	struct machine_private noise_private;
	struct machine_key noise_public;
	struct listener admin;
	struct web_door { /* where nodes come in; tls NULL = none */
		struct server *s;
		struct listener l;
		struct endpoint at; /* with the port it got */
		struct tls *tls;
	} doors[2];
	char own_pin[80]; /* of the certificate made here; "" = the settings name one, or there is no TLS */
	struct relay *relay;   /* inside; NULL = the settings want none */
	struct table sessions; /* node id -> struct session */
	struct web_guests {    /* those we do not know are counted, and most there can be */
		struct web_guest *first, **end;
		size_t n, most;
	} visits, links; /* connections that are no Noise links yet; Noise links */
	uint64_t turned_away;
	struct log_limit crowded;
	struct waiter *waiters;		 /* registrations held open until approved */
	int64_t dirty[SERVER_DIRTY_MAX]; /* changed since the last flush */
	size_t n_dirty;
	bool refilter, rebuild, flush_queued, stopping;
	uint64_t flush_from_ms; /* the next flush is not before this */
	struct loop_timer *tick, *stop, *accept_again, *flush;
	struct loop_signal *hup, *term, *intr;
	bool json;
	int exit_code;
};

/* Serves until a signal; the exit status of the program. config: path. */
int server_run(const char *config, bool json);
/* Reads config, policy, DERP files and certificate again; what cannot be read leaves everything as it was.
 * restart: the keys that changed and are not taken before a restart. */
enum { SERVER_KEYS_TEXT = 512 };
int server_reload(struct server *s, char restart[static SERVER_KEYS_TEXT], struct errbuf *eb);
struct view_context server_view_context(struct server *s, uint16_t cap);
void server_tick(struct server *s);

/* session.c: map streams, one per node. */
void session_open(
	struct server *s, struct h2_stream *stream, const struct member *m, const struct ctl_map_request *rq);
void session_stream_gone(struct held *h);
void session_node_removed(struct server *s, int64_t node);
void session_flush(struct server *s);	    /* tells every node what changed */
void session_flush_later(struct server *s); /* in this turn of the loop, or soon when it is busy with that */
void session_close_all(struct server *s);
size_t session_count(const struct server *s);

/* web.c: HTTP and what is inside Noise. */
int web_open(struct server *s, struct errbuf *eb);
/* The certificate of the settings anew, for connections to come. */
int web_renew(struct server *s, struct errbuf *eb);
void web_decided(struct server *s, const char *pending);
void web_recall(struct server *s, const char *pending);
/* After an accept that failed: when there is no room, the socket is left alone for a moment. */
void web_pause_full(struct server *s, struct loop_fd *watch, int code);
void web_close(struct server *s);

/* derp.c: the relay inside. */
int derp_open(struct server *s, struct errbuf *eb);
void derp_close(struct server *s);
/* After the certificate of the door was read anew. */
int derp_certificate_changed(struct server *s, struct errbuf *eb);
/* For its region in the map; NULL when there is none. */
const struct settings_relay *derp_facts(const struct server *s, struct settings_relay *out);

/* admin.c: the admin socket. */
int admin_open(struct server *s, struct errbuf *eb);
void admin_close(struct server *s);

#endif
