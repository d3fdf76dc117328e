/* One machine has one login here. Official clients ask for profiles all the same: that one, or an empty one
 * when nobody is logged in. */
#include "mesh/node/local/local_request.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *profile(const struct node *n)
{
	const struct netmap *m = n->apply.map;
	const char *suffix = m && m->dns && m->dns->domains.n ? m->dns->domains.v[0] : "",
		   *domain = m && m->domain ? m->domain : "", *id = m ? m->self->node.stable_id : "";
	if (!n->state.logged_in)
		return json_pack("{s:s, s:s}", "ID", "", "Name", "");
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:I, s:s, s:s}, s:s, s:s}", "ID", "login", "Name",
		n->state.login_name, "NetworkProfile", "MagicDNSName", suffix, "DomainName", domain,
		"UserProfile", "ID", (json_int_t)(m ? m->self->node.user : 0), "LoginName",
		n->state.login_name, "DisplayName", n->state.login_name, "NodeID", id, "ControlURL",
		n->state.prefs.control_url);
}

void local_profiles_list(struct request *r)
{
	json_t *all = json_array();
	if (r->n->state.logged_in)
		json_array_append_new(all, profile(r->n));
	local_reply_object(r->conn, all);
}

void local_profiles_current(struct request *r)
{
	local_reply_object(r->conn, profile(r->n));
}

void local_profiles_new(struct request *r)
{
	if (r->n->state.logged_in)
		local_reply_error(r->conn, 400,
			"ropewalkd keeps one login: log out of the present network first (ropewalk logout)");
	else
		local_reply_done(r->conn, 201);
}
