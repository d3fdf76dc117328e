/* Who may see the page: one password, of which a file of mode 0600 has the hash (Argon2id); browsers that gave it, in
 * memory until the next start. Comparing costs a tenth of a second and 64 MiB, so it is done on another thread, one at
 * a time, and who was wrong has to wait (throttle.h). */
#ifndef RW_RESOLVER_ALONE_LOGIN_H
#define RW_RESOLVER_ALONE_LOGIN_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include "mesh/web/browser.h"
#include <stdbool.h>

enum { LOGIN_SESSIONS = 32, LOGIN_SESSION_MS = 12 * 3600 * 1000 };
struct login;
/* The file need not be there: then nobody can log in. NULL with a sentence. */
struct login *login_open(struct loop *l, const char *state, struct errbuf *eb);
void login_close(struct login *l); /* waits for a comparison; no answer after; NULL is fine */
bool login_is_set(const struct login *l);

enum login_verdict {
	LOGIN_IN, /* token: the cookie of the session */
	LOGIN_WRONG,
	LOGIN_BUSY,    /* somebody else's is being compared */
	LOGIN_WAIT,    /* too many were wrong */
	LOGIN_FAILED,  /* memory, or the file: why */
	LOGIN_CHANGED, /* the new password holds, and all sessions are over */
};
/* done: once, now or from the loop, with this arg. why: a sentence of LOGIN_FAILED. */
typedef void login_done(void *arg, enum login_verdict v, const char *token, const char *why);
void login_try(struct login *l, const struct addr *from, const char *password, login_done *done, void *arg);
/* hash: of password_make; another is refused. */
void login_set(struct login *l, const char *hash, login_done *done, void *arg);
void login_unask(struct login *l, const void *arg); /* no done for this arg */

bool login_is_in(struct login *l, const char *token); /* and is for as long again */
void login_out(struct login *l, const char *token);
/* Of a form of this browser: token is its cookie. */
void login_form(const struct login *l, const char *token, char out[static BROWSER_FORM]);
bool login_form_is(const struct login *l, const char *token, const char *given);

#endif
