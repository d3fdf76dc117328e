/* Logins that have begun at a provider and not come back: what is told apart by `state`. Anybody can begin one, so there
 * are so many at most, a quarter of them from one net (throttle_net), and the oldest goes. Each is good for ten minutes,
 * once, in the browser that began it. */
#ifndef RW_CONTROL_LOGIN_FLOWS_H
#define RW_CONTROL_LOGIN_FLOWS_H

#include "mesh/base/addr.h"
#include "mesh/base/table.h"
#include "mesh/control/fleet/registry.h"
#include "mesh/web/browser.h"
#include "mesh/oidc/rules.h"

enum { FLOWS_MAX = 4096, FLOW_MS = 10 * 60 * 1000 };

struct flow {
	struct oidc_attempt attempt;
	struct browser_hash browser;
	size_t provider;
	char pending[REGISTRY_ID]; /* what is to be approved then; "" = nothing */
};
struct flow_entry;
struct flows {
	struct table by_state; /* hash of the state -> entry */
	struct flow_entry *first, **end;
	size_t n;
};
void flows_init(struct flows *f, uint64_t seed);
void flows_fini(struct flows *f);
/* Makes state, nonce and verifier. who: whence it is begun. now_ms: monotonic. NULL: memory is short. Valid until the next
 * call. */
const struct flow *flows_begin(struct flows *f, const struct random *rnd, const struct browser_hash *browser,
	size_t provider, const char *pending, const struct addr *who, uint64_t now_ms);

enum flow_verdict {
	FLOW_GOOD,
	FLOW_UNKNOWN,	/* never begun, ended before, or too old */
	FLOW_ELSEWHERE, /* in another browser; it stays, for that one */
};
/* Ends the flow: *out is it, wiped by the caller. */
enum flow_verdict flows_take(struct flows *f, const char *state, const struct browser_hash *browser,
	uint64_t now_ms, struct flow *out);

#endif
