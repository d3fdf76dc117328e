#include "mesh/control/server.h"

#include "mesh/base/log.h"
#include "mesh/control/config/config.h"
#include "mesh/control/config/settings.h"
#include "mesh/control/control.h"
#include "mesh/control/fleet/registry.h"
#include "mesh/control/http/derp.h"
#include "mesh/control/http/web.h"
#include "mesh/control/noise_key.h"
#include "mesh/control/renewal.h"
#include "mesh/control/view/probes.h"
#include "mesh/control/view/streams.h"
#include "mesh/os/file.h"
#include "mesh/os/notify.h"
#include "mesh/os/call_filter.h"
#include "mesh/os/privilege.h"
#include "mesh/os/loop.h"
#include "mesh/os/sock.h"
#include "mesh/os/work.h"
#include "mesh/transport/proxy.h"
#include "mesh/transport/tls_aes.h"
#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	STOP_MS = 200,
	TICK_MAX_MS = 60 * 1000 /* the clock may have been set meanwhile */,
	MANY_STREAMS = 64,
	RECORDS_LOOK_MS = 500 /* how often the file of records is looked at: by its time and number, as
				 editors replace it */
};

struct server {
	struct loop *loop;
	struct notify *notify;
	struct control_config cfg;    /* as it was at the start; api knows this one */
	struct control_config newest; /* as it was read last; file NULL: not since */
	struct buf dns;		      /* the DNS settings that were made by the API; empty = none were */
	struct registry reg;
	struct streams streams;
	struct probes probes;
	struct api api;
	struct proxies *proxies; /* of the environment; outlive the loop */
	struct web web;
	bool has_registry, has_streams;
	struct settings *settings; /* counted */
	/* Where the policy is in the database: the one in force, and the one that was checked last; counted. */
	struct policy_source *kept, *checked;
	struct machine_private noise_private;
	struct machine_key noise_public;
	struct loop_timer *tick, *stop, *save, *records;
	struct stat records_seen; /* of the file of DNS records, as it was read last */
	struct loop_signal *hup, *term, *intr;
	size_t most_streams; /* there were since memory was last given back */
	bool json, stopping, lone;
	int exit_code;
};

/* --- what the registry asks for, and tells --- */

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
static void save_due(void *arg)
{
	registry_save(&((struct server *)arg)->reg);
}

/* When most have gone, what they had goes back to the machine: the allocator keeps it otherwise. */
static void give_memory_back(struct server *s)
{
	size_t n = streams_count(&s->streams);
	if (n > s->most_streams)
		s->most_streams = n;
	if (s->most_streams < MANY_STREAMS || n > s->most_streams / 2)
		return;
	s->most_streams = n;
	(void)malloc_trim(0);
}

static void tick(void *arg)
{
	struct server *s = arg;
	give_memory_back(s);
	int64_t now = clock_unix_ms(), next = registry_tick(&s->reg, now);
	int64_t delay = next == INT64_MAX || next - now > TICK_MAX_MS ? TICK_MAX_MS : next - now;
	loop_timer_set(s->tick, delay > 0 ? (uint64_t)delay : 1);
}

static void node_online(void *arg, int64_t node, bool online)
{
	struct server *s = arg;
	registry_online_set(&s->reg, node, online, clock_unix_ms());
	if (online)
		give_memory_back(s); /* counts */
	else
		tick(s); /* an ephemeral node may have a deadline now */
}

/* --- settings --- */

/* What is in the database and cannot be read shuts everybody out; an admin can set another. */
static int open_kept_policy(struct server *s, struct errbuf *eb)
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
static void note_policy(struct server *s, const char *path)
{
	const struct policy_source *now = s->settings->source;
	if (now && !s->cfg.policy_database)
		registry_policy_note(&s->reg, &(struct policy_wish) { .text = now->text,
						      .tag = now->tag,
						      .author = path,
						      .now_ms = clock_unix_ms() });
}

static int policy_check(void *arg, const char *text, const char *tag, struct errbuf *eb)
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

