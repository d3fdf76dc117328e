/* The server's settings: what was read at the start and by each reload since, with the policy and the DNS settings of the
 * database. */
#include "mesh/control/server_inner.h"

#include "mesh/base/log.h"
#include "mesh/control/renewal.h"
#include <errno.h>
#include <string.h>

enum {
	RECORDS_LOOK_MS = 500 /* how often the file of records is looked at: by its time and number, as
				 editors replace it */
};

/* What is in the database and cannot be read shuts everybody out; an admin can set another. */
int server_open_policy(struct server *s, struct errbuf *eb)
{
	static const char nothing[] = "{\"acls\":[]}";
	const struct policies *p = &s->reg.policies;
	struct errbuf why = { 0 };
	if (!s->cfg.policy_database || !p->text)
		return 0;
	s->kept = policy_source_new(p->text, strlen(p->text), &why);
	if (s->kept)
		return 0;
	log_error(
		"the policy in the database (version %lld): %s; nothing is allowed until another is set with "
		"`ropewalk-control policy set`",
		(long long)policies_newest(p)->id, why.text);
	s->kept = policy_source_new(nothing, strlen(nothing), eb);
	return s->kept ? 0 : eb->code;
}

/* What a file says is kept beside, so that one can see what it was. */
void server_note_policy(struct server *s, const char *path)
{
	const struct policy_source *now = s->settings->source;
	if (now && !s->cfg.policy_database)
		registry_policy_note(&s->reg, &(struct policy_wish) { .text = now->text,
						      .tag = now->tag,
						      .author = path,
						      .now_ms = clock_unix_ms() });
}

int server_policy_check(void *arg, const char *text, const char *tag, struct errbuf *eb)
{
	struct server *s = arg;
	if (!s->cfg.policy_database)
		return err_say(eb, ERR_REFUSED,
			"the settings say that the policy is in a file (policy.mode): change %s, and "
			"`ropewalk-control "
			"policy reload`",
			*s->cfg.policy_path ? s->cfg.policy_path : "that, name it in policy.path");
	(void)tag;
	struct policy_source *fresh = policy_source_new(text, strlen(text), eb);
	if (!fresh)
		return eb->code;
	int err = policy_test(fresh->rules, &s->reg.fleet, eb);
	if (err) {
		policy_source_put(fresh);
		return err;
	}
	policy_source_put(s->checked);
	s->checked = fresh;
	return 0;
}

static void use_settings(struct server *s, struct settings *fresh)
{
	struct settings *old = s->settings;
	s->settings = fresh;
	if (s->has_streams)
		streams_settings_set(&s->streams, fresh);
	settings_put(old);
}

int server_test_policy(const struct server *s, const char *path, const struct policy *p, struct errbuf *eb)
{
	struct errbuf why = { 0 };
	int err = policy_test(p, &s->reg.fleet, &why);
	return err ? err_say(eb, err, "policy %s:%s", path, why.text) : 0;
}

static struct renewal_sources sources(const struct server *s)
{
	return (struct renewal_sources) {
		.cfg = s->newest.file ? &s->newest : &s->cfg, .dns = &s->dns, .kept = s->kept
	};
}

int server_take_settings(struct server *s, struct errbuf *eb)
{
	const struct renewal_sources from = sources(s);
	struct settings *set = renewal_settings(&from, &s->web, s->web.pin, eb);
	if (!set)
		return eb->code;
	use_settings(s, set);
	return 0;
}

int server_policy_taken(void *arg, struct errbuf *eb)
{
	struct server *s = arg;
	const struct policy_version *v = policies_newest(&s->reg.policies);
	struct settings *set = settings_with_policy(s->settings, s->checked);
	if (!set)
		return err_set(eb, -ENOMEM, "the policy is kept, but not in force before a restart");
	policy_source_put(s->kept);
	s->kept = s->checked;
	s->checked = NULL;
	use_settings(s, set);
	server_tick(s);
	log_info("policy: version %lld, set by %s", (long long)v->id, v->author);
	return 0;
}

