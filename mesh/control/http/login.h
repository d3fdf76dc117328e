/* Logins in a browser: who wants to let a machine in says who they are, by a provider of OpenID Connect, sees which
 * machine asks, and confirms. ecosystem.md 2.3.
 *
 *   GET /register/ID           the machine's page: who asks, and how to go on
 *   GET /oidc/begin            to the provider, with a state that is good once in this browser (login/flows.h)
 *   GET /oidc/callback         back with a code: exchanged (oidc/provider.h), judged (oidc/rules.h), and the person is a
 *                              user (fleet/registry_people.c) and has a session (login/sessions.h); on to the page
 *   POST /register/ID          the person confirms: the machine is theirs
 *
 * An admin of this server (fleet/admins.h) logs in at /login instead, and lets machines in for any user. The first one
 * may be made there (login_first.c).
 *
 * A machine is let in by nothing but that confirmation: a link that somebody was sent shows whose machine it is first. */
#ifndef RW_CONTROL_HTTP_LOGIN_H
#define RW_CONTROL_HTTP_LOGIN_H

#include "mesh/control/http/api.h"
#include "mesh/control/login/flows.h"
#include "mesh/control/login/sessions.h"
#include "mesh/web/throttle.h"
#include "mesh/oidc/provider.h"

enum login_end { LOGIN_IN, LOGIN_BACK, LOGIN_REJECTED };
enum { LOGIN_DECIDED = 256, LOGIN_REDIRECT_MAX = 1024, LOGIN_FIRST_BYTES = 16 };

struct login {
	struct loop *loop;
	struct api *api;
	struct oidc_provider **providers;
	size_t n;
	struct flows flows;
	struct sessions sessions;
	uint8_t secret[32]; /* of forms; of this run */
	char redirect[LOGIN_REDIRECT_MAX];
	bool secure; /* cookies go over TLS alone: server_url says so, no header does */
	struct loop_timer *limit;
	bool too_late; /* providers have had their time to answer the first time */
	struct login_decided {
		char pending[REGISTRY_ID];
		enum login_end how;
	} decided[LOGIN_DECIDED]; /* the newest, for pages that follow */
	size_t next_decided;
	struct log_limit failed;
	/* Passwords of admins (login_admin.c): one is compared, a few wait. */
	struct throttle throttle;
	struct login_try *comparing, *tries;
	struct work *compare_work;
	size_t n_tries;
	/* Of the first admin (login_first.c). */
	char first[2 * LOGIN_FIRST_BYTES + 1]; /* the word that the log has; "" = none is made here */
	struct login_first *making;
};

/* Nothing that can fail. */
void login_init(struct login *l, struct loop *loop, struct api *api);
int login_open(struct login *l, struct errbuf *eb);
/* Where nobody can log in yet: a word into the log, by which the first admin is made in a browser. The registry is open. */
void login_first_begin(struct login *l);
/* There is an admin now, or was one: none is made in a browser any more. */
void login_first_end(struct login *l);
void login_close(struct login *l); /* when no connection is left; after login_init */
/* Whether one that the server must not start without has not answered yet, and may still. */
bool login_is_waiting(const struct login *l);
/* 0, or which of them cannot be reached. */
int login_check(const struct login *l, struct errbuf *eb);
/* A machine that waited is in, has taken its request back, or was rejected. */
void login_decided(struct login *l, const char *pending, enum login_end how);

#endif