/* With the nodes that there are. */
static int test_policy(const struct server *s, const char *path, const struct policy *p, struct errbuf *eb)
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

static int take_settings(struct server *s, struct errbuf *eb)
{
	const struct renewal_sources from = sources(s);
	struct settings *set = renewal_settings(&from, &s->web, s->web.pin, eb);
	if (!set)
		return eb->code;
	use_settings(s, set);
	return 0;
}

static int policy_taken(void *arg, struct errbuf *eb)
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
	tick(s);
	log_info("policy: version %lld, set by %s", (long long)v->id, v->author);
	return 0;
}

static int certificate_again(void *arg, struct errbuf *eb)
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
static void text_stored(void *arg, const char *name, const char *value)
{
	struct server *s = arg;
	struct errbuf eb = { 0 };
	if (strcmp(name, API_DNS_TEXT) != 0)
		return;
	buf_free(&s->dns);
	if (!buf_append(&s->dns, value, strlen(value)) || take_settings(s, &eb))
		log_error(
			"DNS settings: %s; they hold after a restart", *eb.text ? eb.text : "out of memory");
}

static void warn_of_blocker(const struct server *s)
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
	if (r->set && test_policy(s, fresh->policy_path, r->set->policy, &why)) {
		(void)buf_printf(wrong, "%s\n", why.text);
		if (!err)
			*eb = why;
		err = eb->code;
	}
	return err;
}

static int reload(void *arg, char restart[static API_KEYS_TEXT], struct buf *wrong, struct errbuf *eb)
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
	note_policy(s, fresh.policy_path);
	tick(s);
	log_info("reloaded %s: policy, DNS records and servers, DERP map, certificate", s->cfg.file);
	warn_of_blocker(s);
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
static void look_at_records(void *arg)
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

static void hup_received(void *arg, int signo)
{
	struct errbuf eb = { 0 };
	struct buf wrong = { .secret = true };
	char restart[API_KEYS_TEXT];
	struct server *s = arg;
	(void)signo;
	notify_reloading(s->notify);
	if (reload(s, restart, &wrong, &eb))
		renewal_complain("reload, the settings stay as they were: ", &wrong, &eb);
	notify_ready(s->notify, NULL);
}

/* --- start and stop --- */

static const char *groups_domain(void *arg, const char *issuer)
{
	return config_groups_domain(&((const struct server *)arg)->cfg.login, issuer);
}

static int open_registry(struct server *s, struct errbuf *eb)
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
			.text = text_stored,
			.knows_tag = knows_tag,
			.owns_tag = owns_tag,
			.names_address = names_address,
			.approves = approves,
			.pools = pools,
			.groups_domain = groups_domain,
			.policy_check = policy_check,
			.policy_taken = policy_taken,
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
	return !err && s->dns.len ? take_settings(s, eb) : err;
}

/* The key is written last: a first start that is cut short leaves none, which the next would take for an old
 * one. */
static int open_identity(struct server *s, struct errbuf *eb)
{
	const char *path = s->cfg.noise_key_path;
	bool made;
	int err = noise_key_load(path, &s->noise_private, &made, eb);
	if (!err)
		key_public(s->noise_private.b, s->noise_public.b);
	if (!err && !made)
		err = noise_key_check(path, s->cfg.database_path, eb);
	if (!err)
		err = open_registry(s, eb);
	if (!err && made && !(err = dir_make_of(path, 0700, eb)))
		err = noise_key_save(path, &s->noise_private, eb);
	return err;
}

static void stop_loop(void *arg)
{
	loop_stop(((struct server *)arg)->loop);
}

static void stop_received(void *arg, int signo)
{
	struct server *s = arg;
	if (s->stopping) { /* asked twice: at once */
		loop_stop(s->loop);
		return;
	}
	log_info("stopping (signal %d)", signo);
	s->stopping = true;
	probes_close(&s->probes);
	streams_close(&s->streams);
	web_close(&s->web);
	loop_timer_set(s->stop, STOP_MS); /* the last bytes may leave */
}

