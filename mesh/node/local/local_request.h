/* What the LocalAPI's verbs share; one file per concern. Used inside mesh/node/local only. */
#ifndef RW_NODE_LOCAL_LOCAL_REQUEST_H
#define RW_NODE_LOCAL_LOCAL_REQUEST_H

#include "mesh/node/local/local_api.h"
#include "mesh/proto/localapi.h"
#include "mesh/transport/http.h"
#include <jansson.h>
#include <sys/types.h>

struct asked;
struct searched;
struct server_try;
struct measuring;
struct awaiting;
/* One connection; freed with it. */
struct local_client {
	struct local_api *api;
	struct local_client *next;
	struct http_server_conn *conn;
	struct asked *asked;	   /* a DNS question that is out */
	struct searched *searched; /* a name that is looked for in lists */
	struct server_try *trying; /* a change of server that waits for the new one */
	struct measuring *measuring;
	struct awaiting *awaiting; /* files that may come */
};
struct request {
	struct local_api *api;
	struct local_client *client;
	struct loop *loop;
	const struct local_node_ops *node;
	struct http_server_conn *conn;
	const struct http_head *head;
	const char *body;
	size_t len;
	const char *below; /* streamed ones: the path behind the route's own, decoded */
	bool server_tried; /* the new server of it is there */
};
void local_reply_json(struct http_server_conn *c, struct buf *b, bool ok); /* frees b */
void local_reply_error(struct http_server_conn *c, int status, const char *text);

void local_reply_done(struct http_server_conn *c, int status);	/* no body */
void local_reply_object(struct http_server_conn *c, json_t *o); /* frees o; NULL: memory short */

/* local_profiles.c */
#define LOCAL_PROFILE "login" /* ID of the one profile */
void local_profiles_switch(struct request *r);
void local_profiles_list(struct request *r);
void local_profiles_current(struct request *r);
void local_profiles_new(struct request *r);

bool local_user_id(const char *name, uid_t *out); /* of /etc/passwd, or a number */
bool local_may_change(const struct request *r);	  /* whoever is at the other end */

/* local_asker.c: "user 1000: REASON", fit for a log; without a reason where none is given. false: what is given cannot be
 * read, which is what local_asker_unclear says. */
enum { LOCAL_ASKER = API_REASON_MAX + 32 };
bool local_asker(const struct request *r, char out[static LOCAL_ASKER]);
extern const char local_asker_unclear[];

/* local_watch.c */
struct local_watchers;
/* Before the node's files are closed, free them. */
struct local_watchers *local_watchers_new(const struct local_node_ops *node);
void local_watchers_free(struct local_watchers *w); /* NULL is fine */
void local_watchers_tell(struct local_watchers *w);
void local_watchers_gone(struct local_watchers *w, struct http_server_conn *c);
struct local_watchers *local_api_watchers(struct local_api *a);
void local_watch(struct request *r);

/* local_status.c */
void local_status(struct request *r);
void local_metrics(struct request *r);

/* local_prefs.c */
void local_prefs_reply(struct request *r); /* as they are now */
void local_prefs_get(struct request *r);
void local_prefs_patch(struct request *r);
void local_prefs_check(struct request *r);
void local_start(struct request *r);
void local_prefs_gone(struct local_client *c); /* the asker left */

/* local_exit.c */
void local_exit_take(struct state_prefs *next, const char *who); /* "" = none; who it was is remembered */
void local_exit_suggest(struct request *r);
void local_exit_enable(struct request *r);

/* local_dns.c */
void local_dns_query(struct request *r);
void local_dns_os_config(struct request *r);
void local_dns_config(struct request *r);
void local_dns_servers(struct request *r);
void local_dns_flush(struct request *r);
void local_dns_log(struct request *r);
void local_dns_log_set(struct request *r);
void local_dns_top(struct request *r);
void local_dns_gone(struct local_client *c); /* the asker left */

/* local_blocked.c */
void local_dns_blocked(struct request *r);
void local_dns_blocking(struct request *r);
void local_dns_pause(struct request *r);
void local_blocked_gone(struct local_client *c); /* the asker left */

/* local_ping.c */
struct local_pings;
struct local_pings *local_pings_new(const struct local_node_ops *node);
void local_pings_free(struct local_pings *p); /* NULL is fine */
void local_pings_gone(struct local_pings *p, struct http_server_conn *c);
void local_pings_server_asks(struct local_pings *p, struct loop *l, const struct ctl_ping *asked);
struct local_pings *local_api_pings(struct local_api *a);
void local_ping(struct request *r);

/* local_login.c */
void local_login(struct request *r);
void local_logout(struct request *r);

/* local_netcheck.c */
void local_netcheck(struct request *r);
void local_netcheck_gone(struct local_client *c); /* the asker left */
void local_derp_map(struct request *r);

/* local_files.c */
void local_file_targets(struct request *r);
void local_files_list(struct request *r);
void local_file_put(struct request *r); /* these three are streamed: they take the connection */
void local_file_get(struct request *r);
void local_file_delete(struct request *r);
void local_files_gone(struct local_client *c); /* the asker left */

/* local_debug.c */
void local_debug(struct request *r);

/* local_capture.c */
struct local_captures;
/* l: until they are freed; before that all connections are gone. NULL: memory is short. */
struct local_captures *local_captures_new(struct loop *l, const struct local_node_ops *node);
void local_captures_free(struct local_captures *c); /* NULL is fine */
void local_captures_gone(struct local_captures *c, struct http_server_conn *conn);
struct local_captures *local_api_captures(struct local_api *a);
void local_capture(struct request *r);

/* local_reach.c */
void local_debug_relay(struct request *r);
void local_debug_ways(struct request *r);

/* local_whois.c */
void local_whois(struct request *r);

#endif
