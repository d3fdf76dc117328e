/* What the daemon says, as it says it, and does when it is asked to; networks of 4via6. */
#include "mesh/base/via6.h"
#include "mesh/cli/api.h"
#include "mesh/cli/debug_capture.h"
#include "mesh/cli/verbs.h"
#include <inttypes.h>
#include <string.h>

struct options {
	struct cli_common common;
	uint64_t count;
	const char *file;
	bool raw;
};
static const struct opt_row rows[] = {
	{ "count", NULL, OPT_U64, offsetof(struct options, count), "N",
		"watch-ipn, capture: end after so many (default 0: never)" },
	{ "o", NULL, OPT_STRING, offsetof(struct options, file), "FILE",
		"capture: where packets go; - is standard output" },
	{ "raw", NULL, OPT_BOOL, offsetof(struct options, raw), NULL,
		"capture: bare packets, which every program reads that reads pcap" },
	CLI_ROWS_COMMON(struct options),
};

/* --- via --- */

static int usage(struct cli *c, const char *why)
{
	return cli_fail(c, CLI_USAGE, "usage",
		"ropewalk debug via SITE NETWORK, or ropewalk debug via NETWORK6", "debug via: %s", why);
}

static int print_via(struct cli *c, uint32_t site, const struct prefix *v4, const struct prefix *v6, bool to6)
{
	char four[PREFIX_TEXT], six[PREFIX_TEXT];
	prefix_format(v4, four);
	prefix_format(v6, six);
	if (c->json)
		fprintf(c->out, "{\"site\":%" PRIu32 ",\"ipv4\":\"%s\",\"ipv6\":\"%s\"}\n", site, four, six);
	else if (to6)
		fprintf(c->out, "%s\n", six);
	else
		fprintf(c->out, "site %" PRIu32 " (0x%" PRIx32 "), %s\n", site, site, four);
	return CLI_OK;
}

/* An address is a network of one. */
static bool read_network(const char *text, struct prefix *out)
{
	if (addr_parse(text, &out->ip))
		out->bits = addr_is_v4(&out->ip) ? 32 : 128;
	else if (!prefix_parse(text, out))
		return false;
	prefix_mask(out);
	return true;
}

static int debug_via(struct cli *c, const struct options *o, const char *const *words, int n)
{
	struct prefix v4, v6;
	uint32_t site;
	(void)o;
	if (n == 2)
		return read_network(words[1], &v6) && via6_extract(&v6, &site, &v4)
			       ? print_via(c, site, &v4, &v6, false)
			       : usage(c, "that is no network of 4via6 (fd7a:115c:a1e0:b1a:0:SITE:...)");
	if (n != 3 || !via6_site_parse(words[1], strlen(words[1]), &site))
		return usage(c, "a site is a number from 0 to 65535, in decimal or as 0x7");
	if (!read_network(words[2], &v4) || !via6_embed(site, &v4, &v6))
		return usage(c, "the network is one of IPv4, such as 192.168.1.0/24");
	return print_via(c, site, &v4, &v6, true);
}

/* --- what LocalAPI answers --- */

static int print_asked(struct cli *c, const char *method, const char *target)
{
	struct api_request r = { .method = method, .target = target };
	json_t *v;
	int code = api_call_json(c, &r, &v);
	if (code != CLI_OK)
		return code;
	json_dumpf(v, c->out, c->json ? JSON_COMPACT : JSON_INDENT(2));
	fputc('\n', c->out);
	json_decref(v);
	return CLI_OK;
}

static int print_json(struct cli *c, const char *target)
{
	return print_asked(c, "GET", target);
}

static int debug_prefs(struct cli *c, const struct options *o, const char *const *words, int n)
{
	(void)o, (void)words, (void)n;
	return print_json(c, "/localapi/v0/prefs");
}