static int open_loop(struct server *s, struct errbuf *eb)
{
	s->loop = loop_new();
	if (!s->loop || !work_ready(s->loop))
		return err_set(eb, -ENOMEM, "start");
	s->tick = loop_timer_new(s->loop, tick, s);
	s->stop = loop_timer_new(s->loop, stop_loop, s);
	s->save = loop_timer_new(s->loop, save_due, s);
	s->records = loop_timer_new(s->loop, look_at_records, s);
	s->hup = loop_signal_new(s->loop, SIGHUP, hup_received, s);
	s->term = loop_signal_new(s->loop, SIGTERM, stop_received, s);
	s->intr = loop_signal_new(s->loop, SIGINT, stop_received, s);
	return s->tick && s->stop && s->save && s->records && s->hup && s->term && s->intr
		       ? 0
		       : err_set(eb, -ENOMEM, "start");
}

static void warn_unused(void *arg, const char *sentence)
{
	log_warn("%s: %s", ((const struct server *)arg)->cfg.file, sentence);
}

static void say_ready(const struct server *s)
{
	char at[ENDPOINT_TEXT];
	endpoint_format(&s->web.doors[0].at, at);
	config_unused_each(&s->cfg, warn_unused, (void *)s);
	if (!s->settings->derp.n_regions)
		log_warn("no relay: without a DERP map (derp.paths) nodes behind hard NATs cannot reach each "
			 "other");
	if (config_lacks_tls(&s->cfg))
		log_warn("%s is plain HTTP: official clients that lose this server look for it by HTTPS at "
			 "port 443; set tls_listen_addr (its certificate is made here), or serve https://",
			s->cfg.server_url);
	warn_of_blocker(s);
	log_info("ropewalk-control " RW_VERSION " serves %s on %s (%zu nodes)", s->cfg.server_url, at,
		s->reg.fleet.n);
	if (s->json)
		printf("{\"ready\":true,\"listen\":\"%s\",\"url\":\"%s\"}\n", at, s->cfg.server_url);
	fflush(stdout);
}

static void list_rivals(void *arg, struct id_list *out)
{
	registry_rivals(&((struct server *)arg)->reg, out);
}

static void node_silent(void *arg, int64_t node, bool silent)
{
	registry_silent_set(&((struct server *)arg)->reg, node, silent);
}

static int open_streams(struct server *s, struct errbuf *eb)
{
	int err = streams_open(
		&s->streams, s->loop, &s->reg.fleet, &(struct streams_ops) { node_online, s }, eb);
	s->has_streams = true;
	if (!err)
		streams_settings_set(&s->streams, s->settings);
	const struct probes_ops ops = { .rivals = list_rivals, .silent = node_silent, .arg = s };
	return err ? err : probes_open(&s->probes, s->loop, &s->streams, s->cfg.server_url, &ops, eb);
}

/* Run by hand as root: ports, and its own files. */
static int drop_rights(const struct server *s, const char *config, struct errbuf *eb)
{
	static const int needs[] = { CAP_NET_BIND_SERVICE };
	const struct control_config *c = &s->cfg;
	const char *const places[] = { config, c->database_path, c->noise_key_path, c->policy_path,
		c->records_path, c->tls_cert, c->tls_key, c->acme_dir };
	return privilege_drop(needs, ARRAY_LEN(needs), places, ARRAY_LEN(places), eb);
}

