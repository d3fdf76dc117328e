#include "resolver/alone/serve.h"

#include "mesh/base/log.h"
#include "mesh/os/call_filter.h"
#include "mesh/transport/proxy.h"
#include "resolver/alone/control.h"
#include "resolver/alone/login.h"
#include "resolver/alone/numbers.h"
#include "resolver/alone/own_lists.h"
#include "resolver/alone/page.h"
#include "resolver/keeper.h"
#include "resolver/local_names.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>

static uint32_t lists_of(void *arg, const struct addr *from)
{
	return blocker_lists(((const struct running *)arg)->blocker, from);
}

static void stats_print(const struct running *s)
{
	struct buf b = { 0 };
	if (s->json ? numbers_json(s, "\"event\":\"stats\"", &b) : numbers_line(s, &b)) {
		fwrite(buf_data(&b), 1, b.len, stdout);
		fflush(stdout);
	}
	buf_free(&b);
}

static void signalled(void *arg, int signo)
{
	struct running *s = arg;
	if (signo == SIGUSR1)
		stats_print(s);
	else if (signo == SIGHUP)
		running_reload(s, NULL);
	else if (signo == SIGUSR2)
		blocker_pause(s->blocker);
	else
		loop_stop(s->loop);
}

static void page_say_where(const struct running *s)
{
	struct endpoint at[CONF_PAGE_LISTEN_MAX];
	char text[ENDPOINT_TEXT];
	size_t n = s->page ? page_endpoints(s->page, at, ARRAY_LEN(at)) : 0;
	for (size_t i = 0; i < n; i++)
		printf(s->json ? "{\"event\":\"page\",\"at\":\"%s\"}\n" : "page at http://%s/\n",
			endpoint_format(&at[i], text));
	if (n && !login_is_set(s->login))
		log_warn("the page has no password yet: set one with `ropewalk-resolver password`");
}

static int listen_secure(struct running *s, const struct conf_secure *from, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 0; !err && i < from->n_tls; i++)
		err = resolver_server_listen_secure(s->server, &from->tls[i], DNS_SECURE_TLS, eb);
	for (size_t i = 0; !err && i < from->n_https; i++)
		err = resolver_server_listen_secure(s->server, &from->https[i], DNS_SECURE_HTTPS, eb);
	return err;
}

static void listening_say(const struct running *s, size_t n)
{
	char text[ENDPOINT_TEXT];
	struct endpoint at;
	enum dns_secure_by by;
	page_say_where(s);
	for (size_t i = 0; i < n; i++) {
		at = resolver_server_endpoint(s->server, i);
		printf(s->json ? "{\"event\":\"listening\",\"at\":\"%s\"}\n" : "listening on %s\n",
			endpoint_format(&at, text));
	}
	for (size_t i = 0; resolver_server_secure(s->server, i, &at, &by); i++)
		printf(s->json ? "{\"event\":\"listening\",\"at\":\"%s\",\"by\":\"%s\"}\n"
			       : "listening on %s by %s\n",
			endpoint_format(&at, text), by == DNS_SECURE_TLS ? "TLS" : "HTTPS");
	fflush(stdout);
}

void serve_close(struct running *s)
{
	control_close(s->control);
	running_reload_end(s);
	page_close(s->page);
	login_close(s->login);
	own_lists_free(s->own);
	local_names_close(s->names);
	blocker_free(s->blocker);
	keeper_free(s->keeper);
	resolver_server_close(s->server);
}

/* By which lists are fetched, and upstreams asked by HTTPS. */
static bool proxies_open(struct running *s)
{
	s->proxies = proxies_found("lists and upstreams by HTTPS");
	blocker_proxies(s->blocker, s->proxies);
	resolver_server_proxies(s->server, s->proxies);
	return s->proxies;
}

/* What is kept and shown, where the configuration wants it. */
static int extras_open(struct running *s, const struct conf *c, struct errbuf *eb)
{
	if (c->state && !(s->own = own_lists_new(s->loop, s->blocker, c->state)))
		return err_say(eb, -ENOMEM, "out of memory");
	if (c->state && !(s->login = login_open(s->loop, c->state, eb)))
		return eb->code;
	if (c->n_page_listen && !(s->page = page_open(s, c, eb)))
		return eb->code;
	return 0;
}

/* What was kept while that was wanted goes when it is wanted no more. */
static int keeper_open(struct running *s, const struct conf *c, struct errbuf *eb)
{
	if (c->state && !c->keep_cache)
		keeper_remove(c->state);
	if (!c->keep_cache)
		return 0;
	s->keeper = keeper_new(s->loop, c->state, false);
	return s->keeper ? 0 : err_say(eb, -ENOMEM, "out of memory");
}

static int config_open(struct running *s, const struct conf *c, struct zone *z, struct errbuf *eb)
{
	struct local_names *names = local_names_read(z, c->names_from, c->n_names_from, eb);
	char holds[RUNNING_HOLDS];
	int err = names ? running_config_apply(s, c, z, names, holds, eb) : eb->code;
	if (err)
		local_names_close(names);
	return err;
}

/* c is emptied at its end: what is to be known of it is taken before. */
int serve_open(struct running *s, struct conf *c, struct zone *z, struct errbuf *eb)
{
	struct resolver_server_options so = {
		.at = c->listen, .n = c->n_listen, .lists = lists_of, .arg = s
	};
	bool writes_down = c->query_log;
	s->since_unix_ms = clock_unix_ms();
	s->server = resolver_server_open(s->loop, &so, eb);
	if (!s->server)
		return eb->code;
	s->blocker = blocker_new(s->loop, resolver_server_core(s->server));
	int err = s->blocker && proxies_open(s) ? listen_secure(s, &c->secure, eb)
						: err_say(eb, -ENOMEM, "out of memory");
	err = err ? err : keeper_open(s, c, eb);
	err = err ? err : config_open(s, c, z, eb);
	err = err ? err : extras_open(s, c, eb);
	err = err ? err : blocker_configure(s->blocker, &c->arena, &c->block, eb);
	if (!err && writes_down && resolver_server_journal_set(s->server, true))
		err = err_say(eb, -ENOMEM, "out of memory for the log of questions");
	if (!err && s->socket)
		err = (s->control = control_open(s, s->socket, eb)) ? 0 : eb->code;
	if (!err && writes_down)
		log_info("questions are written down, in memory, the last of them (query-log)");
	return err;
}

int serve_run(struct running *s, struct conf *c, struct zone *z, struct errbuf *eb)
{
	static const int signals[] = { SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, SIGINT };
	struct loop_signal *watched[ARRAY_LEN(signals)];
	size_t n_listen = c->n_listen;
	bool writes = c->block.store || c->state || s->socket;
	int err = serve_open(s, c, z, eb);
	zone_put(z); /* it goes when another one is in its place */
	if (err) {
		serve_close(s);
		return err;
	}
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		watched[i] = loop_signal_new(s->loop, signals[i], signalled, s);
	call_filter_begin(writes ? CALL_WRITES_FILES : 0);
	listening_say(s, n_listen);
	s->notify = notify_open(s->loop);
	notify_ready(s->notify, "answering");
	loop_run(s->loop);
	notify_close(s->notify);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		loop_signal_free(watched[i]);
	serve_close(s);
	return 0;
}
