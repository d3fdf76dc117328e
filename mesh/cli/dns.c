#include "mesh/cli/api.h"
#include "mesh/cli/dns_blocked.h"
#include "mesh/cli/dns_log.h"
#include "mesh/cli/verbs.h"
#include "mesh/proto/json.h"
#include "resolver/present.h"
#include "resolver/report_text.h"
#include <string.h>

struct options {
	struct cli_common common;
	bool below, follow, all;
	const char *client;
};
static const struct opt_row rows[] = { { "below", NULL, OPT_BOOL, offsetof(struct options, below), NULL,
					       "flush: the names under NAME as well" },
	{ "follow", "f", OPT_BOOL, offsetof(struct options, follow), NULL, "log: go on as questions come" },
	{ "client", NULL, OPT_STRING, offsetof(struct options, client), "MACHINE",
		"blocked: for that machine, by name or address, not for this one" },
	{ "all", NULL, OPT_BOOL, offsetof(struct options, all), NULL, "status: nothing more: all is shown" },
	CLI_ROWS_COMMON(struct options) };

/* --- status --- */

static void print_strings(FILE *to, const char *title, const struct ctl_strings *l)
{
	fprintf(to, "%s:", title);
	for (size_t i = 0; i < l->n; i++)
		fprintf(to, " %s", l->v[i]);
	fputs(l->n ? "\n" : " none\n", to);
}

static void print_resolvers(
	FILE *to, const char *title, const struct ctl_resolver *r, size_t n, const char *none)
{
	fprintf(to, "%s:", title);
	for (size_t i = 0; i < n; i++)
		fprintf(to, " %s", r[i].addr);
	fprintf(to, "%s\n", n ? "" : none);
}

static void print_mesh(FILE *to, const struct ctl_dns *d)
{
	print_resolvers(to, "Nameservers of the network", d->resolvers, d->n_resolvers,
		" none (this machine's own are used)");
	if (d->n_fallback)
		print_resolvers(to, "Used when this machine has none", d->fallback, d->n_fallback, "");
	print_strings(to, "Search domains", &d->domains);
	fputs(d->n_routes ? "Split DNS:\n" : "Split DNS: none\n", to);
	for (size_t i = 0; i < d->n_routes; i++) {
		fprintf(to, "  - %s", d->routes[i].suffix);
		print_resolvers(to, "", d->routes[i].resolvers, d->routes[i].n, " answered here");
	}
	if (d->n_extra)
		fputs("Extra records:\n", to);
	for (size_t i = 0; i < d->n_extra; i++)
		fprintf(to, "  - %s %s %s\n", d->extra[i].name,
			*d->extra[i].type ? d->extra[i].type : "A/AAAA", d->extra[i].value);
}

/* GET target; an older daemon without it gives an empty body. */
static int get(struct cli *c, const char *target, struct buf *body)
{
	struct api_request r = { .method = "GET", .target = target, .missing_ok = true };
	int status = 0, code = api_call(c, &r, body, &status);
	return status == 404 ? CLI_OK : code;
}

struct dns_state {
	struct arena arena;
	struct api_status status;
	struct api_prefs prefs;
	struct buf mesh, os, servers, blocking;
};

static int dns_state_get(struct cli *c, struct dns_state *s)
{
	int code = api_status(c, &s->arena, &s->status);
	if (code == CLI_OK)
		code = api_prefs(c, &s->arena, &s->prefs);
	if (code == CLI_OK)
		code = get(c, "/localapi/v0/dns-config", &s->mesh);
	if (code == CLI_OK)
		code = get(c, "/localapi/v0/dns-osconfig", &s->os);
	if (code == CLI_OK)
		code = get(c, "/localapi/v0/dns-servers", &s->servers);
	if (code == CLI_OK)
		code = get(c, "/localapi/v0/dns-blocking", &s->blocking);
	return code;
}

