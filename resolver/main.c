/* ropewalk-resolver: the resolver without a mesh. */
#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/os/file.h"
#include "mesh/os/man.h"
#include "mesh/os/notify.h"
#include "mesh/os/privilege.h"
#include "mesh/os/sock.h"
#include "resolver/conf.h"
#include "resolver/listen.h"
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONF_MAX = 16 << 20, EXIT_USAGE = 2, EXIT_CONFIG = 78 };

struct options {
	const char *config;
	bool check, json, help, man, version;
};
static const struct opt_row option_rows[] = {
	{ "config", "c", OPT_STRING, offsetof(struct options, config), "FILE",
		"configuration (YAML; docs/dns.md)" },
	{ "check", NULL, OPT_BOOL, offsetof(struct options, check), NULL,
		"read the configuration, say if it is right, and end" },
	{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL,
		"events and statistics as JSON lines" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "this text" },
	{ "version", NULL, OPT_BOOL, offsetof(struct options, version), NULL, "print the version" },
	{ "man", NULL, OPT_BOOL, offsetof(struct options, man), NULL, "print the man page (roff)" },
	{ 0 },
};

static const struct man_item exits[] = {
	{ "0", "ended by a signal, or --check found the configuration right" },
	{ "1", "could not start; standard error says why and what to do" },
	{ "2", "the command line is wrong" },
	{ "78", "the configuration is wrong or not there" },
	{ NULL, NULL },
};
static const struct man_program page = {
	.name = "ropewalk-resolver",
	.section = 8,
	.summary = "DNS server with records of its own, split upstreams and a cache",
	.words = "-c FILE [OPTIONS]",
	.text = "ropewalk-resolver answers DNS from its records, its cache and its upstreams. It is the "
		"resolver of "
		"ropewalkd(8) without a mesh.\n\nSIGUSR1 prints statistics, SIGHUP reads the configuration "
		"again.",
	.options = option_rows,
	.exits = exits,
	.see_also = "ropewalkd(8)",
};

struct program {
	struct options o;
	struct loop *loop;
	struct notify *notify;
	int exit_code; /* of a failure; 0: EXIT_FAILURE */
	struct resolver_server *server;
};

static int config_read(const struct program *p, struct conf *c, struct zone **z, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read(p->o.config, CONF_MAX, &text, eb);
	if (!err)
		err = conf_read(p->o.config, (const char *)buf_data(&text), text.len, c, eb);
	buf_free(&text);
	if (err)
		return err;
	*z = conf_zone(p->o.config, c, eb);
	if (*z)
		return 0;
	conf_free(c);
	return eb->code;
}

static int config_apply(struct program *p, const struct conf *c, struct zone *z, struct errbuf *eb)
{
	struct resolver_config rc = { .routes = c->routes,
		.n_routes = c->n_routes,
		.cache_bytes = c->cache_bytes,
		.mesh_ttl_s = (uint32_t)c->ttl_s };
	int err = resolver_server_configure(p->server, &rc, eb);
	err = err ? err : resolver_server_allow(p->server, c->allow, c->n_allow, eb);
	if (!err)
		resolver_zone_set(resolver_server_core(p->server), z);
	return err;
}

