#include "mesh/base/via6.h"
#include "mesh/cli/verbs.h"
#include <inttypes.h>
#include <string.h>

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = { CLI_ROWS_COMMON(struct options) };

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

static int debug_run(struct cli *c, const void *options, const char *const *words, int n)
{
	struct prefix v4, v6;
	uint32_t site;
	(void)options;
	if (strcmp(words[0], "via") != 0)
		return cli_fail(c, CLI_USAGE, "usage",
			"ropewalk status --json has the counters, ropewalk doctor looks for what is wrong.",
			"debug: \"%s\" is not here; via is", words[0]);
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

const struct cli_verb verb_debug = {
	.man = { "debug", "via SITE NETWORK", "say how a network of IPv4 is called as one of IPv6",
		"Sites whose networks have the same addresses are told apart by a number for each: the "
		"router of "
		"site 7 offers what debug via 7 192.168.1.0/24 says, and 192-168-1-9-via-7, below the "
		"network's "
		"domain, is a host of it. With an IPv6 network alone, what it stands for.",
		rows },
	.options_size = sizeof(struct options),
	.min_words = 1,
	.max_words = 3,
	.run = debug_run,
};
