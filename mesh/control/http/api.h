/* One table for everything that is asked of the server, whatever it comes by: HTTP pages, the node protocol
 * inside Noise, the admin socket. A row says the method, the path, the right it takes and what is run; the
 * right comes from the door that the request came in by. What a row may answer at once it answers; what is
 * stored first is answered when that is done (api_later). */
#ifndef RW_CONTROL_HTTP_API_H
#define RW_CONTROL_HTTP_API_H

#include "mesh/control/config/config.h"
#include "mesh/control/fleet/registry.h"
#include "mesh/control/http/guests.h"
#include "mesh/control/view/probes.h"
#include "mesh/control/view/streams.h"
#include "mesh/transport/control_link.h"
#include <jansson.h>

enum api_right {
	API_ANYBODY, /* over HTTP, at any door */
	API_MACHINE, /* inside Noise: the machine key is proven; the node's right to it is the verb's business
		      */
	API_KEYED,   /* a key of the API was shown; an admin may do it too */
	API_ADMIN,   /* who may open the admin socket */
	API_SESSION, /* a login in a browser, shown by a page of ours: what its scopes open (console.h) */
};
#define API_DNS_TEXT "dns" /* the registry's text that has the DNS settings made here */
enum { API_KEYS_TEXT = 512, API_PATH_MAX = 512, API_PARTS = 2 };
/* How answers are written: by the path that was asked. */
enum api_manner {
	API_OURS,
	API_V1, /* Headscale's REST API */
	API_V2, /* the official service's */
};

/* What the verbs work with; all borrowed. */
struct proxies;
struct api {
	struct registry *reg;
	struct streams *streams;
	struct probes *probes;
	struct guests *guests;
	struct machines *machines;
	struct ssh_checks *ssh_checks;
	const struct control_config *cfg;
	const struct machine_key *noise;
	const struct proxies *proxies; /* by which others' servers are reached; borrowed */
	/* Reads the settings anew; restart: the keys that changed and are not taken before one; wrong: a line for each
	 * of the mistakes, of which eb tells the first. */
	int (*reload)(void *arg, char restart[static API_KEYS_TEXT], struct buf *wrong, struct errbuf *eb);
	/* The certificate of the settings is another: it is read again, and the settings, but the config is not. */
	int (*certificate_again)(void *arg, struct errbuf *eb);
	void *arg;
	const struct certificate *certificate; /* looked after here; NULL = none */
	json_t *dns; /* DNS settings that are on their way to the disk; NULL = none are */
	struct login *login;
	struct console *console;
	struct log_ring *log;
	struct api_later *probing; /* those that wait for one answer of the database */
	struct registry_wait probe;
	int64_t probed_ms; /* when it last answered, and what */
	bool probed_well;
	unsigned dns_checks;	    /* nameservers that are being asked */
	struct path_ask *path_asks; /* nodes that are asked by which way they reach another: path_asks.c */
};

/* Where the answer goes: one of them. */
struct api_way {
	struct http_server_conn *conn;
	struct h2_stream *stream;
	enum api_manner manner;
	bool https; /* to a browser: by TLS, of the server itself or of a proxy in front of it */
};
struct api_call {
	struct api *api;
	enum api_right right; /* what the caller has shown */
	const char *method;
	char path[API_PATH_MAX];
	const char *tail;		       /* what stands for the * of the row's path */
	char part[API_PARTS][FLEET_USER_NAME]; /* what stands for its {} */
	const struct http_head *head;	       /* NULL inside Noise */
	const uint8_t *body;
	size_t len;
	struct api_way way;
	struct api_later **later; /* where one that is not answered yet is kept; NULL inside Noise */
	struct guest *guest;
	json_t *args;		   /* of an admin's call, or one with a key: an object */
	const struct api_key *key; /* that was shown, or whose token was */
	uint32_t scopes;	   /* of the token, or of the session's role: see auth.c */
	bool whole;		   /* a session that may do all that an admin may */
	enum user_role rank;	   /* of a session */
	int64_t own;	/* a session of this user; in a verb: whose own nodes are all it may touch. 0 = all */
	int64_t person; /* a session's user; 0 = a local admin */
	char who[FLEET_USER_NAME]; /* a session's name */
	struct addr from; /* who asks, behind proxies that are trusted; all zero = on a unix socket */
	int64_t now_ms;
};
struct api_row {
	const char *method; /* "GET" is HEAD too */
	const char *path;   /* a last * stands for anything, {} for one part between slashes */
	enum api_right right;
	void (*run)(struct api_call *c);
	unsigned flags;
	const char *
		scope; /* what a token must be for: this, or this and ":read" to read; NULL = keys of admins alone */
};
enum {
	API_RAW = 1, /* the body is no JSON, or not always */
	API_OWN = 2, /* for every user: the verb keeps to nodes of api_call.own */
};
extern const struct api_row api_rows[]; /* ended by a NULL path */

/* The row of a call; NULL: it was refused, *status says with what. */
const struct api_row *api_find(const char *method, const char *path, enum api_right right, int *status);
/* Runs the row of the call, or refuses it. */
void api_serve(struct api_call *c);

