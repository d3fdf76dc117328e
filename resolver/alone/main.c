/* ropewalk-resolver: the resolver without a mesh. */
#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/os/call_filter.h"
#include "mesh/os/privilege.h"
#include "mesh/os/program_text.h"
#include "mesh/os/sock.h"
#include "mesh/os/work.h"
#include "mesh/transport/proxy.h"
#include "mesh/transport/stream.h"
#include "resolver/alone/blocked.h"
#include "resolver/alone/control.h"
#include "resolver/alone/migrate.h"
#include "resolver/alone/serve.h"
#include "resolver/alone/tell.h"
#include "resolver/report_api.h"
#include "resolver/report_text.h"
#include <limits.h>
#include <linux/capability.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, EXIT_CONFIG = 78 };

struct options {
	const char *config, *client, *socket, *from;
	bool check, json, follow, below;
	struct program_text text;
};
static const struct opt_row option_rows[] = {
	{ "config", "c", OPT_STRING, offsetof(struct options, config), "FILE",
		"configuration (YAML; docs/dns.md)" },
	{ "check", NULL, OPT_BOOL, offsetof(struct options, check), NULL,
		"read the configuration, say if it is right, and end" },
	{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL,
		"events and statistics as JSON lines" },
	{ "client", NULL, OPT_STRING, offsetof(struct options, client), "ADDRESS",
		"blocked: for who asks from there" },
	{ "socket", NULL, OPT_STRING, offsetof(struct options, socket), "PATH",
		"of the resolver that runs: where it answers these words; else under systemd alone, "
		"at " CONTROL_SOCKET },
	{ "from", NULL, OPT_STRING, offsetof(struct options, from), "dnsmasq|unbound|pihole|gravity",
		"convert: whose files these are, if it cannot be told by what is in them" },
	{ "follow", "f", OPT_BOOL, offsetof(struct options, follow), NULL, "log: go on as questions come" },
	{ "below", NULL, OPT_BOOL, offsetof(struct options, below), NULL,
		"flush: the names under NAME as well" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, text.help), NULL, "this text" },
	PROGRAM_TEXT_ROWS(offsetof(struct options, text)),
	{ 0 },
};