static void print_servers(FILE *to, const struct api_dns_servers *m)
{
	struct buf b = { 0 };
	if (!m->n_routes) /* it is not open */
		return;
	report_text_servers(&b, m);
	fputs("\n=== The resolver ===\n\n", to);
	fwrite(buf_data(&b), 1, b.len, to);
	buf_free(&b);
}

static void print_status(struct cli *c, struct dns_state *s)
{
	struct api_dns_servers servers;
	struct ctl_dns mesh;
	struct api_dns_os os;
	FILE *to = c->out;
	fprintf(to, "=== The network ===\n\n");
	fprintf(to, "Names of machines: %s%s%s\n", s->status.magic_dns ? "yes, under " : "no",
		s->status.magic_dns ? s->status.magic_suffix : "",
		s->status.magic_dns ? " (answered at 100.100.100.100)" : "");
	if (s->mesh.len &&
		ctl_dns_read(&s->arena, (const char *)buf_data(&s->mesh), s->mesh.len, &mesh, NULL) == 0)
		print_mesh(to, &mesh);
	fprintf(to, "\n=== This machine ===\n\n");
	fprintf(to, "Takes the network's DNS settings: %s\n",
		s->prefs.corp_dns ? "yes" : "no (ropewalk up --accept-dns turns it on)");
	if (!s->os.len ||
		api_dns_os_read(&s->arena, (const char *)buf_data(&s->os), s->os.len, &os, NULL) != 0)
		return;
	if (*os.mode)
		fprintf(to, "Who is told: %s%s%s%s\n", strcmp(os.mode, "off") == 0 ? "nobody" : os.mode,
			*os.reason ? " (" : "", os.reason, *os.reason ? ")" : "");
	print_strings(to, "Nameservers", &os.nameservers);
	print_strings(to, "Search domains", &os.search);
	if (os.match.n)
		print_strings(to, "Only for", &os.match);
	if (s->servers.len && api_dns_servers_read(&s->arena, (const char *)buf_data(&s->servers),
				      s->servers.len, &servers, NULL) == 0)
		print_servers(to, &servers);
	dns_blocking_print(to, buf_cstr(&s->blocking), s->blocking.len);
}

static void print_status_json(struct cli *c, struct dns_state *s)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	json_put(&o, "{\"MagicDNSEnabled\":");
	json_put(&o, s->status.magic_dns ? "true" : "false");
	json_put(&o, ",\"MagicDNSSuffix\":");
	json_put_string(&o, s->status.magic_suffix);
	json_put(&o, ",\"CorpDNS\":");
	json_put(&o, s->prefs.corp_dns ? "true" : "false");
	json_put(&o, ",\"DNSConfig\":");
	json_put(&o, s->mesh.len ? buf_cstr(&s->mesh) : "null");
	json_put(&o, ",\"OSConfig\":");
	json_put(&o, s->os.len ? buf_cstr(&s->os) : "null");
	json_put(&o, ",\"Resolver\":");
	json_put(&o, s->servers.len ? buf_cstr(&s->servers) : "null");
	json_put(&o, ",\"Blocking\":");
	json_put(&o, s->blocking.len ? buf_cstr(&s->blocking) : "null");
	json_put(&o, "}\n");
	fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

static int run_status(struct cli *c)
{
	struct dns_state s = { 0 };
	int code = dns_state_get(c, &s);
	if (code == CLI_OK && c->json)
		print_status_json(c, &s);
	else if (code == CLI_OK)
		print_status(c, &s);
	buf_free(&s.mesh);
	buf_free(&s.os);
	buf_free(&s.servers);
	buf_free(&s.blocking);
	arena_free(&s.arena);
	return code;
}

/* --- query --- */

static void print_answer(struct cli *c, const struct api_dns_answer *m, struct buf *text, struct buf *reason)
{
	if (m->source && *m->source)
		fprintf(c->out, "From: %s, in %llu ms\n", m->source, (unsigned long long)m->took_ms);
	if (m->route && *m->route)
		fprintf(c->out, "Route: %s\n", strcmp(m->route, ".") == 0 ? "everything else" : m->route);
	if (m->n_resolvers)
		print_resolvers(c->out, "Servers", m->resolvers, m->n_resolvers, "");
	if (reason->len)
		fprintf(c->out, "Reason: %s\n", buf_cstr(reason));
	fputs(buf_cstr(text), c->out);
}

