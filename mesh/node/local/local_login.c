#include "mesh/base/log.h"
#include "mesh/node/local/local_request.h"

/* Official clients ask for this behind a start with a key, too: the key goes first. A login that is under way
 * goes on, and one that is good but waits for its own server needs no other. */
void local_login(struct request *r)
{
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	if (f.logged_in ? f.up : !f.logging_in)
		r->node->login(r->node->arg, "");
	local_reply_done(r->conn, 204);
}

void local_logout(struct request *r)
{
	char who[LOCAL_ASKER];
	if (!local_asker(r, who)) {
		local_reply_error(r->conn, 400, local_asker_unclear);
		return;
	}
	log_info("logged out by %s", who);
	r->node->logout(r->node->arg);
	local_reply_done(r->conn, 204);
}
