#include "mesh/cli/cli.h"
#include "mesh/cli/not_here.h"
#include "mesh/os/file.h"
#include "mesh/proto/json.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { VERBS_MAX = 32 };

struct global_options {
	struct cli_common common;
	bool version;
};
static const struct opt_row global_rows[] = {
	{ "version", "V", OPT_BOOL, offsetof(struct global_options, version), NULL, "print the version" },
	CLI_ROWS_COMMON(struct global_options),
};

static const struct man_item exits[] = {
	{ "0", "done" },
	{ "1", "failed; standard error says why and what to do" },
	{ "2", "the command line is wrong" },
	{ "3", "ropewalkd is not running, or this user may not talk to it" },
	{ "4", "not done in time" },
	{ NULL, NULL },
};
static const struct man_item files[] = {
	{ CLI_SOCKET_DEFAULT, "where ropewalkd listens" },
	{ NULL, NULL },
};
static const struct man_item environment[] = {
	{ "ROPEWALK_SOCKET", "the socket to use when --socket is not given" },
	{ NULL, NULL },
};
const struct man_program cli_program = {
	.name = "ropewalk",
	.section = 1,
	.summary = "join, watch and leave a mesh network",
	.words = "[--socket PATH] VERB [OPTIONS]",
	.text = "ropewalk talks to ropewalkd, the daemon that holds the network, over a unix socket. Options "
		"are written with one "
		"dash or two, their values behind a space or an equals sign.",
	.options = global_rows,
	.verbs = cli_verb_texts,
	.exits = exits,
	.files = files,
	.environment = environment,
	.see_also = "ropewalkd(8), ropewalk-control(8), ropewalk-relay(8), simnet(1)",
	.machines = "completion machines",
};

const struct cli_verb *cli_verb_find(const char *name)
{
	for (const struct cli_verb *const *v = cli_verbs; *v; v++)
		if (strcmp((*v)->man.name, name) == 0)
			return *v;
	return NULL;
}

static void put_json_error(struct cli *c, const char *id, const char *hint, const char *message)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	json_put(&o, "{\"error\":{\"id\":");
	json_put_string(&o, id);
	json_put(&o, ",\"message\":");
	json_put_string(&o, message);
	json_put(&o, ",\"hint\":");
	json_put_string(&o, hint);
	json_put(&o, "}}\n");
	if (!o.bad)
		fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

int cli_fail(struct cli *c, enum cli_exit code, const char *id, const char *hint, const char *fmt, ...)
{
	char message[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (c->json) {
		put_json_error(c, id, hint, message);
		return code;
	}
	fprintf(c->err, "ropewalk: %s\n", message);
	if (hint)
		fprintf(c->err, "%s\n", hint);
	return code;
}

static void pause_over(void *arg)
{
	loop_stop(arg);
}

void cli_pause(struct cli *c, uint64_t ms)
{
	struct loop_timer *t = loop_timer_new(c->loop, pause_over, c->loop);
	if (!t)
		return;
	loop_timer_set(t, ms);
	loop_run(c->loop);
	loop_timer_free(t);
}

void cli_warn_secret(struct cli *c, const char *path)
{
	const char *flaw = file_open_to_all(path, true);
	if (flaw)
		fprintf(c->err, "# warning: %s %s\n", path, flaw);
}

static int usage(struct cli *c, const char *verb, const char *message)
{
	char hint[80];
	snprintf(hint, sizeof(hint), "ropewalk %s%s--help says how it is used.", verb, *verb ? " " : "");
	return cli_fail(c, CLI_USAGE, "usage", hint, "%s%s%s", verb, *verb ? ": " : "", message);
}

static int unknown_verb(struct cli *c, const char *word)
{
	const char *names[VERBS_MAX + 1] = { NULL }, *instead = not_here(word);
	if (instead)
		return cli_fail(
			c, CLI_FAILED, "not-here", NULL, "ropewalk has no verb %s: %s", word, instead);
	for (size_t i = 0; i < VERBS_MAX && cli_verbs[i]; i++)
		names[i] = cli_verbs[i]->man.name;
	const char *near = text_nearest(word, names);
	char message[160];
	snprintf(message, sizeof(message),
		near ? "unknown verb \"%.60s\"; did you mean %s?" : "unknown verb \"%.60s\"", word, near);
	return usage(c, "", message);
}

/* Of the options of a line that are not v's, the first that other command lines have; with the sentence. NULL: none. */
static const char *option_not_here(const struct cli_verb *v, int argc, char **argv, char name[static 32])
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *a = argv[i] + strspn(argv[i], "-");
		size_t n = strcspn(a, "=");
		if (a == argv[i] || n >= 32)
			continue;
		snprintf(name, 32, "%.*s", (int)n, a);
		const char *instead = not_here_option(v->man.name, name);
		if (instead)
			return instead;
	}
	return NULL;
}