static void print_answer_json(
	struct cli *c, const struct api_dns_answer *m, struct buf *text, struct buf *reason)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	bool first = true;
	char *save = NULL;
	json_put(&o, "{\"Resolvers\":[");
	for (size_t i = 0; i < m->n_resolvers; i++) {
		json_put(&o, i ? "," : "");
		json_put_string(&o, m->resolvers[i].addr);
	}
	json_put(&o, "],\"Source\":");
	json_put_string(&o, m->source ? m->source : "");
	json_put(&o, ",\"Route\":");
	json_put_string(&o, m->route ? m->route : "");
	json_put(&o, ",\"TookMs\":");
	json_put_i64(&o, (int64_t)m->took_ms);
	json_put(&o, ",\"Reason\":");
	json_put_string(&o, buf_cstr(reason));
	/* The first line is the code, the rest one record each. */
	(void)buf_cstr(text);
	char *line = strtok_r((char *)buf_data(text), "\n", &save);
	json_put(&o, ",\"RCode\":");
	json_put_string(&o, line ? line : "");
	json_put(&o, ",\"Records\":[");
	while ((line = strtok_r(NULL, "\n", &save))) {
		json_put(&o, first ? "" : ",");
		json_put_string(&o, line);
		first = false;
	}
	json_put(&o, "]}\n");
	fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

/* A bare name is one of the network's machines, as the search domain has it. A dot at the end keeps it as it
 * is. */
static int full_name(struct cli *c, const char *name, char *out, size_t cap)
{
	struct arena a = { 0 };
	struct api_status s;
	snprintf(out, cap, "%s", name);
	if (strchr(name, '.'))
		return CLI_OK;
	int code = api_status(c, &a, &s);
	if (code == CLI_OK && *s.magic_suffix)
		snprintf(out, cap, "%s.%s", name, s.magic_suffix);
	arena_free(&a);
	return code;
}

static int run_query(struct cli *c, const char *name, const char *type)
{
	char target[API_TARGET_MAX] = "/localapi/v0/dns-query", full[DNS_NAME_TEXT];
	int code = full_name(c, name, full, sizeof(full));
	if (code != CLI_OK)
		return code;
	api_target_add(target, "name", full);
	api_target_add(target, "type", type);
	struct api_request r = { .method = "GET", .target = target, .timeout_ms = 15000, .missing_ok = true };
	struct buf body = { 0 }, text = { 0 }, reason = { 0 };
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct api_dns_answer m;
	int status = 0;
	code = api_call(c, &r, &body, &status);
	if (status == 404)
		code = cli_fail(c, CLI_FAILED, "unsupported",
			"dig @100.100.100.100 NAME asks the same resolver.",
			"this ropewalkd does not answer dns query");
	else if (code == CLI_OK &&
		 api_dns_answer_read(&a, (const char *)buf_data(&body), body.len, &m, &eb) != 0)
		code = cli_fail(
			c, CLI_FAILED, "malformed", NULL, "ropewalkd's answer cannot be read: %s", eb.text);
	else if (code == CLI_OK &&
		 (!present_message(m.raw, m.len, &text) || !present_reason(m.raw, m.len, &reason)))
		code = cli_fail(c, CLI_FAILED, "malformed", NULL, "the DNS answer is not well formed");
	else if (code == CLI_OK && c->json)
		print_answer_json(c, &m, &text, &reason);
	else if (code == CLI_OK)
		print_answer(c, &m, &text, &reason);
	buf_free(&body);
	buf_free(&text);
	buf_free(&reason);
	arena_free(&a);
	return code;
}

/* --- flush --- */

