#include "mesh/control/server_inner.h"

#include "mesh/base/log.h"
#include "mesh/control/control.h"
#include "mesh/control/noise_key.h"
#include "mesh/control/renewal.h"
#include "mesh/os/call_filter.h"
#include "mesh/os/file.h"
#include "mesh/os/privilege.h"
#include "mesh/os/sock.h"
#include "mesh/os/work.h"
#include "mesh/transport/tls_aes.h"
#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STOP_MS = 200,
	TICK_MAX_MS = 60 * 1000 /* the clock may have been set meanwhile */,
	MANY_STREAMS = 64
};

/* --- time --- */

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

static void tick_at(struct server *s, int64_t at_ms, int64_t now_ms)
{
	int64_t delay = at_ms > now_ms + TICK_MAX_MS ? TICK_MAX_MS : at_ms - now_ms;
	delay = delay > 0 ? delay : 1;
	s->tick_at_ms = now_ms + delay;
	loop_timer_set(s->tick, (uint64_t)delay);
}

void server_tick(void *arg)
{
	struct server *s = arg;
	give_memory_back(s);
	const int64_t now = clock_unix_ms();
	tick_at(s, registry_tick(&s->reg, now), now);
}

static void node_online(void *arg, int64_t node, bool online)
{
	struct server *s = arg;
	const int64_t now = clock_unix_ms(), due = registry_online_set(&s->reg, node, online, now);
	give_memory_back(s); /* counts, where it is one more */
	if (due < s->tick_at_ms)
		tick_at(s, due, now);
}

static void save_due(void *arg)
{
	registry_save(&((struct server *)arg)->reg);
}

/* --- start and stop --- */

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
		err = server_open_registry(s, eb);
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
	s->tick = loop_timer_new(s->loop, server_tick, s);
	s->stop = loop_timer_new(s->loop, stop_loop, s);
	s->save = loop_timer_new(s->loop, save_due, s);
	s->records = loop_timer_new(s->loop, server_look_at_records, s);
	s->hup = loop_signal_new(s->loop, SIGHUP, server_hup_received, s);
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
	server_warn_of_blocker(s);
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
		err = server_take_settings(s, eb);
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
		.reload = server_reload,
		.certificate_again = server_certificate_again,
		.arg = s };
	if ((err = open_loop(s, eb)) || (err = open_streams(s, eb)) || (err = open_identity(s, eb)) ||
		(err = server_open_policy(s, eb)) || (s->kept && (err = server_take_settings(s, eb))))
		return err;
	struct errbuf why = { 0 };
	/* who may reach whom must not depend on whether a test still fits the nodes that there are */
	server_note_policy(s, s->cfg.policy_path);
	if (server_test_policy(s, s->cfg.policy_path, s->settings->policy, &why))
		log_error("%s; the rules are in force all the same", why.text);
	if ((err = dir_make_of(s->cfg.unix_socket, 0755, eb)) ||
		(err = web_open(&s->web, s->loop, &s->api, &s->noise_private, eb)))
		return err;
	if (s->web.relay && (err = server_take_settings(s, eb)))
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
		server_tick(s);
		server_look_at_records(s);
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
