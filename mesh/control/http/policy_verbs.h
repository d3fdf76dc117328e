/* The access rules as text: what every door that may read, try or set them calls. */
#ifndef RW_CONTROL_HTTP_POLICY_VERBS_H
#define RW_CONTROL_HTTP_POLICY_VERBS_H

#include "mesh/control/http/api.h"
#include "mesh/control/policy/source.h"

/* What is in force; all of it borrowed. */
struct policy_now {
	const struct policy_source *source;   /* NULL: none, everything is allowed */
	const struct policy_version *version; /* under which it is kept; NULL: it is not yet */
	const char *tag;		      /* of its text; "" = none is in force */
	bool database;			      /* it can be set here; else it is in a file */
};
void api_policy_now(const struct api *a, struct policy_now *out);
/* Reads text and runs its tests with the nodes that there are. NULL: "LINE:COLUMN: PLACE: ..."; free with
 * policy_source_put. */
struct policy_source *api_policy_try(const struct api *a, const char *text, size_t len, struct errbuf *eb);
/* What these rules would change, a list of { change: "gains" | "loses", from: [node], to: [node or net], what }; from
 * is empty where it is about the nodes of `to` alone. { change: "more" } at the end: there is more than that. NULL:
 * memory is short. */
json_t *api_policy_changes(const struct api *a, const struct policy *now);
/* Sets text, if the one in force has the tag if_tag (NULL: whichever is); w is told, of api_later. */
void api_policy_set(struct api_call *c, const char *text, const char *if_tag, struct registry_wait *w);

/* Trying a text out, or setting it, takes the loop as long as it is: from sockets others than the admin's at most this.
 * false: answered. */
enum { POLICY_TRY_MAX = 1024 * 1024 };
bool api_policy_may_try(const struct api_call *c, size_t len);

#endif