static int start_server(struct server *s, const char *config, struct buf *wrong, struct errbuf *eb)
{
	(void)tls_aes_use(); /* the relay inside */
	int err = config_read_all(config, &s->cfg, wrong, eb);
	if (!err && s->lone && (err = drop_rights(s, config, eb)))
		return err;
	if (!err) {
		log_setup(s->cfg.log_level, s->cfg.log_json);
		err = take_settings(s, eb);
	}
	if (err) {
		s->exit_code = CONTROL_CONFIG;
		return err;
	}
	if (!(s->proxies = proxies_found("authorities and login providers")))
		return err_set(eb, -ENOMEM, "start");
	s->api = (struct api) { .reg = &s->reg,
		.streams = &s->streams,
		.probes = &s->probes,
		.cfg = &s->cfg,
		.noise = &s->noise_public,
		.proxies = s->proxies,
		.reload = reload,
		.certificate_again = certificate_again,
		.arg = s };
	if ((err = open_loop(s, eb)) || (err = open_streams(s, eb)) || (err = open_identity(s, eb)) ||
		(err = open_kept_policy(s, eb)) || (s->kept && (err = take_settings(s, eb))))
		return err;
	struct errbuf why = { 0 };
	/* who may reach whom must not depend on whether a test still fits the nodes that there are */
	note_policy(s, s->cfg.policy_path);
	if (test_policy(s, s->cfg.policy_path, s->settings->policy, &why))
		log_error("%s; the rules are in force all the same", why.text);
	if ((err = dir_make_of(s->cfg.unix_socket, 0755, eb)) ||
		(err = web_open(&s->web, s->loop, &s->api, &s->noise_private, eb)))
		return err;
	if (s->web.relay && (err = take_settings(s, eb)))
		return err;
	while (login_is_waiting(&s->web.login))
		loop_run_once(s->loop);
	return login_check(&s->web.login, eb);
}

static void server_finish(struct server *s)
{
	s->stopping = true;
	probes_close(&s->probes);
	if (s->has_streams)
		streams_close(&s->streams);
	web_close(&s->web);
	while (s->has_registry && registry_is_busy(&s->reg)) /* what was asked for is stored */
		loop_run_once(s->loop);
	if (s->has_registry)
		registry_close(&s->reg);
	loop_timer_free(s->tick);
	loop_timer_free(s->stop);
	loop_timer_free(s->save);
	loop_timer_free(s->records);
	if (s->hup)
		loop_signal_free(s->hup);
	if (s->term)
		loop_signal_free(s->term);
	if (s->intr)
		loop_signal_free(s->intr);
	settings_put(s->settings);
	api_close(&s->api);
	buf_free(&s->dns);
	config_free(&s->newest);
	policy_source_put(s->kept);
	policy_source_put(s->checked);
	config_free(&s->cfg);
	key_wipe(&s->noise_private, sizeof(s->noise_private));
}

void server_close(struct server *s)
{
	if (!s)
		return;
	struct loop *l = s->loop;
	struct proxies *proxies = s->proxies;
	server_finish(s);
	free(s);
	if (l)
		loop_free(l);
	proxies_free(proxies);
}

struct server *server_open(const char *config, struct errbuf *eb)
{
	struct server *s = calloc(1, sizeof(*s));
	struct buf wrong = { .secret = true };
	if (!s)
		err_set(eb, -ENOMEM, "start");
	if (!s || start_server(s, config, &wrong, eb)) {
		buf_wipe(&wrong);
		server_close(s);
		return NULL;
	}
	login_first_begin(&s->web.login);
	return s;
}

struct loop *server_loop(struct server *s)
{
	return s->loop;
}

int server_run(const char *config, bool json)
{
	struct server *s = calloc(1, sizeof(*s));
	struct errbuf eb = { 0 };
	struct buf wrong = { .secret = true };
	if (!s) {
		log_error("out of memory");
		return CONTROL_FAILED;
	}
	sock_limit_raise(); /* every node holds a socket */
	privilege_hide_memory();
	key_lock(&s->noise_private, sizeof(s->noise_private));
	s->json = json;
	s->lone = true;
	if (start_server(s, config, &wrong, &eb)) {
		renewal_complain("", &wrong, &eb);
		s->exit_code = s->exit_code ? s->exit_code : CONTROL_FAILED;
	} else {
		tick(s);
		look_at_records(s);
		call_filter_begin(CALL_WRITES_FILES);
		say_ready(s);
		login_first_begin(&s->web.login);
		s->notify = notify_open(s->loop);
		notify_ready(s->notify, s->cfg.server_url);
		loop_run(s->loop);
		notify_close(s->notify);
	}
	int code = s->exit_code;
	server_close(s);
	return code;
}