int server_certificate_again(void *arg, struct errbuf *eb)
{
	struct server *s = arg;
	const struct renewal_sources from = sources(s);
	struct renewal r;
	struct buf wrong = { .secret = true };
	int err = renewal_read(&s->web, &from, &r, &wrong, eb);
	if (!err)
		use_settings(s, renewal_use(&r, &s->web));
	buf_free(&wrong);
	renewal_drop(&r);
	return err;
}

/* Stored: in force. */
void server_text_stored(void *arg, const char *name, const char *value)
{
	struct server *s = arg;
	struct errbuf eb = { 0 };
	if (strcmp(name, API_DNS_TEXT) != 0)
		return;
	buf_free(&s->dns);
	if (!buf_append(&s->dns, value, strlen(value)) || server_take_settings(s, &eb))
		log_error(
			"DNS settings: %s; they hold after a restart", *eb.text ? eb.text : "out of memory");
}

void server_warn_of_blocker(const struct server *s)
{
	const char *name = s->settings->block_node;
	if (name && !fleet_by_name(&s->reg.fleet, name))
		log_warn("dns.blocking.node: there is no machine %s in this network; until one is, nothing "
			 "is blocked",
			name);
}

/* All that is new, with nothing of it in force. */
static int read_anew(struct server *s, struct control_config *fresh, struct renewal *r, struct buf *wrong,
	struct errbuf *eb)
{
	struct renewal_sources from = sources(s);
	struct errbuf why = { 0 };
	fresh->base_domain = s->cfg.base_domain;
	fresh->policy_database = s->cfg.policy_database;
	from.cfg = fresh;
	int err = renewal_read(&s->web, &from, r, wrong, eb);
	if (r->set && server_test_policy(s, fresh->policy_path, r->set->policy, &why)) {
		(void)buf_printf(wrong, "%s\n", why.text);
		if (!err)
			*eb = why;
		err = eb->code;
	}
	return err;
}

int server_reload(void *arg, char restart[static API_KEYS_TEXT], struct buf *wrong, struct errbuf *eb)
{
	struct server *s = arg;
	struct control_config fresh;
	struct renewal r;
	int err = config_read_all(s->cfg.file, &fresh, wrong, eb);
	if (err)
		return err;
	config_fixed_differ(&s->cfg, &fresh, restart, API_KEYS_TEXT);
	if ((err = read_anew(s, &fresh, &r, wrong, eb))) {
		renewal_drop(&r);
		config_free(&fresh);
		return err;
	}
	s->reg.c.ephemeral_ms = fresh.ephemeral_ms;
	s->reg.c.expiry_ms = fresh.expiry_ms;
	log_setup(fresh.log_level, fresh.log_json);
	config_free(&s->newest);
	s->newest = fresh;
	use_settings(s, renewal_use(&r, &s->web));
	server_note_policy(s, fresh.policy_path);
	server_tick(s);
	log_info("reloaded %s: policy, DNS records and servers, DERP map, certificate", s->cfg.file);
	server_warn_of_blocker(s);
	if (*restart)
		log_warn("%s: changed, but not before a restart: %s", s->cfg.file, restart);
	return 0;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && /* its rights may be others */
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The file of DNS records is taken when it has changed, without being asked; what is wrong in it is said
 * once. */
void server_look_at_records(void *arg)
{
	struct server *s = arg;
	struct errbuf eb = { 0 };
	struct stat now = { 0 };
	loop_timer_set(s->records, RECORDS_LOOK_MS);
	if (!*s->settings->records_path || stat(s->settings->records_path, &now) ||
		is_same_file(&now, &s->records_seen))
		return;
	s->records_seen = now;
	struct settings *set = settings_with_records(s->settings, &eb);
	if (!set) {
		log_error("%s; the records stay as they were", eb.text);
		return;
	}
	use_settings(s, set);
	log_info("read %s: DNS records", set->records_path);
}

void server_hup_received(void *arg, int signo)
{
	struct errbuf eb = { 0 };
	struct buf wrong = { .secret = true };
	char restart[API_KEYS_TEXT];
	struct server *s = arg;
	(void)signo;
	notify_reloading(s->notify);
	if (server_reload(s, restart, &wrong, &eb))
		renewal_complain("reload, the settings stay as they were: ", &wrong, &eb);
	notify_ready(s->notify, NULL);
}