static void stats_print(const struct program *p)
{
	const struct resolver_stats *r = resolver_stats(resolver_server_core(p->server));
	const struct resolver_server_stats *s = resolver_server_stats(p->server);
	const char *sep = p->o.json ? "," : "";
	printf(p->o.json ? "{\"event\":\"stats\"" : "stats");
#define X(name) \
	printf(p->o.json ? "%s\"" #name "\":%llu" : "%s " #name "=%llu", sep, (unsigned long long)r->name);
	RESOLVER_STATS(X)
#undef X
#define X(name) \
	printf(p->o.json ? "%s\"" #name "\":%llu" : "%s " #name "=%llu", sep, (unsigned long long)s->name);
	RESOLVER_SERVER_STATS(X)
#undef X
	printf(p->o.json ? "}\n" : "\n");
	fflush(stdout);
}

static void reload(struct program *p)
{
	struct errbuf eb = { 0 };
	struct conf c;
	struct zone *z;
	notify_reloading(p->notify);
	int err = config_read(p, &c, &z, &eb);
	if (!err) {
		err = config_apply(p, &c, z, &eb);
		zone_put(z);
		conf_free(&c);
	}
	if (err)
		log_error("%s; the configuration stays as it was", eb.text);
	else
		log_info("configuration read again (changes of \"listen\" need a restart)");
	notify_ready(p->notify, NULL);
}

static void signalled(void *arg, int signo)
{
	struct program *p = arg;
	if (signo == SIGUSR1)
		stats_print(p);
	else if (signo == SIGHUP)
		reload(p);
	else
		loop_stop(p->loop);
}

static int serve(struct program *p, struct conf *c, struct zone *z, struct errbuf *eb)
{
	static const int signals[] = { SIGUSR1, SIGHUP, SIGTERM, SIGINT };
	struct loop_signal *watched[ARRAY_LEN(signals)];
	struct resolver_server_options so = { .at = c->listen, .n = c->n_listen };
	char text[ENDPOINT_TEXT];
	p->server = resolver_server_open(p->loop, &so, eb);
	if (!p->server)
		return eb->code;
	int err = config_apply(p, c, z, eb);
	if (err) {
		resolver_server_close(p->server);
		return err;
	}
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		watched[i] = loop_signal_new(p->loop, signals[i], signalled, p);
	for (size_t i = 0; i < c->n_listen; i++) {
		struct endpoint at = resolver_server_endpoint(p->server, i);
		printf(p->o.json ? "{\"event\":\"listening\",\"at\":\"%s\"}\n" : "listening on %s\n",
			endpoint_format(&at, text));
	}
	fflush(stdout);
	p->notify = notify_open(p->loop);
	notify_ready(p->notify, "answering");
	loop_run(p->loop);
	notify_close(p->notify);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		loop_signal_free(watched[i]);
	resolver_server_close(p->server);
	return 0;
}

static int resolver_run(struct program *p, struct errbuf *eb)
{
	struct conf c;
	struct zone *z;
	int err = config_read(p, &c, &z, eb);
	if (err) {
		p->exit_code = p->o.check ? EXIT_FAILURE : EXIT_CONFIG;
		return err;
	}
	if (p->o.check) {
		printf("%s: configuration is right\n", p->o.config);
	} else {
		p->loop = loop_new();
		err = p->loop ? serve(p, &c, z, eb) : err_say(eb, ERR_TOO_LARGE, "out of memory");
		loop_free(p->loop);
	}
	zone_put(z);
	conf_free(&c);
	return err;
}

/* Run by hand as root: port 53, and a file to read. */
static int drop_rights(const struct program *p, struct errbuf *eb)
{
	static const int needs[] = { CAP_NET_BIND_SERVICE };
	const char *const places[] = { p->o.config };
	privilege_hide_memory();
	return privilege_drop(needs, ARRAY_LEN(needs), places, ARRAY_LEN(places), eb);
}

int main(int argc, char **argv)
{
	struct program p = { 0 };
	struct errbuf eb = { 0 };
	const char **words = calloc((size_t)argc + 1, sizeof(*words));
	int n_words = 0;
	if (!words || !key_setup()) {
		fprintf(stderr, "ropewalk-resolver: this machine gives no memory or no randomness\n");
		free(words);
		return EXIT_FAILURE;
	}
	int err = opt_parse(option_rows, argc, argv, false, &p.o, words, &n_words, &eb);
	if (!err && n_words)
		err = err_say(&eb, ERR_MALFORMED, "\"%s\" is not expected here; see --help", words[0]);
	if (!err && !p.o.config && !p.o.help && !p.o.man && !p.o.version)
		err = err_say(&eb, ERR_MALFORMED, "a configuration is needed: -c FILE; see --help");
	free(words);
	if (err) {
		fprintf(stderr, "ropewalk-resolver: %s\n", eb.text);
		return EXIT_USAGE;
	}
	log_setup(LOG_INFO, p.o.json);
	sock_limit_raise(); /* every question to an upstream has a socket of its own */
	if (p.o.help)
		man_help(&page, stdout);
	else if (p.o.man)
		man_page(&page, stdout);
	else if (p.o.version)
		printf("ropewalk-resolver %s\n", RW_VERSION);
	else if (!(err = drop_rights(&p, &eb)))
		err = resolver_run(&p, &eb);
	if (err)
		fprintf(stderr, "ropewalk-resolver: %s\n", eb.text);
	return !err ? EXIT_SUCCESS : p.exit_code ? p.exit_code : EXIT_FAILURE;
}
