/* One machine has one login here. Official clients ask for profiles all the same: that one, or an empty one
 * when nobody is logged in. */
#include "mesh/node/local/local_request.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *profile(const struct local_facts *f, const struct netmap *m)
{
	const char *suffix = m && m->dns && m->dns->domains.n ? m->dns->domains.v[0] : "",
		   *domain = m && m->domain ? m->domain : "", *id = m ? m->self->node.stable_id : "";
	if (!f->logged_in)
		return json_pack("{s:s, s:s}", "ID", "", "Name", "");
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:I, s:s, s:s}, s:s, s:s}", "ID", LOCAL_PROFILE, "Name",
		f->login_name, "NetworkProfile", "MagicDNSName", suffix, "DomainName", domain, "UserProfile",
		"ID", (json_int_t)(m ? m->self->node.user : 0), "LoginName", f->login_name, "DisplayName",
		f->login_name, "NodeID", id, "ControlURL", f->prefs->control_url);
}

void local_profiles_list(struct request *r)
{
	struct local_facts f;
	json_t *all = json_array();
	r->node->facts(r->node->arg, &f);
	if (f.logged_in)
		json_array_append_new(all, profile(&f, r->node->map(r->node->arg)));
	local_reply_object(r->conn, all);
}

void local_profiles_current(struct request *r)
{
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	local_reply_object(r->conn, profile(&f, r->node->map(r->node->arg)));
}

/* There is no other to go to. */
void local_profiles_switch(struct request *r)
{
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	if (f.logged_in)
		local_reply_done(r->conn, 204);
	else
		local_reply_error(r->conn, 404, "this machine has no login: ropewalk up makes one");
}

void local_profiles_new(struct request *r)
{
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	if (f.logged_in)
		local_reply_error(r->conn, 400,
			"ropewalkd keeps one login: log out of the present network first (ropewalk logout)");
	else
		local_reply_done(r->conn, 201);
}