/* Members of the map that the node has; what NULL: all of it. */
static int print_map(struct cli *c, const char *of, const char *member)
{
	struct api_request r = { .method = "POST", .target = "/localapi/v0/debug?action=current-netmap" };
	json_t *v;
	int code = api_call_json(c, &r, &v);
	if (code != CLI_OK)
		return code;
	json_dumpf(member ? json_object_get(json_object_get(v, of), member) : v, c->out,
		(c->json ? JSON_COMPACT : JSON_INDENT(2)) | JSON_ENCODE_ANY);
	fputc('\n', c->out);
	json_decref(v);
	return CLI_OK;
}

static int debug_netmap(struct cli *c, const struct options *o, const char *const *words, int n)
{
	(void)o, (void)words, (void)n;
	return print_map(c, NULL, NULL);
}

/* As the server has it, which is what matters. */
static int debug_hostinfo(struct cli *c, const struct options *o, const char *const *words, int n)
{
	(void)o, (void)words, (void)n;
	return print_map(c, "SelfNode", "Hostinfo");
}

/* The words are those of the actions. */
static int debug_action(struct cli *c, const struct options *o, const char *const *words, int n)
{
	char target[API_TARGET_MAX] = "/localapi/v0/debug";
	struct buf answer = { 0 };
	(void)o, (void)n;
	api_target_add(target, "action", words[0]);
	struct api_request r = { .method = "POST", .target = target };
	int code = api_call(c, &r, &answer, NULL);
	if (code == CLI_OK && c->json)
		fputs("{\"done\":true}\n", c->out);
	buf_free(&answer);
	return code;
}

static int debug_statedir(struct cli *c, const struct options *o, const char *const *words, int n)
{
	struct api_request r = { .method = "POST", .target = "/localapi/v0/debug?action=statedir" };
	struct buf b = { 0 };
	(void)o, (void)words, (void)n;
	int code = api_call(c, &r, &b, NULL);
	json_t *v =
		code == CLI_OK ? json_loadb((const char *)buf_data(&b), b.len, JSON_DECODE_ANY, NULL) : NULL;
	if (code == CLI_OK && c->json)
		fprintf(c->out, "%.*s\n", (int)b.len, (const char *)buf_data(&b));
	else if (v && json_string_value(v))
		fprintf(c->out, "%s\n", json_string_value(v));
	json_decref(v);
	buf_free(&b);
	return code;
}

static int debug_capture(struct cli *c, const struct options *o, const char *const *words, int n)
{
	(void)words, (void)n;
	return capture_run(c, &(struct capture_options) { o->file, o->raw, o->count });
}

static int debug_derp_map(struct cli *c, const struct options *o, const char *const *words, int n)
{
	(void)o, (void)words, (void)n;
	return print_json(c, "/localapi/v0/derpmap");
}

static int debug_derp(struct cli *c, const struct options *o, const char *const *words, int n)
{
	char target[API_TARGET_MAX] = "/localapi/v0/debug-derp-region";
	(void)o;
	if (n < 2)
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk debug derp-map names the regions.",
			"debug derp: which region, by its number or code");
	api_target_add(target, "region", words[1]);
	return print_asked(c, "POST", target);
}

/* What the official command asks is an address, too. */
static int debug_ways(struct cli *c, const struct options *o, const char *const *words, int n)
{
	char target[API_TARGET_MAX] = "/localapi/v0/debug-peer-endpoint-changes", text[ADDR_TEXT];
	struct arena a = { 0 };
	struct api_status s;
	struct addr ip;
	(void)o;
	if (n < 2)
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk status lists the machines.",
			"debug peer-endpoint-changes: of which machine");
	int code = api_status(c, &a, &s);
	const struct api_peer *peer = code == CLI_OK ? api_peer_find(&s, words[1], &ip) : NULL;
	if (code == CLI_OK && (!peer || peer == &s.self)) {
		code = cli_fail(c, CLI_FAILED, "no-peer", "ropewalk status lists the machines.",
			"no other machine \"%s\" in the network", words[1]);
	} else if (code == CLI_OK) {
		api_target_add(target, "ip", addr_format(&ip, text));
		code = print_asked(c, "GET", target);
	}
	arena_free(&a);
	return code;
}

