/* "ssh": who may log in where as whom. Read and checked as a whole; what a node is told is the sources as
 * addresses, and for each rule the login names with what they are there ("=" the same, "" not at all). A name
 * of the form localpart:*@domain is for each user of the domain the part before the @, in a rule of its own.
 */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reader.h"

#include "mesh/base/text.h"
#include "mesh/proto/json_memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_PERIOD_H = 12, CHECK_PERIOD_MAX_H = 168 };
#define HOUR_MS UINT64_C(3600000)
/* Asked of the server, inside Noise, by the node that somebody logs in on; it puts in what begins with a $. */
#define CHECK_URL "https://unused/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER"

static bool read_action(struct reader *rd, json_t *o, struct ssh_rule *r, const char *where)
{
	char at[WHERE_MAX];
	const char *text = json_string_value(json_object_get(o, "action")),
		   *action = text ? reader_trimmed(rd, text) : "";
	snprintf(at, sizeof(at), "%s.action", where);
	if (!action)
		return false;
	r->check = !strcmp(action, "check");
	return r->check || !strcmp(action, "accept") ||
	       reader_refuse(rd, at, "must be \"accept\" or \"check\"");
}

static bool read_period(struct reader *rd, json_t *o, struct ssh_rule *r, const char *where)
{
	json_t *value = json_object_get(o, "checkPeriod");
	const char *text = json_string_value(value);
	char at[WHERE_MAX];
	snprintf(at, sizeof(at), "%s.checkPeriod", where);
	r->check_ms = CHECK_PERIOD_H * HOUR_MS;
	if (!value || json_is_null(value))
		return true;
	if (text && !strcmp(text, "always")) {
		r->check_ms = 0;
		return true;
	}
	if (!text || !text_duration_ms(text, &r->check_ms) || !r->check_ms)
		return reader_refuse(rd, at, "must be \"always\" or a time such as 12h");
	return r->check_ms <= CHECK_PERIOD_MAX_H * HOUR_MS ||
	       reader_refuse(rd, at, "is longer than %d hours", CHECK_PERIOD_MAX_H);
}

/* "@domain" of localpart:*@domain; NULL for all other names. */
static const char *domain_of(const char *user)
{
	static const char localpart[] = "localpart:*@";
	size_t n = sizeof(localpart) - 1;
	return !strncmp(user, localpart, n) && user[n] ? user + n - 1 : NULL;
}

static bool check_login(struct reader *rd, const char *user, const char *at)
{
	if (!*user || !strcmp(user, "*"))
		return reader_refuse(
			rd, at, "\"%s\" is no login name: autogroup:nonroot is all but root", user);
	return !domain_of(user) || !strchr(domain_of(user), '*') ||
	       reader_refuse(rd, at, "\"%.64s\" has no domain after the @", user);
}

static bool read_logins(struct reader *rd, json_t *o, struct ssh_rule *r, const char *where)
{
	json_t *list;
	char at[WHERE_MAX];
	snprintf(at, sizeof(at), "%s.users", where);
	if (!json_array_size(json_object_get(o, "users")))
		return reader_refuse(rd, at, "must be a list of login names");
	if (!reader_strings(rd, o, "users", true, where, &list) || !reader_copy_strings(rd, list, &r->users))
		return false;
	for (size_t i = 0; i < r->users.n; i++) {
		snprintf(at, sizeof(at), "%s.users[%zu]", where, i);
		if (!check_login(rd, r->users.v[i], at))
			return false;
	}
	if (!reader_strings(rd, o, "acceptEnv", false, where, &list) ||
		!reader_copy_strings(rd, list, &r->env))
		return false;
	for (size_t i = 0; i < r->env.n; i++) {
		snprintf(at, sizeof(at), "%s.acceptEnv[%zu]", where, i);
		if (!*r->env.v[i])
			return reader_refuse(rd, at, "is empty");
	}
	return true;
}

static bool read_ssh_rule(struct reader *rd, json_t *o, struct ssh_rule *r, const char *where)
{
	static const char *const names[] = { "action", "src", "dst", "users", "checkPeriod", "acceptEnv",
		NULL };
	json_t *src, *dst;
	return reader_keys(rd, o, names, where) && read_period(rd, o, r, where) &&
	       read_action(rd, o, r, where) && reader_strings(rd, o, "src", true, where, &src) &&
	       selectors_read(rd, src, "src", AS_SOURCE, where, &r->src) &&
	       reader_strings(rd, o, "dst", true, where, &dst) &&
	       selectors_read(rd, dst, "dst", AS_SSH_TARGET, where, &r->dst) && read_logins(rd, o, r, where);
}

bool ssh_read(struct reader *rd, json_t *root)
{
	json_t *list, *item;
	size_t i;
	if (!reader_objects(rd, root, "ssh", &list))
		return false;
	rd->p->ssh = arena_array(&rd->p->mem, json_array_size(list), sizeof(*rd->p->ssh));
	if (!rd->p->ssh)
		return reader_no_memory(rd);
	json_array_foreach(list, i, item)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "ssh[%zu]", i);
		if (!read_ssh_rule(rd, item, &rd->p->ssh[rd->p->n_ssh++], where))
			return false;
	}
	return true;
}

/* --- what a node is told --- */

static json_t *login_map(const struct ssh_rule *r)
{
	json_t *map = json_pack("{s:s}", "root", "");
	for (size_t i = 0; i < r->users.n; i++) {
		const char *u = r->users.v[i];
		if (!strcmp(u, "autogroup:nonroot"))
			json_object_set_new(map, "*", json_string("="));
		else if (!domain_of(u))
			json_object_set_new(map, u, json_string(u));
	}
	return map;
}

