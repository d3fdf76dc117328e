/* Headscale's REST API, as 0.26 to 0.30 have it: 64-bit numbers are strings, nothing is left out, times are RFC 3339,
 * names are camelCase; what a version renamed is there under both names. ecosystem.md 2.2. */
#ifndef RW_CONTROL_HTTP_V1_H
#define RW_CONTROL_HTTP_V1_H

#include "mesh/control/http/asked.h"
#include "mesh/proto/json.h"

/* An auth key as lists show it, of its prefix. */
#define V1_AUTH_WORD "hskey-auth-"
#define V1_AUTH_SHOWN V1_AUTH_WORD "%s-***"

json_t *v1_id(int64_t id);
json_t *v1_user(const struct api *a, const struct user *u);
json_t *v1_node(const struct api *a, const struct member *m);
void v1_put_node(struct json_out *o, const struct api *a, const struct member *m); /* the same, as text */
json_t *v1_preauth(
	const struct api *a, const struct preauth *k, const char *secret); /* NULL: only its prefix */
/* As Headscale shows it, "hskey-api-PREFIX-***"; own, the one with which it was asked for: without the mask, since consoles
 * look for the key that they have by what it begins with. */
json_t *v1_api_key(const struct api_key *k, bool own);
/* By number, or (up to 0.25) by name; NULL: nobody. */
const struct user *v1_user_of(const struct api *a, const char *text);
json_t *v1_one(const char *name, json_t *v); /* {name: v}; takes v */

#endif