static int print_body(struct cli *c, const struct api_request *r)
{
	struct buf b = { 0 };
	int code = api_call(c, r, &b, NULL);
	if (code == CLI_OK && b.len) {
		fwrite(buf_data(&b), 1, b.len, c->out);
		if (buf_data(&b)[b.len - 1] != '\n')
			fputc('\n', c->out);
	}
	buf_free(&b);
	return code;
}

static int debug_metrics(struct cli *c, const struct options *o, const char *const *words, int n)
{
	(void)o, (void)words, (void)n;
	return print_body(c, &(struct api_request) { .method = "GET", .target = "/localapi/v0/usermetrics" });
}

/* Neither ends the line of the request in which it is. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
			return false;
	return true;
}

/* [METHOD] PATH [BODY]: a method is of capitals, as no path is. */
static int debug_localapi(struct cli *c, const struct options *o, const char *const *words, int n)
{
	static const char prefix[] = "/localapi/v0/";
	char target[API_TARGET_MAX];
	struct buf body = { 0 };
	int at = 1;
	(void)o;
	bool method =
		n > 1 && *words[1] && strspn(words[1], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(words[1]);
	struct api_request r = { .method = method ? words[at++] : "GET", .target = target };
	if (n <= at || n > at + 2 || !is_plain(words[at]) || strlen(words[at]) > 512)
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk debug localapi [METHOD] PATH [BODY]",
			"debug localapi: a path is needed, such as status");
	snprintf(target, sizeof(target), "%s%s", *words[at] == '/' ? "" : prefix, words[at]);
	if (n == at + 2) {
		if (!buf_append(&body, words[at + 1], strlen(words[at + 1])))
			return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
		r.body = &body;
	}
	int code = print_body(c, &r);
	buf_free(&body);
	return code;
}

/* --- the bus --- */

struct watched {
	struct cli *c;
	uint64_t left; /* 0: without end */
	bool over;
	int code;
};

static void watched_end(struct watched *w, int code)
{
	if (w->over)
		return;
	w->over = true;
	w->code = code;
	loop_stop(w->c->loop);
}

static void watched_line(void *arg, const char *json, size_t len)
{
	struct watched *w = arg;
	if (w->over)
		return;
	fprintf(w->c->out, "%.*s\n", (int)len, json);
	fflush(w->c->out);
	if (w->left && --w->left == 0)
		watched_end(w, CLI_OK);
}

static void watched_ended(void *arg, int code)
{
	watched_end(arg, code);
}

static int debug_watch(struct cli *c, const struct options *o, const char *const *words, int n)
{
	struct watched w = { .c = c, .left = o->count };
	(void)words, (void)n;
	struct api_watch *bus = api_watch_open(
		c, &(struct api_watch_events) { .line = watched_line, .ended = watched_ended, .arg = &w });
	if (!bus)
		return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	if (!w.over)
		loop_run(c->loop);
	api_watch_close(bus);
	return w.code;
}

/* --- which --- */

static const struct {
	const char *name;
	int max_words; /* its own too */
	int (*run)(struct cli *c, const struct options *o, const char *const *words, int n);
} shown[] = {
	{ "via", 3, debug_via },
	{ "prefs", 1, debug_prefs },
	{ "netmap", 1, debug_netmap },
	{ "hostinfo", 1, debug_hostinfo },
	{ "capture", 1, debug_capture },
	{ "restun", 1, debug_action },
	{ "rebind", 1, debug_action },
	{ "break-derp-conns", 1, debug_action },
	{ "statedir", 1, debug_statedir },
	{ "derp-map", 1, debug_derp_map },
	{ "derp", 2, debug_derp },
	{ "peer-endpoint-changes", 2, debug_ways },
	{ "metrics", 1, debug_metrics },
	{ "watch-ipn", 1, debug_watch },
	{ "localapi", 4, debug_localapi },
};

