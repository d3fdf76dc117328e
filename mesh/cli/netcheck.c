#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct cli_common common;
	const char *format;
	uint64_t every_ms;
	bool verbose;
};
static const struct opt_row rows[] = {
	{ "format", NULL, OPT_STRING, offsetof(struct options, format), "json|json-line",
		"print the report as JSON, on several lines or on one, as --json does" },
	{ "every", NULL, OPT_DURATION_MS, offsetof(struct options, every_ms), "TIME",
		"report again and again, with so long in between" },
	{ "verbose", NULL, OPT_BOOL, offsetof(struct options, verbose), NULL,
		"nothing more: all that is known is printed" },
	CLI_ROWS_COMMON(struct options),
};

enum { OLD_S = 3 };

static const char *nearest(const struct api_netcheck *r)
{
	for (size_t i = 0; i < r->n_regions; i++)
		if (r->regions[i].id == r->preferred)
			return *r->regions[i].name ? r->regions[i].name : r->regions[i].code;
	return "unknown (no relay answered)";
}

/* The protocols that the router offers, as the official program lists them; then what came of it. */
static void print_router(const struct api_netcheck *r, FILE *to)
{
	const struct {
		int8_t there;
		const char *name;
	} offered[] = { { r->upnp, "UPnP" }, { r->pmp, "NAT-PMP" }, { r->pcp, "PCP" } };
	const char *between = "";

	fprintf(to, "\t* PortMapping: ");
	for (size_t i = 0; i < ARRAY_LEN(offered); i++) {
		if (offered[i].there != 1)
			continue;
		fprintf(to, "%s%s", between, offered[i].name);
		between = ", ";
	}
	if (*r->mapped)
		fprintf(to, " (%s leads here)", r->mapped);
	else if (*r->unmapped)
		fprintf(to, "%s(%s)", *between ? " " : "", r->unmapped);
	else if (!*between)
		fputs(r->pmp < 0 ? "not known" : "none", to);
	fprintf(to, "\n");
}

static void netcheck_print(const struct api_netcheck *r, FILE *to)
{
	bool v4 = *r->global_v4, v6 = *r->global_v6;
	fprintf(to, "Report:\n");
	if (!r->measured)
		fprintf(to, "\t* Measured: not yet\n");
	else if (r->age_s >= OLD_S)
		fprintf(to, "\t* Measured: %.0f s ago; a new measurement does not end\n", r->age_s);
	fprintf(to, "\t* UDP: %s\n",
		r->udp ? "true" : "false (blocked here: everything goes through a relay)");
	fprintf(to, "\t* IPv4: %s%s%s\n", r->ipv4 ? "yes" : "no", v4 ? ", " : "", r->global_v4);
	fprintf(to, "\t* IPv6: %s%s%s\n", r->ipv6 ? "yes" : "no", v6 ? ", " : "", r->global_v6);
	fprintf(to, "\t* MappingVariesByDestIP: %s\n",
		r->mapping_varies < 0 ? "unknown (it takes two relays to tell)"
		: r->mapping_varies   ? "true (hard NAT: direct paths only to peers that are easy to reach)"
				      : "false");
	print_router(r, to);
	if (*r->pinhole6)
		fprintf(to, "\t* IPv6Pinhole: %s is let in\n", r->pinhole6);
	else if (*r->no_pinhole6)
		fprintf(to, "\t* IPv6Pinhole: none (%s)\n", r->no_pinhole6);
	if (*r->proxy)
		fprintf(to, "\t* Proxy: %s\n", r->proxy);
	fprintf(to, "\t* Nearest relay: %s\n", nearest(r));
	if (r->n_regions)
		fprintf(to, "\t* Relay latency:\n");
	for (size_t i = 0; i < r->n_regions; i++) {
		const struct api_region_latency *l = &r->regions[i];
		char took[32] = "no answer";
		if (l->seconds > 0)
			snprintf(took, sizeof(took), l->seconds < 0.001 ? "under 1ms" : "%.1fms",
				l->seconds * 1000);
		bool named = l->seconds > 0 && *l->name;
		fprintf(to, "\t\t- %s: %s%s%s%s\n", l->code, took, named ? " (" : "", named ? l->name : "",
			named ? ")" : "");
	}
}

static const struct api_request asked = {
	.method = "GET", .target = "/localapi/v0/netcheck", .timeout_ms = 20000
};

static int report_indented(struct cli *c)
{
	json_t *doc;
	int code = api_call_json(c, &asked, &doc);
	char *text = code == CLI_OK ? json_dumps(doc, JSON_INDENT(2)) : NULL;
	if (text)
		fprintf(c->out, "%s\n", text);
	else if (code == CLI_OK)
		code = cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	free(text);
	json_decref(doc);
	return code;
}

static int report(struct cli *c, bool json)
{
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct api_netcheck report;
	int code = api_call(c, &asked, &b, NULL);
	if (code == CLI_OK && api_netcheck_read(&a, (const char *)buf_data(&b), b.len, &report, &eb) != 0)
		code = cli_fail(
			c, CLI_FAILED, "malformed", NULL, "ropewalkd's report cannot be read: %s", eb.text);
	else if (code == CLI_OK && json)
		fprintf(c->out, "%s\n", buf_cstr(&b));
	else if (code == CLI_OK)
		netcheck_print(&report, c->out);
	buf_free(&b);
	arena_free(&a);
	return code;
}

static int netcheck_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct options *o = options;
	const char *format = o->format ? o->format : "";
	bool indented = strcmp(format, "json") == 0, json = c->json || strcmp(format, "json-line") == 0;
	(void)words;
	(void)n;
	if (*format && !indented && strcmp(format, "json-line") != 0)
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk netcheck --help says how it is used.",
			"netcheck: --format takes json or json-line, not \"%s\"", format);
	int code = indented ? report_indented(c) : report(c, json);
	while (code == CLI_OK && o->every_ms) {
		fflush(c->out);
		cli_pause(c, o->every_ms);
		if (!indented && !json)
			fputc('\n', c->out);
		code = indented ? report_indented(c) : report(c, json);
	}
	return code;
}

const struct cli_verb verb_netcheck = {
	.man = { "netcheck", "", "report what the network here allows",
		"UDP, address families, the kind of NAT and the way to each relay, as ropewalkd measures it "
		"now. With --every it goes on until it is stopped, or ropewalkd is.",
		rows },
	.options_size = sizeof(struct options),
	.run = netcheck_run,
};
