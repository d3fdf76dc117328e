/* A file for whoever is asked for help: what ropewalkd says of itself, without keys and people. Nothing is sent. */
#include "mesh/cli/api.h"
#include "mesh/cli/redact.h"
#include "mesh/cli/verbs.h"
#include "mesh/os/file.h"
#include <string.h>
#include <sys/utsname.h>

struct options {
	struct cli_common common;
	const char *output;
};
static const struct opt_row rows[] = {
	{ "output", "o", OPT_STRING, offsetof(struct options, output), "FILE",
		"where to write it (ropewalk-bugreport.txt)" },
	CLI_ROWS_COMMON(struct options),
};

static bool add_machine(struct buf *out)
{
	struct utsname u;
	return uname(&u) == 0 &&
	       buf_printf(out, "ropewalk %s\n%s %s %s\n", RW_VERSION, u.sysname, u.release, u.machine);
}

enum { ASKED_STOPPED = 2 }; /* of the paths below: those that a node that is down answers */

/* An answer that is not to be had is said to be missing. */
static bool add_answer(struct cli *c, const char *path, struct buf *out)
{
	char target[API_TARGET_MAX];
	struct buf b = { 0 };
	snprintf(target, sizeof(target), "/localapi/v0/%s", path);
	struct api_request r = { .method = "GET", .target = target, .timeout_ms = 20000, .missing_ok = true };
	int code = api_call(c, &r, &b, NULL);
	bool ok = buf_printf(out, "\n=== %s ===\n", path) &&
		  (code == CLI_OK ? redact((const char *)buf_data(&b), b.len, out)
				  : buf_printf(out, "no answer")) &&
		  buf_printf(out, "\n");
	buf_free(&b);
	return ok;
}

static int bugreport_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)words;
	(void)n;
	static const char *const paths[] = { "status", "prefs", "netcheck", "dns-config", "dns-osconfig",
		"usermetrics" };
	const struct options *o = options;
	const char *path = o->output ? o->output : "ropewalk-bugreport.txt";
	struct arena a = { 0 };
	struct api_status s;
	struct buf b = { 0 };
	struct errbuf eb;
	int code = api_status(c, &a, &s);
	bool running = code == CLI_OK && strcmp(s.backend_state, "Running") == 0;
	arena_free(&a);
	if (code != CLI_OK)
		return code;
	bool ok = add_machine(&b);
	for (size_t i = 0; ok && i < ARRAY_LEN(paths); i++)
		if (running || i < ASKED_STOPPED)
			ok = add_answer(c, paths[i], &b);
	if (!ok)
		code = cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	else if (file_write_atomic(path, 0600, buf_data(&b), b.len, &eb) != 0)
		code = cli_fail(c, CLI_FAILED, "file", "--output FILE names another place.", "%s", eb.text);
	else if (c->json)
		fprintf(c->out, "{\"file\":\"%s\"}\n", path);
	else
		fprintf(c->out,
			"%s holds what ropewalkd says of itself, without keys and people; addresses are in "
			"it. "
			"Nothing was sent.\n",
			path);
	buf_free(&b);
	return code;
}

const struct cli_verb verb_bugreport = {
	.man = { "bugreport", "", "write a file for whoever helps",
		"Status, preferences, what the network allows, DNS and counters, with keys cut short and "
		"people's names "
		"taken out. Addresses of machines stay in it, for they are what most reports are about. It "
		"is written here "
		"and sent nowhere.",
		rows },
	.options_size = sizeof(struct options),
	.run = bugreport_run,
};