static const struct {
	const char *name, *instead;
} elsewhere[] = {
	{ "portmap", "ropewalk netcheck says which port the router maps, and how it was asked" },
	{ "ts2021", "ropewalk doctor says whether the control server is reached, and why not" },
	{ "set-expire", "the server ends keys: ropewalk-control nodes expire" },
	{ "env", "`env` itself shows the environment" },
	{ "stat", "`stat` itself shows files" },
	{ "resolve", "getent hosts NAME asks as programs do, ropewalk dns query NAME the node's resolver" },
	{ "dial-types", "ropewalk ping --tsmp, --icmp and --peerapi tell how far a connection comes" },
	{ "local-creds", "the socket is all: curl --unix-socket /run/ropewalk/ropewalkd.sock "
			 "http://local-tailscaled.sock/localapi/v0/status" },
	{ "daemon-logs", "journalctl -f -u ropewalkd" },
	{ "component-logs", "journalctl -u ropewalkd has what there is to say" },
	{ "daemon-goroutines", "ropewalkd is one loop; gdb -p shows where it is" },
	{ "pick-new-derp", "the nearest relay is chosen; ropewalk debug restun measures anew" },
	{ "force-prefer-derp", "the nearest relay is chosen; the server's relay file may leave others out" },
	{ "rotate-disco-key", "systemctl restart ropewalkd makes a new one" },
	{ "force-netmap-update", "systemctl restart ropewalkd asks for the whole map" },
	{ "reload-config", "systemctl reload ropewalkd" },
	{ "control-knobs", "ropewalk status --json has what the network allows this machine, as CapMap" },
	{ "peer-relay-servers", "relays are those of ropewalk debug derp-map" },
};

static int debug_run(struct cli *c, const void *options, const char *const *words, int n)
{
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		if (strcmp(shown[i].name, words[0]) == 0)
			return n <= shown[i].max_words
				       ? shown[i].run(c, options, words, n)
				       : cli_fail(c, CLI_USAGE, "usage", "ropewalk debug --help says more.",
						 "debug %s: too many words", words[0]);
	for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
		if (strcmp(elsewhere[i].name, words[0]) == 0)
			return cli_fail(c, CLI_FAILED, "not-here", NULL, "ropewalk debug has no %s: %s",
				words[0], elsewhere[i].instead);
	return cli_fail(c, CLI_USAGE, "usage",
		"ropewalk status --json has the counters, ropewalk doctor looks for what is wrong.",
		"debug: \"%s\" is not here; ropewalk debug --help names what is", words[0]);
}

const struct cli_verb verb_debug = {
	.man = { "debug",
		"via SITE NET | prefs | netmap | hostinfo | derp-map | derp REGION | peer-endpoint-changes "
		"MACHINE | "
		"metrics | watch-ipn | localapi PATH | capture -o FILE | restun | rebind | break-derp-conns "
		"| "
		"statedir",
		"say what ropewalkd says, word by word, and what goes through it",
		"Sites whose networks have the same addresses are told apart by a number for each: the "
		"router of site 7 offers what debug via 7 192.168.1.0/24 says, and 192-168-1-9-via-7, below "
		"the network's domain, is a host of it. With an IPv6 network alone, what it stands for."
		"\n\nprefs, netmap, derp-map and metrics print preferences, the server's map, relays and "
		"counters, "
		"hostinfo what the server knows of this machine, statedir where its keys are; watch-ipn what "
		"happens, "
		"each event a line of JSON; localapi [METHOD] PATH [BODY] what another path of LocalAPI "
		"answers, "
		"such as status, or PATCH prefs BODY.\n\nderp says what this machine knows of one relay "
		"region; "
		"peer-endpoint-changes how the way to a machine has changed, as far as it is remembered."
		"\n\ncapture writes packets inside the tunnel in pcap's "
		"format, "
		"before the access rules have their say, until it is interrupted. Before each are four bytes "
		"that "
		"say whether this machine sent it (0), a peer (1), or the node itself, to this machine (2) "
		"or a "
		"peer (3); in Wireshark: link type USER0, header size 4, payload ip. With --raw they are "
		"left "
		"out.\n\nrestun measures the network anew, rebind does so as if the machine's links had "
		"changed, "
		"break-derp-conns has connections to relays begin anew.",
		rows },
	.options_size = sizeof(struct options),
	.min_words = 1,
	.max_words = 4,
	.run = debug_run,
};
