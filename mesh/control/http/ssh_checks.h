/* Logins by SSH that somebody has to let in (action "check" of the policy). The node that is logged in on asks inside
 * Noise, by the URL that the policy gave it: first it is told what to show, then it asks again and waits for an admin's
 * word. What was let in holds for as long as the rule says; a restart forgets it. Nodes alone can make us keep
 * something: so many logins wait at once, of one machine so many. */
#ifndef RW_CONTROL_HTTP_SSH_CHECKS_H
#define RW_CONTROL_HTTP_SSH_CHECKS_H

#include "mesh/control/http/api.h"

enum {
	SSH_CHECKS_MAX = 256,
	SSH_CHECKS_OF_MACHINE = 16,
	SSH_PASSED_MAX = 1024,
	SSH_CHECK_ID = 25,
	SSH_LOGIN_NAME = 64
};

struct ssh_pass {
	int64_t src, dst, at_ms; /* nodes, and when it was let in */
	char name[SSH_LOGIN_NAME];
};
struct ssh_checks {
	struct ssh_check *first; /* that wait, oldest first */
	size_t n;
	struct ssh_pass passed[SSH_PASSED_MAX]; /* a ring */
	size_t n_passed;			/* so far */
};
void ssh_checks_init(struct ssh_checks *l);
void ssh_checks_close(struct ssh_checks *l); /* answers all */
/* The login that waits under this id is let in or refused. 0 and *value, as a list has it (json_decref it); -ENOENT: there is
 * none; -EACCES: the rules do not allow it any more, and it is refused. A sentence. */
int ssh_checks_decide(
	struct api *a, const char *id, bool accept, int64_t now_ms, json_t **value, struct errbuf *eb);

#endif