static void add_principals(json_t *list, const struct member *m)
{
	char text[ADDR_TEXT];
	if (m->has_v4)
		json_array_append_new(list, json_pack("{s:s}", "nodeIP", addr_format(&m->v4, text)));
	if (m->has_v6)
		json_array_append_new(list, json_pack("{s:s}", "nodeIP", addr_format(&m->v6, text)));
}

/* Takes principals and logins. */
static void add_told(json_t *rules, const struct ssh_rule *r, json_t *principals, json_t *logins)
{
	json_t *env = json_array();
	json_t *action = r->check ? json_pack("{s:s}", "holdAndDelegate", CHECK_URL)
				  : json_pack("{s:b,s:b,s:b,s:b}", "accept", 1, "allowAgentForwarding", 1,
					    "allowLocalPortForwarding", 1, "allowRemotePortForwarding", 1);
	json_t *o =
		json_pack("{s:o,s:o,s:o}", "principals", principals, "sshUsers", logins, "action", action);
	for (size_t i = 0; i < r->env.n; i++)
		json_array_append_new(env, json_string(r->env.v[i]));
	if (r->env.n)
		json_object_set(o, "acceptEnv", env);
	json_decref(env);
	json_array_append_new(rules, o);
}

/* The part before the @ of a user's name, for users of a domain that the rule names. */
static void add_localparts(
	json_t *rules, const struct ssh_rule *r, const struct fleet *f, const struct member *m)
{
	const struct user *u = member_is_tagged(m) ? NULL : fleet_user(f, m->user);
	const char *at = u ? strrchr(u->name, '@') : NULL;
	for (size_t i = 0; at && at > u->name && i < r->users.n; i++) {
		const char *domain = domain_of(r->users.v[i]);
		char login[FLEET_USER_NAME];
		if (!domain || strcmp(domain, at) != 0)
			continue;
		snprintf(login, sizeof(login), "%.*s", (int)(at - u->name), u->name);
		json_t *principals = json_array();
		add_principals(principals, m);
		add_told(rules, r, principals, json_pack("{s:s}", login, login));
	}
}

/* self: what the rule says of autogroup:self, or only the rest. */
static void tell_rule(
	json_t *rules, const struct ssh_rule *r, const struct fleet *f, const struct member *node, bool self)
{
	bool is = self ? selectors_have(&r->dst, SELECT_SELF) && !member_is_tagged(node)
		       : match_any(&r->dst, f, node);
	if (!is)
		return;
	json_t *principals = json_array(), *localparts = json_array();
	for (size_t i = 0; i < f->n; i++) {
		const struct member *m = f->v[i];
		if ((self && !match_same_person(m, node)) || !match_any(&r->src, f, m))
			continue;
		add_principals(principals, m);
		add_localparts(localparts, r, f, m);
	}
	if (json_array_size(principals))
		add_told(rules, r, principals, login_map(r));
	else
		json_decref(principals);
	json_array_extend(rules, localparts);
	json_decref(localparts);
}

bool policy_ssh(const struct policy *p, const struct fleet *f, const struct member *node, struct arena *a,
	const char **json)
{
	*json = "{\"rules\":[]}";
	if (!policy_has_ssh(p))
		return true;
	json_t *rules = json_array(), *root = json_pack("{s:o}", "rules", rules);
	for (int check = 1; root && check >= 0; check--) /* nodes take the first that fits: the stricter */
		for (size_t i = 0; i < p->n_ssh; i++) {
			if (p->ssh[i].check != check)
				continue;
			tell_rule(rules, &p->ssh[i], f, node, false);
			tell_rule(rules, &p->ssh[i], f, node, true);
		}
	char *text = root ? json_memory_dump(root, JSON_COMPACT) : NULL;
	*json = text ? arena_strdup(a, text) : NULL;
	json_text_free(text);
	json_decref(root);
	return *json;
}

bool policy_has_ssh(const struct policy *p)
{
	return p && p->n_ssh;
}

bool ssh_login_fits(const struct ssh_rule *r, const char *login, const char *user)
{
	const char *at = user ? strrchr(user, '@') : NULL;
	for (size_t i = 0; i < r->users.n; i++) {
		const char *u = r->users.v[i], *domain = domain_of(u);
		if (!strcmp(u, login) || (!strcmp(u, "autogroup:nonroot") && strcmp(login, "root") != 0) ||
			(domain && at && !strcmp(at, domain) && strlen(login) == (size_t)(at - user) &&
				!strncmp(user, login, (size_t)(at - user))))
			return true;
	}
	return false;
}

bool policy_ssh_checked(const struct policy *p, const struct fleet *f, const struct member *src,
	const struct member *dst, const char *login, uint64_t *period_ms)
{
	const struct user *u = member_is_tagged(src) ? NULL : fleet_user(f, src->user);
	for (size_t i = 0; p && i < p->n_ssh; i++) {
		const struct ssh_rule *r = &p->ssh[i];
		bool self = selectors_have(&r->dst, SELECT_SELF) && match_same_person(src, dst);
		if (!r->check || !match_any(&r->src, f, src) || !(self || match_any(&r->dst, f, dst)) ||
			!ssh_login_fits(r, login, u ? u->name : NULL))
			continue;
		*period_ms = r->check_ms;
		return true;
	}
	return false;
}
