/* Who is logged in, by browser. In memory alone: after a restart everybody logs in again. Only who has proven who they are
 * can make one; each has so many at most, the oldest of which goes. */
#ifndef RW_CONTROL_LOGIN_SESSIONS_H
#define RW_CONTROL_LOGIN_SESSIONS_H

#include "mesh/base/table.h"
#include "mesh/web/browser.h"

enum { SESSIONS_EACH = 16, SESSIONS_MAX = 16384 };
enum session_kind {
	SESSION_PERSON, /* a user of the fleet, by a provider: decides about machines of their own */
	SESSION_ADMIN,	/* by a password of this server */
};
struct session {
	enum session_kind kind;
	int64_t id; /* of the user, or of the admin */
	int64_t key_expiry_ms; /* when machines let in by this login have to log in again, Unix; 0 = as the settings say */
	uint64_t until_ms; /* monotonic */
};
struct session_entry;
struct sessions {
	struct table by_token; /* hash -> entry */
	struct session_entry *first, **end;
	size_t n;
};
void sessions_init(struct sessions *s, uint64_t seed);
void sessions_fini(struct sessions *s);
/* token: the cookie from now on, another than before the login. false: memory is short. */
bool sessions_begin(struct sessions *s, const struct random *rnd, const struct session *what, uint64_t now_ms,
	char token[static BROWSER_TOKEN]);
/* NULL: nobody, or no longer. Valid until the next call. now_ms: monotonic. */
const struct session *sessions_find(struct sessions *s, const struct browser_hash *token, uint64_t now_ms);
void sessions_end(struct sessions *s, const struct browser_hash *token); /* none there is fine */
void sessions_end_all(struct sessions *s, enum session_kind kind, int64_t id);

#endif