/* What it holds itself. */
void api_close(struct api *a);

void api_reply(const struct api_way *w, int status, const char *type, const char *extra, const void *body,
	size_t len);
void api_reply_text(const struct api_way *w, int status, const char *text);
void api_reply_json(const struct api_way *w, int status, json_t *v);	     /* takes v; NULL: no memory */
void api_reply_json_once(const struct api_way *w, int status, json_t *v);    /* that no cache may keep */
void api_reply_error(const struct api_way *w, int status, const char *text); /* as admins read it */
/* Of a text that may quote what somebody asked for, cut in the middle of a character: fit for JSON, and for a terminal
 * (text_clean). NULL: memory is short. */
json_t *api_sentence(const char *text);

/* An admin's call whose change is on its way to the disk. made: what is answered when it is there. NULL:
 * answered, there is no memory. */
struct registry_wait *api_later(struct api_call *c,
	json_t *(*made)(const struct api *a, const struct registry_result *res, const char *text),
	const char *text);
/* The same for what answers with more than JSON. */
struct registry_wait *api_later_answer(struct api_call *c,
	void (*answer)(const struct api *a, const struct api_way *w, const struct registry_result *res));
/* An answer that waits for something else, which is ended by api_later_way; drop: nobody waits any more, and what is done
 * for it stops. NULL: answered, there is no memory. */
struct api_later *api_later_open(struct api_call *c, void (*drop)(void *arg), void *arg);
struct api_way api_later_peek(const struct api_later *l); /* of an answer that comes in pieces */
/* It can be answered now, once; l is gone. */
struct api_way api_later_way(struct api_later *l);
/* Asks the database whether it can be written; made: of the result. Several that ask at once share one
 * answer. */
void api_probe(
	struct api_call *c, void (*made)(const struct api *a, const struct api_way *w, const char *trouble));
/* The connection of it has gone. NULL is fine. */
void api_later_drop(struct api_later *l);

/* auth.c. What the head shows: a key that is good now gives API_KEYED, for paths of the API alone. */
void api_authenticate(struct api_call *c);
/* Whether head shows such a key: it may send more than a stranger. */
/* "devices:core dns:read" as bits. false: say names a word that is no scope. */
bool api_scopes_read(const char *words, uint32_t *out, char *say, size_t cap);
bool api_has_scope(const struct api_call *c, const struct api_row *r);
/* Whether who asks may have the row, whose right is theirs; of their own nodes alone: own stays. */
bool api_may(struct api_call *c, const struct api_row *r);
/* Whether who asks has all of these, so that what it makes may have them. */
bool api_may_pass_on(const struct api_call *c, uint32_t scopes);
/* What who asks is to the users: root on the admin socket as good as the owner, keys and admins of this server admins. */
enum user_role api_rank(const struct api_call *c);
/* Tags open doors, and doors are not an it-admin's: the user who gives such as the policy lets them, or 0, all. */
int64_t api_giver(const struct api_call *c);
/* So do addresses that the rules name: the caller may not change the rules, and gives no node such a one. */
bool api_is_ruled(const struct api_call *c);
bool api_is_keyed(const struct api *a, const struct http_head *head, int64_t now_ms);

/* --- verbs, by file --- */
void pages_key(struct api_call *c);
void pages_health(struct api_call *c);
void pages_version(struct api_call *c);
void pages_verify(struct api_call *c);
void pages_ssh(struct api_call *c);
void pages_root(struct api_call *c);
void pages_no_upgrade(struct api_call *c);
void certificate_challenge(struct api_call *c); /* an authority's question */

void login_register(struct api_call *c);
void login_approve(struct api_call *c);
void login_pending(struct api_call *c);
void login_begin(struct api_call *c);
void login_callback(struct api_call *c);
void login_admin_page(struct api_call *c);
void login_admin(struct api_call *c);
void login_first(struct api_call *c);
void login_end(struct api_call *c);
/* Says in the log who changes what, by a page of the console. */
void console_note(const struct api_call *c, const struct api_row *r);
void console_page(struct api_call *c);
void console_slash(struct api_call *c);
void console_asset(struct api_call *c);
void console_events(struct api_call *c);

void login_style(struct api_call *c);
void login_script(struct api_call *c);

void machine_register(struct api_call *c);
void machine_map(struct api_call *c);
void machine_ssh_action(struct api_call *c);
void machine_unknown(struct api_call *c);
void machine_ping_told(struct api_call *c);
void machine_pinged(struct api_call *c);