static const struct man_item exits[] = {
	{ "0", "ended by a signal, or --check found the configuration right, or the name is blocked" },
	{ "1", "could not start, or nothing runs to be asked; standard error says why and what to do; or "
	       "--check found the configuration wrong, or the name is not blocked" },
	{ "2", "the command line is wrong" },
	{ "78", "of who answers questions: the configuration is wrong or not there" },
	{ NULL, NULL },
};
static const struct man_item environment[] = {
	{ "HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "as of ropewalkd(8), of upstreams by HTTPS and of lists" },
	{ NULL, NULL },
};
static const struct man_program page = {
	.name = "ropewalk-resolver",
	.section = 8,
	.summary = "DNS server with records of its own, split upstreams and a cache",
	.words = "-c FILE [OPTIONS] | [OPTIONS] VERB",
	.text = "ropewalk-resolver answers DNS from its records, its cache and its upstreams. It is the "
		"resolver of "
		"ropewalkd(8) without a mesh.\n\nSIGUSR1 prints statistics, SIGUSR2 pauses blocking, SIGHUP "
		"reads the configuration "
		"and the lists of what is blocked again.\n\nconvert reads configurations of dnsmasq, unbound "
		"and pi-hole (pihole.toml, "
		"gravity.db) and writes one of "
		"this program; what has no counterpart is said with its line.\n\nThe other words ask a "
		"resolver that runs, over its control socket, which root and "
		"its own user alone may "
		"use; with -c FILE, \"blocked\" asks nobody and reads the lists of that configuration.",
	.options = option_rows,
	.verbs = tell_verbs,
	.exits = exits,
	.environment = environment,
	.see_also = "ropewalkd(8)",
};

struct program {
	struct options o;
	int exit_code;		     /* of a failure; 0: EXIT_FAILURE */
	const char *blocked;	     /* the name to look for; NULL: serve */
	const struct man_verb *verb; /* the word of the command line; NULL: none */
	struct buf wrong;	     /* in the configuration, a line for each mistake */
	bool said;		     /* what was asked for: exit_code is the answer */
};

/* What the configuration names as certificates can be read, and fits together. */
static int certificates_check(const struct conf *c, struct errbuf *eb)
{
	const struct conf_secure *s = &c->secure;
	struct tls *clients = s->certificate ? tls_server(s->certificate, s->key, eb) : NULL;
	struct tls *upstreams = c->authorities ? tls_client_authorities(c->authorities, eb) : NULL;
	struct errbuf why;
	if (clients && tls_cert_fault(s->certificate, NULL, &why) != 0)
		fprintf(stderr, "ropewalk-resolver: %s\n", why.text);
	bool right = (clients || !s->certificate) && (upstreams || !c->authorities);
	tls_free(clients);
	tls_free(upstreams);
	return right ? 0 : eb->code;
}

/* --check: what is in the lists as well. */
static int check(struct program *p, const struct conf *c, struct errbuf *eb)
{
	struct buf out = { 0 }, said = { 0 };
	int err = blocker_check(&c->block, &out, eb);
	if (err) /* and what is said below as well */
		buf_printf(&p->wrong, "%s\n", eb->text);
	int err2 = certificates_check(c, eb);
	if (err2)
		buf_printf(&p->wrong, "%s\n", eb->text);
	err = err_first(err, err2);
	if (!local_names_check(c->names_from, c->n_names_from, &said))
		fputs("ropewalk-resolver: memory is too short to read names of machines\n", stderr);
	for (size_t at = 0; at < said.len; at += strlen((const char *)buf_data(&said) + at) + 1)
		fprintf(stderr, "ropewalk-resolver: names of machines: %s\n",
			(const char *)buf_data(&said) + at);
	buf_free(&said);
	if (!err)
		printf("%s%s: configuration is right\n", out.len ? buf_cstr(&out) : "", p->o.config);
	buf_free(&out);
	return err;
}

static int blocked_print(struct program *p, const struct blocker_why *w, struct errbuf *eb)
{
	struct api_dns_blocked m;
	struct arena a = { 0 };
	struct buf out = { 0 };
	bool ok = report_api_blocked(&a, w, &m);
	if (ok && p->o.json)
		ok = api_dns_blocked_write(&out, &m) && buf_append(&out, "\n", 1);
	else if (ok)
		report_text_blocked(&out, &m, p->blocked, p->o.client);
	if (ok) {
		fwrite(buf_data(&out), 1, out.len, stdout);
		p->exit_code = m.blocked ? EXIT_SUCCESS : EXIT_FAILURE;
		p->said = true;
	}
	buf_free(&out);
	arena_free(&a);
	return ok ? 0 : err_say(eb, ERR_TOO_LARGE, "out of memory");
}

/* What the lists of the configuration say of a name, to who asks from --client, or to who is in no group. */
static int say_blocked(struct program *p, const struct conf *c, struct errbuf *eb)
{
	struct blocker_why why = { 0 };
	struct dns_name name;
	struct addr from;
	struct buf lines = { 0 };
	int err = blocked_read(p->blocked, p->o.client ? p->o.client : "", &name, &from, eb);
	if (err)
		return err;
	uint32_t lists = blocker_group(&c->block, &from, &why.group);
	why.group = why.group ? why.group : "";
	err = blocker_explain(&c->block, lists, &name, &lines, &why.found, eb);
	why.lines = buf_cstr(&lines);
	err = err ? err : blocked_print(p, &why, eb);
	buf_free(&lines);
	return err;
}

/* systemd makes a folder for sockets where the unit wants one (RuntimeDirectory=). */
static const char *socket_path(const struct program *p, char *out, size_t cap)
{
	const char *folder = getenv("RUNTIME_DIRECTORY");
	if (p->o.socket || !folder)
		return p->o.socket;
	int n = snprintf(out, cap, "%s/control.sock", folder);
	return n > 0 && (size_t)n < cap ? out : NULL;
}

static int resolver_run(struct program *p, struct errbuf *eb)
{
	char socket[PATH_MAX];
	struct running s = { .config = p->o.config, .json = p->o.json };
	struct conf c;
	struct zone *z;
	int err = running_config_read(p->o.config, &c, &z, &p->wrong, eb);
	if (err) {
		p->exit_code = p->o.check || p->blocked ? EXIT_FAILURE : EXIT_CONFIG;
		return err;
	}
	if (p->blocked) {
		err = say_blocked(p, &c, eb);
	} else if (p->o.check) {
		err = check(p, &c, eb);
	} else {
		s.socket = socket_path(p, socket, sizeof(socket));
		s.loop = loop_new();
		const bool ready = s.loop && work_ready(s.loop);
		err = ready ? serve_run(&s, &c, z, eb) : err_say(eb, ERR_TOO_LARGE, "out of memory");
		z = ready ? NULL : z;
		loop_free(s.loop);
		proxies_free(s.proxies);
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

/* All that is wrong, or, where there is no list of it, why it ended. */
static void failure_print(struct program *p, const struct errbuf *eb)
{
	const char *line = p->wrong.len ? buf_cstr(&p->wrong) : NULL;
	if (!line)
		fprintf(stderr, "ropewalk-resolver: %s\n", eb->text);
	for (size_t n; line && *line; line += n + (line[n] == '\n')) {
		n = strcspn(line, "\n");
		fprintf(stderr, "ropewalk-resolver: %.*s\n", (int)n, line);
	}
}

static int migrate(const char *const *files, int n, const char *from)
{
	struct errbuf eb = { 0 };
	if (!migrate_run(files, n, from, &eb))
		return EXIT_SUCCESS;
	fprintf(stderr, "ropewalk-resolver: %s\n", eb.text);
	return EXIT_FAILURE;
}

static int unknown_verb(const char *word, struct errbuf *eb)
{
	enum { VERBS_MAX = 31 };
	const char *names[VERBS_MAX + 1] = { NULL };
	for (size_t i = 0; i < VERBS_MAX && tell_verbs[i]; i++)
		names[i] = tell_verbs[i]->name;
	const char *near = text_nearest(word, names);
	if (near)
		return err_say(eb, ERR_MALFORMED, "unknown verb \"%.64s\"; did you mean \"%s\"?", word, near);
	return err_say(eb, ERR_MALFORMED, "unknown verb \"%.64s\"; --help lists them", word);
}

/* The words of the command line. told: they were for a resolver that runs, which has answered: *code. */
static int words_take(
	struct program *p, const char *const *words, int n, bool *told, int *code, struct errbuf *eb)
{
	if (n && strcmp(words[0], "help") == 0) {
		p->o.text.help = true;
		words++;
		n--;
	} else if (n == 1 && strcmp(words[0], "version") == 0) {
		p->o.text.version = true;
	}
	const struct tell_options o = { .socket = p->o.socket ? p->o.socket : CONTROL_SOCKET,
		.client = p->o.client,
		.json = p->o.json,
		.follow = p->o.follow,
		.below = p->o.below };
	bool asks = !program_text_is_asked(&p->o.text),
	     converts = n && asks && strcmp(words[0], "convert") == 0;
	bool reads = n == 2 && p->o.config && strcmp(words[0], "blocked") == 0;
	p->verb = n ? tell_man(words[0]) : NULL;
	*told = converts || (n && asks && !reads && tell_is_verb(words[0]));
	if (converts && n < 2)
		return err_say(eb, ERR_MALFORMED, "convert needs files");
	if (converts)
		*code = migrate(words + 1, n - 1, p->o.from);
	else if (*told)
		*code = tell_run(&o, words, n);
	else if (reads)
		p->blocked = words[1];
	else if (n && !p->verb)
		return unknown_verb(words[0], eb);
	else if (n && asks)
		return err_say(eb, ERR_MALFORMED, "%s %s", words[0], p->verb->words);
	if (!*told && !p->o.config && !program_text_is_asked(&p->o.text))
		return err_say(eb, ERR_MALFORMED, "a configuration is needed: -c FILE; see --help");
	return 0;
}

/* Files are read whole, and tables grow. Large buffers come from the system and go back to it when they are freed; left alone
 * the allocator moves that line up to 32 MiB, and keeps what was below it. */
static void keep_memory_small(void)
{
	enum { LARGE = 128 << 10 };
	(void)mallopt(M_MMAP_THRESHOLD, LARGE);
	(void)mallopt(M_TRIM_THRESHOLD, LARGE);
	/* What a thread of a moment took stays with an arena of its own, and is of no use to the loop. */
	(void)mallopt(M_ARENA_MAX, 1);
}

int main(int argc, char **argv)
{
	struct program p = { 0 };
	struct errbuf eb = { 0 };
	const char **words = calloc((size_t)argc + 1, sizeof(*words));
	int n_words = 0, code = EXIT_SUCCESS;
	bool told = false;
	keep_memory_small();
	if (!words || !key_setup()) {
		fprintf(stderr, "ropewalk-resolver: this machine gives no memory or no randomness\n");
		free(words);
		return EXIT_FAILURE;
	}
	int err = opt_parse(option_rows, argc, argv, false, &p.o, words, &n_words, &eb);
	err = err ? err : words_take(&p, words, n_words, &told, &code, &eb);
	free(words);
	if (err) {
		fprintf(stderr, "ropewalk-resolver: %s\n", eb.text);
		return EXIT_USAGE;
	}
	if (told)
		return program_text_end("ropewalk-resolver", code, EXIT_FAILURE);
	log_setup(LOG_INFO, p.o.json);
	sock_limit_raise(); /* questions to upstreams have many sockets */
	if (program_text_is_asked(&p.o.text) &&
		(err = program_text_print(&p.o.text, &page, p.verb, "ropewalk-resolver " RW_VERSION, &eb)))
		p.exit_code = EXIT_USAGE;
	else if (!program_text_is_asked(&p.o.text) && !(err = drop_rights(&p, &eb)))
		err = resolver_run(&p, &eb);
	if (err)
		failure_print(&p, &eb);
	buf_free(&p.wrong);
	code = p.said ? p.exit_code : !err ? EXIT_SUCCESS : p.exit_code ? p.exit_code : EXIT_FAILURE;
	bool serves = !program_text_is_asked(&p.o.text) && !p.o.check && !p.blocked;
	return serves ? code : program_text_end("ropewalk-resolver", code, EXIT_FAILURE);
}
