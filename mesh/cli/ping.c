#include "mesh/cli/api.h"
#include "mesh/cli/status.h"
#include "mesh/cli/verbs.h"
#include <inttypes.h>
#include <string.h>

struct options {
	struct cli_common common;
	uint64_t count, timeout_ms, size;
	bool until_direct, tsmp, icmp, peer_api, verbose;
};
static const struct options defaults = { .count = 10, .timeout_ms = 5000, .until_direct = true };
static const struct opt_row rows[] = {
	{ "c", NULL, OPT_U64, offsetof(struct options, count), "N",
		"pings at most (default 10; 0 = without end)" },
	{ "until-direct", NULL, OPT_BOOL, offsetof(struct options, until_direct), NULL,
		"stop once a direct path answers (default true)" },
	{ "timeout", NULL, OPT_DURATION_MS, offsetof(struct options, timeout_ms), "TIME",
		"wait this long for each (default 5s)" },
	{ "size", NULL, OPT_U64, offsetof(struct options, size), "BYTES",
		"of the pings: the payload of their UDP datagrams (default 0, the least, 124; at most "
		"1472)" },
	{ "tsmp", NULL, OPT_BOOL, offsetof(struct options, tsmp), NULL,
		"ask inside the tunnel, the peer's node: no rule of the network forbids that" },
	{ "icmp", NULL, OPT_BOOL, offsetof(struct options, icmp), NULL,
		"ask inside the tunnel, the peer's machine: as the ping program" },
	{ "peerapi", NULL, OPT_BOOL, offsetof(struct options, peer_api), NULL,
		"ask the peer's PeerAPI, which is HTTP over TCP" },
	{ "verbose", NULL, OPT_BOOL, offsetof(struct options, verbose), NULL,
		"nothing more: all that is known of an answer is printed" },
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

static const char *kind_of(const struct options *o)
{
	return o->tsmp ? "TSMP" : o->icmp ? "ICMP" : o->peer_api ? "peerapi" : "disco";
}

/* By which way only a ping by disco knows. */
static bool asks_for_way(const struct options *o)
{
	return !o->tsmp && !o->icmp && !o->peer_api;
}

static void ping_print(struct ping *p, const struct api_ping_result *r)
{
	int n = (int)strcspn(r->node_name, ".");
	const char *name = n ? r->node_name : p->name;
	n = n ? n : (int)strlen(p->name);
	if (p->o->peer_api)
		fprintf(p->c->out, "hit peerapi of %s (%.*s) at %s", p->ip, n, name, r->peer_api_url);
	else
		fprintf(p->c->out, "pong from %.*s (%s", n, name, p->ip);
	if (r->peer_api_port)
		fprintf(p->c->out, ", %u", (unsigned)r->peer_api_port);
	if (*r->endpoint)
		fprintf(p->c->out, ") via %s", r->endpoint);
	else if (*r->derp_code)
		fprintf(p->c->out, ") via DERP(%s)", r->derp_code);
	else if (!p->o->peer_api)
		fprintf(p->c->out, ") via %s", kind_of(p->o));
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

static int verdict(const struct ping *p)
{
	if (!p->any)
		return cli_fail(p->c, CLI_FAILED, "no-reply",
			"ropewalk status says whether it is online; ropewalk netcheck, what works here.",
			"no reply from %s", p->name);
	if (p->o->until_direct && asks_for_way(p->o) && !p->direct)
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
	char size[24];
	if (p.o->tsmp + p.o->icmp + p.o->peer_api > 1)
		return cli_fail(c, CLI_USAGE, "usage", "One of them at a time.",
			"--tsmp, --icmp and --peerapi ask by different ways");
	int code = ping_find(&p);
	if (code != CLI_OK)
		return code;
	api_target_add(p.target, "ip", p.ip);
	api_target_add(p.target, "type", kind_of(p.o));
	if (p.o->size) {
		snprintf(size, sizeof(size), "%" PRIu64, p.o->size);
		api_target_add(p.target, "size", size);
	}
	for (uint64_t i = 0; code == CLI_OK && (!p.o->count || i < p.o->count); i++) {
		if (i)
			cli_pause(c, INTERVAL_MS);
		code = ping_once(&p);
		/* The others say no way: one answer is all there is to know. */
		if (asks_for_way(p.o) ? p.direct && p.o->until_direct : p.any)
			break;
	}
	return code == CLI_OK ? verdict(&p) : code;
}

const struct cli_verb verb_ping = {
	.man = { "ping", "NAME|IP", "ask a machine to answer, and say by which path it did",
		"The first answer usually comes over a relay; asking on finds the direct path. Exit status 1 "
		"when nobody answers, or when "
		"no answer was direct (not with --until-direct=false). With --size, whether the path carries "
		"so "
		"large a datagram: without an answer it does not, or nobody is there, which a ping without "
		"it says.",
		rows },
	.options_size = sizeof(struct options),
	.defaults = &defaults,
	.min_words = 1,
	.max_words = 1,
	.run = ping_run,
};
