/* The moves. `logged_in` outlives a stop and a restart; the state does not. A fact leads to one state from
 * wherever it is heard, so the table has one row a fact:
 *
 *   fact        state                        logged_in
 *   UP          Starting when logged in, else NeedsLogin
 *   DOWN        Stopped                      logged_in stays: the next start needs no login
 *   ASKED       NeedsLogin                   stays: a server that refuses now may know the key again
 *   WAITS       NeedsMachineAuth             stays
 *   ACCEPTED    Starting (Running stays)     yes
 *   MAP         Running                      stays: MAP comes from disk too
 *   FORGOTTEN   where it is                  no: what runs goes on while the key is shown anew
 *   EXPIRED     NeedsLogin                   no: the next login makes a new key
 *   LOGGED_OUT  NeedsLogin                   no
 *
 * Who tells: node.c alone, at starts and stops, from what the server's link hears, and for what a person asks
 * over LocalAPI. */
#include "mesh/node/backend.h"
#include "mesh/base/log.h"
#include <stdio.h>
#include <string.h>

enum accepted { ACCEPTED_STAYS, ACCEPTED_NO, ACCEPTED_YES };

static const struct {
	enum backend_state to; /* BACKEND_NO_STATE: where it is */
	enum accepted accepted;
} moves[BACKEND_FACTS] = {
	[BACKEND_UP] = { BACKEND_STARTING, ACCEPTED_STAYS }, /* when logged in */
	[BACKEND_DOWN] = { BACKEND_STOPPED, ACCEPTED_STAYS },
	[BACKEND_ASKED] = { BACKEND_NEEDS_LOGIN, ACCEPTED_STAYS },
	[BACKEND_WAITS] = { BACKEND_NEEDS_APPROVAL, ACCEPTED_STAYS },
	[BACKEND_ACCEPTED] = { BACKEND_STARTING, ACCEPTED_YES },
	[BACKEND_MAP] = { BACKEND_RUNNING, ACCEPTED_STAYS },
	[BACKEND_FORGOTTEN] = { BACKEND_NO_STATE, ACCEPTED_NO },
	[BACKEND_EXPIRED] = { BACKEND_NEEDS_LOGIN, ACCEPTED_NO },
	[BACKEND_LOGGED_OUT] = { BACKEND_NEEDS_LOGIN, ACCEPTED_NO },
};

static const char *const backend_texts[] = { [BACKEND_NO_STATE] = "NoState",
	[BACKEND_NEEDS_LOGIN] = "NeedsLogin",
	[BACKEND_NEEDS_APPROVAL] = "NeedsMachineAuth",
	[BACKEND_STOPPED] = "Stopped",
	[BACKEND_STARTING] = "Starting",
	[BACKEND_RUNNING] = "Running" };

const char *backend_text(enum backend_state s)
{
	return backend_texts[s];
}

void backend_init(struct backend *b, bool *logged_in, void (*changed)(void *arg), void *arg)
{
	*b = (struct backend) { .logged_in = logged_in, .changed = changed, .arg = arg };
}

static enum backend_state state_after(const struct backend *b, enum backend_fact f)
{
	if (f == BACKEND_UP && !*b->logged_in)
		return BACKEND_NEEDS_LOGIN;
	if (moves[f].to == BACKEND_NO_STATE || (f == BACKEND_ACCEPTED && b->state == BACKEND_RUNNING))
		return b->state;
	return moves[f].to;
}

void backend_heard(struct backend *b, enum backend_fact f)
{
	enum backend_state next = state_after(b, f);
	if (moves[f].accepted != ACCEPTED_STAYS)
		*b->logged_in = moves[f].accepted == ACCEPTED_YES;
	if (next != BACKEND_NEEDS_LOGIN || f == BACKEND_LOGGED_OUT)
		b->auth_url[0] = 0;
	if (b->state != next)
		log_info("state: %s", backend_text(next));
	b->state = next;
	b->changed(b->arg);
}

void backend_asked(struct backend *b, const char *auth_url)
{
	snprintf(b->auth_url, sizeof(b->auth_url), "%s", auth_url);
	backend_heard(b, BACKEND_ASKED);
}
