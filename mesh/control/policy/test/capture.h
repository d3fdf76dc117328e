/* The recorded answers of the official service to one policy, and the tailnet that they are about. */
#ifndef RW_CONTROL_POLICY_TEST_CAPTURE_H
#define RW_CONTROL_POLICY_TEST_CAPTURE_H

#include "mesh/base/buf.h"
#include "mesh/control/policy/policy.h"
#include <jansson.h>

struct capture {
	const char *id;
	json_t *expect, *nodes;
	struct policy *p;
	struct fleet f;
	struct policy_cache *cache;
	bool own_logins;
	char why[2048];
};

/* A file of the recordings, which lie beside the source tree; NULL: it is not there. */
json_t *capture_load(const char *name);
/* c->p and c->expect are there; topology stays. Free c->f with fleet_fini. */
void capture_make_fleet(struct capture *c, json_t *topology);
/* Who serves a route that several carry. */
void capture_settle_routes(struct capture *c);
/* What a filter admits, in one form: of rules, or as it is on the wire. */
void capture_print_rules(const struct ctl_rule *rules, size_t n, struct buf *out);
void capture_print_filter(json_t *filter, struct buf *out);
bool capture_lists(json_t *list, const char *text);
/* Every node is told it there, whatever the policy says. */
bool capture_is_base_cap(const char *name);
/* Who may log in on m as what, into the keys of out; of the rules of an SSHPolicy. */
void capture_add_logins(json_t *rules, const struct capture *c, const struct member *m, json_t *out);

#endif