void admin_users_create(struct api_call *c);
void admin_users_list(struct api_call *c);
void admin_users_role(struct api_call *c);
void admin_users_destroy(struct api_call *c);
void admin_admins_create(struct api_call *c);
void admin_admins_list(struct api_call *c);
void admin_admins_password(struct api_call *c);
void admin_admins_delete(struct api_call *c);
void admin_invite(struct api_call *c);
void admin_keys_create(struct api_call *c);
void admin_keys_list(struct api_call *c);
void admin_keys_expire(struct api_call *c);
void admin_nodes_list(struct api_call *c);
void admin_nodes_pending(struct api_call *c);
void admin_nodes_approve(struct api_call *c);
void admin_nodes_reject(struct api_call *c);
void admin_nodes_path(struct api_call *c);
void admin_nodes_show(struct api_call *c);
void admin_nodes_delete(struct api_call *c);
void admin_nodes_expire(struct api_call *c);
void admin_nodes_keep(struct api_call *c);
void admin_nodes_rename(struct api_call *c);
void admin_nodes_tag(struct api_call *c);
void admin_nodes_approve_routes(struct api_call *c);
void admin_nodes_list_routes(struct api_call *c);
void admin_api_keys_create(struct api_call *c);
void admin_api_keys_list(struct api_call *c);
void admin_api_keys_expire(struct api_call *c);
void admin_api_keys_delete(struct api_call *c);
void admin_qr(struct api_call *c);
void admin_relays_list(struct api_call *c);
void admin_log_show(struct api_call *c);
void admin_health(struct api_call *c);
void admin_dns_servers(struct api_call *c);
void admin_dns_check(struct api_call *c);
void admin_dns_show(struct api_call *c);
void admin_dns_reset(struct api_call *c);
void admin_explain(struct api_call *c);
void admin_reload(struct api_call *c);
void admin_ssh_list(struct api_call *c);
void admin_ssh_approve(struct api_call *c);
void admin_ssh_reject(struct api_call *c);
void admin_policy_get(struct api_call *c);
void admin_policy_set(struct api_call *c);
void admin_policy_test(struct api_call *c);
void admin_policy_reach(struct api_call *c);
void admin_policy_history(struct api_call *c);

void api_metrics(struct api_call *c);
void api_openapi(struct api_call *c);
void v1_health(struct api_call *c);
void v1_users_list(struct api_call *c);
void v1_users_create(struct api_call *c);
void v1_users_rename(struct api_call *c);
void v1_users_delete(struct api_call *c);
void v1_preauth_list(struct api_call *c);
void v1_preauth_create(struct api_call *c);
void v1_preauth_expire(struct api_call *c);
void v1_preauth_delete(struct api_call *c);
void v1_api_keys_list(struct api_call *c);
void v1_api_keys_create(struct api_call *c);
void v1_api_keys_expire(struct api_call *c);
void v1_api_keys_delete(struct api_call *c);
void v1_nodes_list(struct api_call *c);
void v1_nodes_get(struct api_call *c);
void v1_nodes_give(struct api_call *c);
void v1_nodes_delete(struct api_call *c);
void v1_nodes_expire(struct api_call *c);
void v1_nodes_rename(struct api_call *c);
void v1_nodes_tag(struct api_call *c);
void v1_nodes_approve_routes(struct api_call *c);
void v1_nodes_register(struct api_call *c);
void v1_nodes_backfill(struct api_call *c);
void v1_nodes_invent(struct api_call *c);

void v1_auth_approve(struct api_call *c);
void v1_auth_reject(struct api_call *c);
void v1_routes_list(struct api_call *c);
void v1_routes_enable(struct api_call *c);
void v1_routes_disable(struct api_call *c);
void v1_policy_get(struct api_call *c);
void v1_policy_set(struct api_call *c);
void v1_policy_check(struct api_call *c);

void v2_acl_get(struct api_call *c);
void v2_acl_set(struct api_call *c);
void v2_acl_validate(struct api_call *c);
void v2_acl_preview(struct api_call *c);
void oauth_token(struct api_call *c);
void v2_devices_list(struct api_call *c);
void v2_devices_get(struct api_call *c);
void v2_devices_delete(struct api_call *c);
void v2_devices_authorize(struct api_call *c);
void v2_devices_expire(struct api_call *c);
void v2_devices_rename(struct api_call *c);
void v2_devices_tag(struct api_call *c);
void v2_devices_key(struct api_call *c);
void v2_devices_address(struct api_call *c);
void v2_devices_routes(struct api_call *c);
void v2_devices_approve_routes(struct api_call *c);
void v2_keys_list(struct api_call *c);
void v2_keys_create(struct api_call *c);
void v2_keys_get(struct api_call *c);
void v2_keys_set(struct api_call *c);
void v2_keys_delete(struct api_call *c);
void v2_dns_nameservers(struct api_call *c);
void v2_dns_nameservers_set(struct api_call *c);
void v2_dns_searchpaths(struct api_call *c);
void v2_dns_searchpaths_set(struct api_call *c);
void v2_dns_preferences(struct api_call *c);
void v2_dns_preferences_set(struct api_call *c);
void v2_dns_split(struct api_call *c);
void v2_dns_split_set(struct api_call *c);
void v2_dns_split_change(struct api_call *c);
void v2_dns_whole(struct api_call *c);
void v2_dns_whole_set(struct api_call *c);
void v2_users_list(struct api_call *c);
void v2_users_get(struct api_call *c);
void v2_settings(struct api_call *c);
void v2_settings_change(struct api_call *c);
void v2_not_here(struct api_call *c);

#endif
