#include "mesh/cli/status.h"
#include "mesh/cli/api.h"
#include "mesh/cli/explain.h"
#include "mesh/cli/verbs.h"
#include <string.h>

struct options {
	struct cli_common common;
	bool active, self, peers, header;
	const char *explain;
};
static const struct options defaults = { .self = true, .peers = true };
static const struct opt_row rows[] = {
	{ "active", NULL, OPT_BOOL, offsetof(struct options, active), NULL, "only peers with traffic now" },
	{ "self", NULL, OPT_BOOL, offsetof(struct options, self), NULL, "this machine too (default true)" },
	{ "peers", NULL, OPT_BOOL, offsetof(struct options, peers), NULL, "the peers (default true)" },
	{ "header", NULL, OPT_BOOL, offsetof(struct options, header), NULL, "say what each column is" },
	{ "explain", NULL, OPT_STRING, offsetof(struct options, explain), "NAME|IP",
		"how that machine is reached, why, and what would make it direct" },
	CLI_ROWS_COMMON(struct options),
};

static int print_text(struct cli *c, const struct api_status *s, const struct options *o)
{
	struct status_view v = { .self = o->self,
		.peers = o->peers,
		.active_only = o->active,
		.header = o->header,
		.now_ms = clock_unix_ms() };
	const char *sentence = status_sentence(s);
	if (!sentence)
		return status_print(s, &v, c->out) ? CLI_OK
						   : cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	fprintf(c->out, "%s\n", sentence);
	if (*s->auth_url)
		fprintf(c->out, "Log in at: %s\n", s->auth_url);
	else if (strcmp(s->backend_state, "NeedsLogin") == 0 && !s->self.expired)
		fputs("To log in: ropewalk join LINE, of an invitation, or ropewalk up --login-server URL\n",
			c->out);
	for (size_t i = 0; i < s->n_health; i++)
		if (strcmp(s->health[i], sentence) != 0)
			fprintf(c->out, "# %s\n", s->health[i]);
	return CLI_FAILED;
}

static int status_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)words;
	(void)n;
	const struct options *o = options;
	if (o->explain)
		return explain_run(c, o->explain);
	struct api_request r = { .method = "GET",
		.target = o->peers ? "/localapi/v0/status" : "/localapi/v0/status?peers=false" };
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct api_status s;
	int code = api_call(c, &r, &b, NULL);
	if (code != CLI_OK)
		return code;
	if (api_status_read(&a, (const char *)buf_data(&b), b.len, &s, &eb) != 0)
		code = cli_fail(
			c, CLI_FAILED, "malformed", NULL, "ropewalkd's status cannot be read: %s", eb.text);
	else if (c->json)
		fprintf(c->out, "%s\n", buf_cstr(&b));
	else
		code = print_text(c, &s, o);
	buf_free(&b);
	arena_free(&a);
	return code;
}

const struct cli_verb verb_status = {
	.man = { "status", "", "list the machines of the network and how they are reached",
		"Each line: address, name, owner, system, and the path: idle, offline, \"active; direct "
		"IP:PORT\", or \"active; relay "
		"CODE\" with the reason why it is not direct. With --json the exit status is 0 in every "
		"state; without, 1 unless the "
		"network is up.",
		rows },
	.options_size = sizeof(struct options),
	.defaults = &defaults,
	.run = status_run,
};
