/* ropewalkd's LocalAPI as the verbs see it. Failures are told to the user here, in one place, with what to
 * do. */
#ifndef RW_CLI_API_H
#define RW_CLI_API_H

#include "mesh/base/arena.h"
#include "mesh/cli/cli.h"
#include "mesh/proto/localapi.h"
#include <jansson.h>

enum { API_TARGET_MAX = 1024 };
extern const char api_host[]; /* what clients of LocalAPI say, whatever the socket is called */

struct api_request {
	const char *method, *target; /* "GET", "/localapi/v0/status" */
	const struct buf *body;	     /* JSON; NULL = none */
	uint64_t timeout_ms;	     /* 0 = 10 s */
	const char *reason;	     /* of --reason; NULL = none is given */
	bool missing_ok; /* 404 is not told: the daemon may be older; code CLI_FAILED, status 404 */
};
/* Whole exchange on the loop. CLI_OK and the body (caller frees), or what the verb returns: already told. */
int api_call(struct cli *c, const struct api_request *r, struct buf *body, int *status);
/* The same, and the answer read, by the bounds of json_of_own_daemon. CLI_OK and *out, to be json_decref-ed; else NULL. */
int api_call_json(struct cli *c, const struct api_request *r, json_t **out);

/* The same, begun and left to the loop; the answer is not told when it failed. */
struct api_exchange;
struct api_exchange *api_send(struct cli *c, const struct api_request *r,
	void (*done)(void *arg, bool ok, const uint8_t *body, size_t len), void *arg);
void api_cancel(struct api_exchange *x); /* NULL is fine */

/* Lines of watch-ipn-bus until closed. ended: the daemon went away (code as cli_exit, already told). */
struct api_watch_events {
	void (*notify)(void *arg, const struct api_notify *n);
	void (*line)(void *arg, const char *json, size_t len); /* not NULL: instead of notify, as it came */
	void (*ended)(void *arg, int code);
	void *arg;
};
struct api_watch;
struct api_watch *api_watch_open(struct cli *c, const struct api_watch_events *ev);
void api_watch_close(struct api_watch *w); /* no event after; NULL is fine */

/* For exchanges that a verb does by itself: why there is no answer, what another than 2xx says (at most its first lines), or
 * why it cannot be read. The code to end with. */
int api_tell_unreachable(struct cli *c, int code, const char *why);
int api_tell_refused(struct cli *c, int status, const struct buf *body);
int api_tell_malformed(struct cli *c, const struct errbuf *eb);

int api_status(struct cli *c, struct arena *a, struct api_status *out);
int api_prefs(struct cli *c, struct arena *a, struct api_prefs *out);
int api_prefs_set(struct cli *c, const struct api_prefs *p, const struct api_prefs_mask *mask);
/* The same, for this reason. */
int api_prefs_set_for(
	struct cli *c, const struct api_prefs *p, const struct api_prefs_mask *mask, const char *reason);
#define CLI_ROW_REASON(type) \
	{ \
		"reason", NULL, OPT_STRING, offsetof(type, reason), "TEXT", \
			"why: ropewalkd writes it to its log" \
	}
int api_reason_check(struct cli *c, const char *reason); /* CLI_OK, or told that it is too long */
/* "?name=value" or "&name=value", percent-encoded, behind what target holds. */
void api_target_add(char target[static API_TARGET_MAX], const char *name, const char *value);
/* A name, full or short, or an address of one of the machines in s (self too); NULL: none. *ip: its address.
 */
const struct api_peer *api_peer_find(const struct api_status *s, const char *word, struct addr *ip);

#endif
