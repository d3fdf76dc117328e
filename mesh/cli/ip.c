#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include "mesh/proto/json.h"

struct options {
	struct cli_common common;
	bool one, v4, v6;
	const char *wanted;
};
static const struct opt_row rows[] = {
	{ "1", NULL, OPT_BOOL, offsetof(struct options, one), NULL, "only the first address" },
	{ "4", NULL, OPT_BOOL, offsetof(struct options, v4), NULL, "only IPv4" },
	{ "6", NULL, OPT_BOOL, offsetof(struct options, v6), NULL, "only IPv6" },
	{ "assert", NULL, OPT_STRING, offsetof(struct options, wanted), "IP",
		"print nothing; exit with 0 if this is one of the addresses, else with 1" },
	CLI_ROWS_COMMON(struct options),
};

/* v4 first. */
static size_t choose(
	const struct options *o, const struct addr *ips, size_t n, const struct addr **out, size_t cap)
{
	size_t got = 0;
	for (int six = 0; six < 2; six++)
		for (size_t i = 0; i < n && got < cap; i++)
			if (addr_is_v4(&ips[i]) == !six && !(six ? o->v4 && !o->v6 : o->v6 && !o->v4))
				out[got++] = &ips[i];
	return o->one && got > 1 ? 1 : got;
}

static void ip_print(struct cli *c, const struct addr *const *ips, size_t n)
{
	char text[ADDR_TEXT];
	if (c->json)
		fputc('[', c->out);
	for (size_t i = 0; i < n; i++)
		fprintf(c->out, c->json ? "%s\"%s\"" : "%s%s\n", c->json && i ? "," : "",
			addr_format(ips[i], text));
	if (c->json)
		fputs("]\n", c->out);
}

static int assert_one(struct cli *c, const char *wanted, const struct addr *const *ips, size_t n)
{
	struct addr a;
	if (!addr_parse(wanted, &a))
		return cli_fail(
			c, CLI_USAGE, "usage", NULL, "ip: --assert takes an address, not \"%s\"", wanted);
	for (size_t i = 0; i < n; i++)
		if (addr_equal(ips[i], &a))
			return CLI_OK;
	return cli_fail(c, CLI_FAILED, "no-address", NULL, "%s is none of these addresses", wanted);
}

static int ip_run(struct cli *c, const void *options, const char *const *words, int n)
{
	enum { IPS_MAX = 64 };
	const struct addr *chosen[IPS_MAX];
	struct arena a = { 0 };
	struct api_status s;
	struct addr at;
	const struct options *o = options;
	int code = api_status(c, &a, &s);
	if (code == CLI_OK) {
		const struct api_peer *p = n ? api_peer_find(&s, words[0], &at) : NULL;
		size_t got = n ? (p ? choose(options, p->ips, p->n_ips, chosen, IPS_MAX) : 0)
			       : choose(options, s.ips, s.n_ips, chosen, IPS_MAX);
		if (n && !p)
			code = cli_fail(c, CLI_FAILED, "no-peer", "ropewalk status lists the machines.",
				"no machine \"%s\"", words[0]);
		else if (!got)
			code = cli_fail(c, CLI_FAILED, "no-address",
				n ? NULL : "ropewalk up joins a network.",
				n ? "it has no such address" : "this machine has no address");
		else if (o->wanted)
			code = assert_one(c, o->wanted, chosen, got);
		else
			ip_print(c, chosen, got);
	}
	arena_free(&a);
	return code;
}

const struct cli_verb verb_ip = {
	.man = { "ip", "[NAME|IP]", "print the addresses of this machine or of another",
		"One address a line, IPv4 first.", rows },
	.options_size = sizeof(struct options),
	.max_words = 1,
	.run = ip_run,
};
