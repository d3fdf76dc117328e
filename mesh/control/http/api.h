/* One table for everything that is asked of the server, whatever it comes by: HTTP pages, the node protocol
 * inside Noise, the admin socket. A row says the method, the path, the right it takes and what is run; the
 * right comes from the door that the request came in by. What a row may answer at once it answers; what is
 * stored first is answered when that is done (api_later). */
#ifndef RW_CONTROL_HTTP_API_H
#define RW_CONTROL_HTTP_API_H

#include "mesh/control/config/config.h"
#include "mesh/control/fleet/registry.h"
#include "mesh/control/http/guests.h"
#include "mesh/control/view/streams.h"
#include "mesh/transport/control_link.h"
#include <jansson.h>

enum api_right {
	API_ANYBODY, /* over HTTP, at any door */
	API_MACHINE, /* inside Noise: the machine key is proven; the node's right to it is the verb's business
		      */
	API_ADMIN,   /* who may open the admin socket */
};
enum { API_KEYS_TEXT = 512, API_PATH_MAX = 256 };

/* What the verbs work with; all borrowed. */
struct api {
	struct registry *reg;
	struct streams *streams;
	struct guests *guests;
	struct machines *machines;
	const struct control_config *cfg;
	const struct machine_key *noise;
	/* Reads the settings anew; restart: the keys that changed and are not taken before one. */
	int (*reload)(void *arg, char restart[static API_KEYS_TEXT], struct errbuf *eb);
	/* Something that the settings depend on has changed: they are read again, but the config is not. */
	int (*settings_again)(void *arg, struct errbuf *eb);
	void *arg;
	const struct certificate *certificate; /* looked after here; NULL = none */
	struct api_later *probing;	       /* those that wait for one answer of the database */
	struct registry_wait probe;
	int64_t probed_ms; /* when it last answered, and what */
	bool probed_well;
};

/* Where the answer goes: one of them. */
struct api_way {
	struct http_server_conn *conn;
	struct h2_stream *stream;
};
struct api_call {
	struct api *api;
	enum api_right right; /* what the caller has shown */
	const char *method;
	char path[API_PATH_MAX];
	const char *tail;	      /* what stands for the * of the row's path */
	const struct http_head *head; /* NULL inside Noise */
	const uint8_t *body;
	size_t len;
	struct api_way way;
	struct api_later **later; /* where one that is not answered yet is kept; NULL inside Noise */
	struct guest *guest;
	json_t *args; /* of an admin's call */
	int64_t now_ms;
};
struct api_row {
	const char *method; /* "GET" is HEAD too */
	const char *path;   /* a last * stands for anything */
	enum api_right right;
	void (*run)(struct api_call *c);
};
extern const struct api_row api_rows[]; /* ended by a NULL path */

/* The row of a call; NULL: it was refused, *status says with what. */
const struct api_row *api_find(const char *method, const char *path, enum api_right right, int *status);
/* Runs the row of the call, or refuses it. */
void api_serve(struct api_call *c);

void api_reply(const struct api_way *w, int status, const char *type, const char *extra, const void *body,
	size_t len);
void api_reply_text(const struct api_way *w, int status, const char *text);
void api_reply_json(const struct api_way *w, int status, json_t *v);	     /* takes v; NULL: no memory */
void api_reply_error(const struct api_way *w, int status, const char *text); /* as admins read it */

/* An admin's call whose change is on its way to the disk. made: what is answered when it is there. NULL:
 * answered, there is no memory. */
struct registry_wait *api_later(struct api_call *c,
	json_t *(*made)(const struct api *a, const struct registry_result *res, const char *text),
	const char *text);
/* Asks the database whether it can be written; made: of the result. Several that ask at once share one
 * answer. */
void api_probe(
	struct api_call *c, void (*made)(const struct api *a, const struct api_way *w, const char *trouble));
/* The connection of it has gone. NULL is fine. */
void api_later_drop(struct api_later *l);

/* --- verbs, by file --- */
void pages_key(struct api_call *c);
void pages_health(struct api_call *c);
void pages_version(struct api_call *c);
void pages_verify(struct api_call *c);
void pages_register(struct api_call *c);
void pages_root(struct api_call *c);
void pages_no_upgrade(struct api_call *c);
void certificate_challenge(struct api_call *c); /* an authority's question */

void machine_register(struct api_call *c);
void machine_map(struct api_call *c);
void machine_unknown(struct api_call *c);

void admin_users_create(struct api_call *c);
void admin_users_list(struct api_call *c);
void admin_users_destroy(struct api_call *c);
void admin_keys_create(struct api_call *c);
void admin_keys_list(struct api_call *c);
void admin_keys_expire(struct api_call *c);
void admin_nodes_list(struct api_call *c);
void admin_nodes_pending(struct api_call *c);
void admin_nodes_approve(struct api_call *c);
void admin_nodes_delete(struct api_call *c);
void admin_nodes_expire(struct api_call *c);
void admin_nodes_rename(struct api_call *c);
void admin_nodes_tag(struct api_call *c);
void admin_nodes_approve_routes(struct api_call *c);
void admin_nodes_list_routes(struct api_call *c);
void admin_health(struct api_call *c);
void admin_reload(struct api_call *c);

#endif
