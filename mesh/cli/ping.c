#include "mesh/cli/api.h"
#include "mesh/cli/status.h"
#include "mesh/cli/verbs.h"
#include <inttypes.h>
#include <string.h>

struct options {
	struct cli_common common;
	uint64_t count, timeout_ms;
	bool until_direct;
};
static const struct options defaults = { .count = 10, .timeout_ms = 5000, .until_direct = true };
static const struct opt_row rows[] = {
	{ "c", NULL, OPT_U64, offsetof(struct options, count), "N",
		"pings at most (default 10; 0 = without end)" },
	{ "until-direct", NULL, OPT_BOOL, offsetof(struct options, until_direct), NULL,
		"stop once a direct path answers (default true)" },
	{ "timeout", NULL, OPT_DURATION_MS, offsetof(struct options, timeout_ms), "TIME",
		"wait this long for each (default 5s)" },
	CLI_ROWS_COMMON(struct options),
};
enum { INTERVAL_MS = 1000, SLACK_MS = 2000 };

struct ping {
	struct cli *c;
	const struct options *o;
	const char *name;
	char ip[ADDR_TEXT], target[API_TARGET_MAX];
	bool any, direct;
};

static void ping_print(struct ping *p, const struct api_ping_result *r)
{
	int n = (int)strcspn(r->node_name, ".");
	fprintf(p->c->out, "pong from %.*s (%s) via ", n ? n : (int)strlen(p->name),
		n ? r->node_name : p->name, p->ip);
	if (*r->endpoint)
		fprintf(p->c->out, "%s", r->endpoint);
	else
		fprintf(p->c->out, "DERP(%s)", r->derp_code);
	fprintf(p->c->out, " in %.0fms\n", r->latency_s * 1000 < 1 ? 1.0 : r->latency_s * 1000);
}

/* One ping, answered, timed out or impossible. Not CLI_OK: there is no use in another. */
static int ping_once(struct ping *p)
{
	struct api_request r = {
		.method = "POST", .target = p->target, .timeout_ms = p->o->timeout_ms + SLACK_MS
	};
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct api_ping_result result;
	int code = api_call(p->c, &r, &b, NULL);
	if (code == CLI_OK && api_ping_read(&a, (const char *)buf_data(&b), b.len, &result, &eb) != 0) {
		code = cli_fail(p->c, CLI_FAILED, "malformed", NULL, "ropewalkd's answer cannot be read: %s",
			eb.text);
	} else if (code == CLI_OK) {
		if (p->c->json)
			fprintf(p->c->out, "%s\n", buf_cstr(&b));
		else if (*result.err)
			fprintf(p->c->out, "ping \"%s\" timed out: %s\n", p->name, result.err);
		else
			ping_print(p, &result);
		p->any |= !*result.err;
		p->direct |= !*result.err && *result.endpoint;
	}
	fflush(p->c->out);
	buf_free(&b);
	arena_free(&a);
	return code;
}

static void interval_over(void *arg)
{
	loop_stop(arg);
}

static void pause_between(struct cli *c)
{
	struct loop_timer *t = loop_timer_new(c->loop, interval_over, c->loop);
	if (!t)
		return;
	loop_timer_set(t, INTERVAL_MS);
	loop_run(c->loop);
	loop_timer_free(t);
}

static int verdict(const struct ping *p)
{
	if (!p->any)
		return cli_fail(p->c, CLI_FAILED, "no-reply",
			"ropewalk status says whether it is online; ropewalk netcheck, what works here.",
			"no reply from %s", p->name);
	if (p->o->until_direct && !p->direct)
		return cli_fail(p->c, CLI_FAILED, "not-direct",
			"ropewalk status gives the reason; the relay works meanwhile.",
			"direct connection not established");
	return CLI_OK;
}

static int ping_find(struct ping *p)
{
	struct arena a = { 0 };
	struct api_status s;
	struct addr ip;
	int code = api_status(p->c, &a, &s);
	const char *sentence = code == CLI_OK ? status_sentence(&s) : NULL;
	if (sentence) {
		code = cli_fail(p->c, CLI_FAILED, "not-up", "ropewalk up joins the network.", "%s", sentence);
	} else if (code == CLI_OK) {
		const struct api_peer *peer = api_peer_find(&s, p->name, &ip);
		if (!peer)
			code = cli_fail(p->c, CLI_FAILED, "no-peer", "ropewalk status lists the machines.",
				"no machine \"%s\" in the network", p->name);
		else if (peer == &s.self)
			code = cli_fail(p->c, CLI_FAILED, "self", NULL, "%s is this machine", p->name);
		else
			addr_format(&ip, p->ip);
	}
	arena_free(&a);
	return code;
}

static int ping_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)n;
	struct ping p = { .c = c, .o = options, .name = words[0], .target = "/localapi/v0/ping" };
	int code = ping_find(&p);
	if (code != CLI_OK)
		return code;
	api_target_add(p.target, "ip", p.ip);
	api_target_add(p.target, "type", "disco");
	for (uint64_t i = 0; code == CLI_OK && (!p.o->count || i < p.o->count); i++) {
		if (i)
			pause_between(c);
		code = ping_once(&p);
		if (p.direct && p.o->until_direct)
			break;
	}
	return code == CLI_OK ? verdict(&p) : code;
}

const struct cli_verb verb_ping = {
	.man = { "ping", "NAME|IP", "ask a machine to answer, and say by which path it did",
		"The first answer usually comes over a relay; asking on finds the direct path. Exit status 1 "
		"when nobody answers, or when "
		"no answer was direct (not with --until-direct=false).",
		rows },
	.options_size = sizeof(struct options),
	.defaults = &defaults,
	.min_words = 1,
	.max_words = 1,
	.run = ping_run,
};