/* What opt_parse has said. */
static int wrong_options(struct cli *c, const struct cli_verb *v, int argc, char **argv, const char *why)
{
	char name[32];
	const char *instead = option_not_here(v, argc, argv, name);
	if (instead)
		return cli_fail(c, CLI_FAILED, "not-here", NULL, "ropewalk %s has no --%s: %s", v->man.name,
			name, instead);
	return usage(c, v->man.name, why);
}

/* More words than the verb has, or fewer. */
static int wrong_words(struct cli *c, const struct cli_verb *v, const char *const *words, int n)
{
	char message[256];
	if (n < v->min_words)
		snprintf(message, sizeof(message), "%s is missing", v->man.words);
	else
		snprintf(message, sizeof(message), "\"%.64s\" is one word too many", words[v->max_words]);
	return usage(c, v->man.name, message);
}

static void take_common(struct cli *c, const struct cli_common *o)
{
	if (o->socket)
		c->socket = o->socket;
	c->json |= o->json;
}

static int run_verb(struct cli *c, const struct cli_verb *v, int argc, char **argv)
{
	struct errbuf eb = { 0 };
	int n = 0, code;
	void *options = calloc(1, v->options_size);
	const char **words = calloc((size_t)argc + 1, sizeof(*words));
	if (!options || !words) {
		code = cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
		goto done;
	}
	if (v->defaults)
		memcpy(options, v->defaults, v->options_size);
	int err = opt_parse(v->man.options, argc, argv, false, options, words, &n, &eb);
	const struct cli_common *common = options;
	take_common(c, common);
	if (common->help) {
		man_help_verb(&cli_program, &v->man, c->out);
		code = CLI_OK;
	} else if (err) {
		c->json |= opt_flag_given("json", argc, argv);
		code = wrong_options(c, v, argc, argv, eb.text);
	} else if (n < v->min_words || n > v->max_words) {
		code = wrong_words(c, v, words, n);
	} else {
		code = v->run(c, options, words, n);
	}
done:
	free(words);
	free(options);
	return code;
}

int cli_run(struct cli *c, int argc, char **argv)
{
	struct global_options o = { 0 };
	struct errbuf eb = { 0 };
	const char **words = calloc((size_t)argc + 1, sizeof(*words));
	if (!words)
		return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	int n = 0, code, err = opt_parse(global_rows, argc, argv, true, &o, words, &n, &eb);
	take_common(c, &o.common);
	const struct cli_verb *v = n ? cli_verb_find(words[0]) : NULL;
	if (err) {
		c->json |= opt_flag_given("json", argc, argv);
		code = usage(c, "", eb.text);
	} else if (o.version) {
		fprintf(c->out, "%s\n", RW_VERSION);
		code = CLI_OK;
	} else if (o.common.help) {
		man_help(&cli_program, c->out);
		code = CLI_OK;
	} else if (!n) {
		man_help(&cli_program, c->err);
		code = CLI_USAGE;
	} else if (!v) {
		c->json |= opt_flag_given("json", argc, argv);
		code = unknown_verb(c, words[0]);
	} else {
		/* The verb and what follows it are the last n arguments. */
		code = run_verb(c, v, n, argv + argc - n);
	}
	free(words);
	return code;
}