static int run_flush(struct cli *c, const char *name, bool below)
{
	char target[API_TARGET_MAX] = "/localapi/v0/dns-flush", full[DNS_NAME_TEXT];
	int code = name ? full_name(c, name, full, sizeof(full)) : CLI_OK, status = 0;
	if (code != CLI_OK)
		return code;
	if (name)
		api_target_add(target, "name", full);
	if (below)
		api_target_add(target, "below", "true");
	struct buf body = { 0 };
	struct arena a = { 0 };
	struct api_dns_flushed m = { 0 };
	struct errbuf eb = { 0 };
	code = api_call(c, &(struct api_request) { .method = "POST", .target = target }, &body, &status);
	if (code == CLI_OK && api_dns_flushed_read(&a, (const char *)buf_data(&body), body.len, &m, &eb) != 0)
		code = cli_fail(
			c, CLI_FAILED, "malformed", NULL, "ropewalkd's answer cannot be read: %s", eb.text);
	if (code == CLI_OK)
		fprintf(c->out, c->json ? "{\"Forgotten\":%llu}\n" : "%llu answers forgotten\n",
			(unsigned long long)m.n);
	buf_free(&body);
	arena_free(&a);
	return code;
}

static int dns_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct options *o = options;
	bool flush = strcmp(words[0], "flush") == 0, log = strcmp(words[0], "log") == 0;
	bool blocked = strcmp(words[0], "blocked") == 0;
	if (flush && n <= 2 && (n == 2 || !o->below))
		return run_flush(c, n == 2 ? words[1] : NULL, o->below);
	if (strcmp(words[0], "top") == 0 && n == 1)
		return dns_top_print(c);
	if (log && n == 1)
		return dns_log_print(c, o->follow);
	if (log && n == 2 && (strcmp(words[1], "on") == 0 || strcmp(words[1], "off") == 0))
		return dns_log_switch(c, strcmp(words[1], "on") == 0);
	if (blocked && n == 2)
		return dns_blocked_print(c, words[1], o->client);
	if (strcmp(words[0], "pause") == 0 && n <= 2)
		return dns_pause(c, n == 2 ? words[1] : NULL);
	if (strcmp(words[0], "status") == 0 && n == 1)
		return run_status(c);
	if (strcmp(words[0], "query") == 0 && n >= 2)
		return run_query(c, words[1], n > 2 ? words[2] : "A");
	return cli_fail(c, CLI_USAGE, "usage", "ropewalk dns --help says how it is used.", "dns: %s",
		strcmp(words[0], "query") == 0 ? "query needs a name"
		: flush			       ? "flush takes one name, and --below needs it"
		: blocked		       ? "blocked needs one name"
		: log			       ? "log takes on, off or nothing"
		      : "neither status, query NAME, blocked NAME, pause, flush, log nor top");
}

const struct cli_verb verb_dns = {
	.man = { "dns",
		"status | query NAME [TYPE] | blocked NAME | pause [TIME|off] | flush [NAME] | log [on|off] "
		"| top",
		"show how names are resolved, resolve one, forget, or watch",
		"status shows what the network sets, what this machine does with it, and whom the resolver "
		"of "
		"ropewalkd asks, with how they fare. query asks that resolver, and prints from "
		"where the answer came, which route is for such a name, the reason where the answer says "
		"one, and "
		"the records; TYPE is A unless given. blocked, on the machine that blocks names for the "
		"network, "
		"says by "
		"which lines of which lists NAME is blocked, for this machine or the --client, and ends with "
		"0 when it "
		"is and with 1 when it is not; pause has it block nothing for TIME, as 10m, off ends that. "
		"flush forgets what nameservers have said of NAME "
		"(--below: "
		"and of the names under it), or of all names. log on has the resolver write questions down, "
		"in memory alone, "
		"log prints the last 2048 of them: who asked for what, what it got, and from where (zone, "
		"rules, block, "
		"cache, stale, upstream, nowhere); top prints what is asked for most, and who asks most. "
		"They are off unless "
		"somebody turned them on, and what is written down is forgotten with log off.",
		rows },
	.options_size = sizeof(struct options),
	.min_words = 1,
	.max_words = 3,
	.run = dns_run,
};
