/* What the registry asks for, and tells. */
#include "mesh/control/server_inner.h"

#include "mesh/control/http/derp.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"

static void member_changed(
	void *arg, const struct member *old, const struct member *now, enum registry_news what)
{
	struct server *s = arg;
	if (!s->has_registry)
		return;
	streams_changed(&s->streams, old, now, what == NEWS_IDENTITY);
	console_node_changed(&s->web.console, old, now);
	if (old && !now)
		derp_member_gone(&s->web, &old->key);
}
static void pending_decided(void *arg, const char *pending)
{
	struct server *s = arg;
	login_decided(&s->web.login, pending, LOGIN_IN);
	machines_decided(&s->web.machines, pending);
}
static void pending_withdrawn(void *arg, const char *pending)
{
	struct server *s = arg;
	login_decided(&s->web.login, pending, LOGIN_BACK);
	machines_withdrawn(&s->web.machines, pending);
}
static void pending_rejected(void *arg, const char *pending)
{
	struct server *s = arg;
	login_decided(&s->web.login, pending, LOGIN_REJECTED);
	machines_decided(&s->web.machines, pending);
}
static void admin_changed(void *arg, int64_t admin)
{
	struct login *l = &((struct server *)arg)->web.login;
	sessions_end_all(&l->sessions, SESSION_ADMIN, admin);
	login_first_end(l);
}
static bool knows_tag(void *arg, const char *tag)
{
	return policy_knows_tag(((const struct server *)arg)->settings->policy, tag);
}
static bool owns_tag(void *arg, const char *tag, const struct user *user)
{
	return policy_owns_tag(((const struct server *)arg)->settings->policy, tag, user);
}
static bool names_address(void *arg, const struct addr *from, const struct addr *to)
{
	return policy_names_address(((const struct server *)arg)->settings->policy, from, to);
}
static bool approves(void *arg, const struct member *m, const struct prefix *route)
{
	const struct server *s = arg;
	return policy_approves(s->settings->policy, &s->reg.fleet, m, route);
}
static bool pools(void *arg, const struct member *m, struct arena *a, struct ctl_prefixes *out)
{
	const struct server *s = arg;
	return policy_pools(s->settings->policy, &s->reg.fleet, m, a, out);
}
static bool work(void *arg, void (*run)(void *x), void (*done)(void *x), void *x)
{
	return work_start(((struct server *)arg)->loop, run, done, x) != NULL;
}
static void save_in(void *arg, uint64_t ms)
{
	loop_timer_set(((struct server *)arg)->save, ms);
}

static const char *groups_domain(void *arg, const char *issuer)
{
	return config_groups_domain(&((const struct server *)arg)->cfg.login, issuer);
}

int server_open_registry(struct server *s, struct errbuf *eb)
{
	const struct control_config *c = &s->cfg;
	struct registry_config rc = {
		.pool = { .has_v4 = c->has_v4, .has_v6 = c->has_v6, .v4 = c->v4, .v6 = c->v6 },
		.server_url = c->server_url,
		.state_path = c->database_path,
		.rnd = &random_system,
		.secret = s->noise_private,
		.ephemeral_ms = c->ephemeral_ms,
		.expiry_ms = c->expiry_ms,
		.ops = { .changed = member_changed,
			.decided = pending_decided,
			.withdrawn = pending_withdrawn,
			.rejected = pending_rejected,
			.admin_changed = admin_changed,
			.text = server_text_stored,
			.knows_tag = knows_tag,
			.owns_tag = owns_tag,
			.names_address = names_address,
			.approves = approves,
			.pools = pools,
			.groups_domain = groups_domain,
			.policy_check = server_policy_check,
			.policy_taken = server_policy_taken,
			.work = work,
			.save_in = save_in,
			.arg = s }
	};
	int err = dir_make_of(c->database_path, 0700, eb);
	if (!err)
		err = registry_open(&s->reg, &rc, eb);
	key_wipe(&rc.secret, sizeof(rc.secret));
	s->has_registry = !err;
	if (!err)
		err = registry_text(&s->reg, API_DNS_TEXT, &s->dns, eb);
	return !err && s->dns.len ? server_take_settings(s, eb) : err;
}
