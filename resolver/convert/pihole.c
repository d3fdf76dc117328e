/* pihole.toml: of TOML what that file has: [tables], keys with strings, numbers, booleans, and lists of strings over several lines.
 * What was never changed is there with its default, so that only what differs from ours is said. */
#include "resolver/convert/convert.h"

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 128, STRING_MAX = 4096, LIST_MAX = 65536 };

struct pihole {
	struct target *t;
	const char *at, *end;
	char table[KEY_MAX];
	/* what only several keys together say */
	uint64_t rate_count, rate_interval_s;
	char mode[32], v4[64], v6[64], domain[DNS_NAME_TEXT];
	bool force4, force6, expand, inactive, is_dhcp;
	bool asks; /* for names of the domain that are not here */
};

/* ---- text ---- */

static void newline_count(struct pihole *p)
{
	if (*p->at == '\n')
		p->t->line++;
}

/* Spaces, comments and line ends. */
static void blanks_skip(struct pihole *p, bool lines)
{
	while (p->at < p->end) {
		if (*p->at == '#')
			while (p->at < p->end && *p->at != '\n')
				p->at++;
		else if (*p->at == ' ' || *p->at == '\t' || *p->at == '\r' || (lines && *p->at == '\n')) {
			newline_count(p);
			p->at++;
		} else
			return;
	}
}

static void line_skip(struct pihole *p)
{
	while (p->at < p->end && *p->at != '\n')
		p->at++;
}

/* "basic" with escapes, 'literal', or a bare word; false: none of them. */
static bool string_take(struct pihole *p, char out[static STRING_MAX])
{
	size_t n = 0;
	char quote = p->at < p->end && (*p->at == '"' || *p->at == '\'') ? *p->at++ : 0;
	for (; p->at < p->end; p->at++) {
		char c = *p->at;
		if (c == '\n' || (quote ? c == quote : strchr(" \t\r#,]=", c) != NULL))
			break;
		if (quote == '"' && c == '\\' && p->at + 1 < p->end) {
			c = *++p->at;
			c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
		}
		if (n + 1 < STRING_MAX)
			out[n++] = c;
	}
	out[n] = 0;
	if (!quote)
		return n;
	if (p->at == p->end || *p->at != quote)
		return false;
	p->at++;
	return true;
}

/* ---- keys ---- */

static void upstream_of(struct pihole *p, const char *value)
{
	target_upstream(p->t, "", value);
}

/* "192.168.1.5 nas.lan nas" */
static void host_of(struct pihole *p, const char *value)
{
	char ip[64] = "", name[STRING_MAX];
	struct addr at;
	int used = 0, more = 0;
	bool first = true;
	if (sscanf(value, "%63s %n", ip, &used) != 1 || !addr_parse(ip, &at)) {
		target_say(p->t, "dns.hosts", "\"%.100s\": an address and names are wanted", value);
		return;
	}
	for (const char *rest = value + used; sscanf(rest, "%1023s %n", name, &more) == 1;
		rest += more, more = 0) {
		target_record(p->t, name, first ? NULL : addr_is_v4(&at) ? "A" : "AAAA", ip);
		first = false;
		if (!more)
			break;
	}
}

static void dnsmasq_of(struct pihole *p, const char *word, const char *value)
{
	char line[STRING_MAX + 64];
	int n = snprintf(line, sizeof(line), "%s%s%s", word, *word ? "=" : "", value);
	if (n > 0 && (size_t)n < sizeof(line))
		convert_dnsmasq_line(p->t, line, (size_t)n);
}

static void cname_of(struct pihole *p, const char *value)
{
	dnsmasq_of(p, "cname", value);
}

static void host_record_of(struct pihole *p, const char *value)
{
	if (*value)
		dnsmasq_of(p, "host-record", value);
}

static void more_of(struct pihole *p, const char *value)
{
	if (strcmp(value, "true") == 0)
		target_include(p->t, &(struct target_include) { .what = "misc.etc_dnsmasq_d",
					     .path = "/etc/dnsmasq.d",
					     .only = "",
					     .once = true,
					     .take = convert_dnsmasq_take,
					     .arg = p->t });
}

static void line_of(struct pihole *p, const char *value)
{
	dnsmasq_of(p, "", value);
}

/* "true,192.168.0.0/16,192.168.0.1#53,lan" */
static void rev_server_of(struct pihole *p, const char *value)
{
	char on[8] = "", net[128] = "", server[128] = "", domain[256] = "";
	int n = sscanf(value, "%7[^,],%127[^,],%127[^,],%255[^,]", on, net, server, domain);
	struct prefix range;
	if (n < 3 || !prefix_parse(net, &range)) {
		target_say(p->t, "dns.revServers", "\"%.100s\": a network and a server are wanted", value);
		return;
	}
	if (strcmp(on, "true") != 0)
		return;
	target_upstream(p->t, net, server);
	if (*domain)
		target_upstream(p->t, domain, server);
}

static void port_of(struct pihole *p, const char *value)
{
	uint64_t n;
	if (text_u64(value, 1, UINT16_MAX, &n) && n != 53)
		p->t->port = (uint16_t)n;
}

static void cache_of(struct pihole *p, const char *value)
{
	dnsmasq_of(p, "cache-size", value);
}

static void optimizer_of(struct pihole *p, const char *value)
{
	uint64_t s;
	if (text_u64(value, 0, 3 * 86400, &s))
		p->t->stale_s = (int64_t)s;
}

static void logging_of(struct pihole *p, const char *value)
{
	p->t->query_log = strcmp(value, "true") == 0;
}

static void block_ttl_of(struct pihole *p, const char *value)
{
	uint64_t s;
	if (text_u64(value, 1, 86400, &s))
		p->t->block_ttl = s;
}

static void active_of(struct pihole *p, const char *value)
{
	p->inactive = strcmp(value, "false") == 0;
}

static void mode_of(struct pihole *p, const char *value)
{
	snprintf(p->mode, sizeof(p->mode), "%s", value);
}
static void v4_of(struct pihole *p, const char *value)
{
	snprintf(p->v4, sizeof(p->v4), "%s", value);
}
static void v6_of(struct pihole *p, const char *value)
{
	snprintf(p->v6, sizeof(p->v6), "%s", value);
}
static void force4_of(struct pihole *p, const char *value)
{
	p->force4 = strcmp(value, "true") == 0;
}
static void force6_of(struct pihole *p, const char *value)
{
	p->force6 = strcmp(value, "true") == 0;
}
static void count_of(struct pihole *p, const char *value)
{
	(void)text_u64(value, 0, UINT32_MAX, &p->rate_count);
}
static void interval_of(struct pihole *p, const char *value)
{
	(void)text_u64(value, 0, UINT32_MAX, &p->rate_interval_s);
}
static void dnssec_of(struct pihole *p, const char *value)
{
	p->t->validate = strcmp(value, "true") == 0;
}
static void domain_of(struct pihole *p, const char *value)
{
	if (!*value || !target_domain(p->t, "dns.domain", value, p->domain))
		p->domain[0] = 0;
}
static void expand_of(struct pihole *p, const char *value)
{
	p->expand = strcmp(value, "true") == 0;
}

static void local_of(struct pihole *p, const char *value)
{
	p->asks = strcmp(value, "false") == 0;
}
static void dhcp_of(struct pihole *p, const char *value)
{
	p->is_dhcp = strcmp(value, "true") == 0;
	if (p->is_dhcp)
		target_say(p->t, "dhcp.active",
			"no counterpart: a DHCP server is another program: names-from reads its leases");
}

/* why: said when the value is another than `usual`. */
static const struct row {
	const char *key;
	void (*take)(struct pihole *p, const char *value);
	const char *usual, *why;
} rows[] = {
	{ "dns.upstreams", upstream_of, NULL, NULL },
	{ "dns.hosts", host_of, NULL, NULL },
	{ "dns.cnameRecords", cname_of, NULL, NULL },
	{ "dns.hostRecord", host_record_of, NULL, NULL },
	{ "dns.revServers", rev_server_of, NULL, NULL },
	{ "dns.port", port_of, NULL, NULL },
	{ "dns.cache.size", cache_of, NULL, NULL },
	{ "dns.cache.optimizer", optimizer_of, NULL, NULL },
	{ "dns.queryLogging", logging_of, NULL, NULL },
	{ "dns.blockTTL", block_ttl_of, NULL, NULL },
	{ "dns.blocking.active", active_of, NULL, NULL },
	{ "dns.blocking.mode", mode_of, NULL, NULL },
	{ "dns.reply.blocking.IPv4", v4_of, NULL, NULL },
	{ "dns.reply.blocking.IPv6", v6_of, NULL, NULL },
	{ "dns.reply.blocking.force4", force4_of, NULL, NULL },
	{ "dns.reply.blocking.force6", force6_of, NULL, NULL },
	{ "dns.rateLimit.count", count_of, NULL, NULL },
	{ "dns.rateLimit.interval", interval_of, NULL, NULL },
	{ "dns.domain", domain_of, NULL, NULL },
	{ "dns.domain.name", domain_of, NULL, NULL },
	{ "dns.expandHosts", expand_of, NULL, NULL },
	{ "misc.dnsmasq_lines", line_of, NULL, NULL },
	{ "dns.dnssec", dnssec_of, NULL, NULL },
	{ "dns.CNAMEdeepInspect", NULL, "true", "names that an answer leads to are always looked at" },
	{ "dns.blockESNI", NULL, NULL, NULL },
	{ "dns.EDNS0ECS", NULL, NULL, NULL },
	{ "dns.bogusPriv", NULL, "true",
		"reverse names of private networks are asked of servers of a site alone" },
	{ "dns.domainNeeded", NULL, NULL, NULL },
	{ "dns.interface", NULL, "", "it listens on addresses: name them in \"listen\"" },
	{ "dns.listeningMode", NULL, "LOCAL",
		"who may ask is said by \"allow\": this machine and private networks" },
	{ "dns.specialDomains.mozillaCanary", NULL, "true", "so whenever something is blocked" },
	{ "dns.specialDomains.iCloudPrivateRelay", NULL, "true", "so whenever something is blocked" },
	{ "dns.domainLocal", local_of, NULL, NULL },
	{ "dns.domain.local", local_of, NULL, NULL },
	{ "dhcp.active", dhcp_of, NULL, NULL },
	{ "dhcp.hosts", NULL, "", "a DHCP server is another program: names-from reads its leases" },
	{ "misc.etc_dnsmasq_d", more_of, NULL, NULL },
	{ "dns.reply.host.force4", NULL, "false", "there is no name pi.hole" },
	{ "dns.reply.host.force6", NULL, "false", "there is no name pi.hole" },
};

static void value_give(struct pihole *p, const char *key, const char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].key, key) != 0)
			continue;
		if (rows[i].take)
			rows[i].take(p, value);
		else if (rows[i].usual && strcmp(rows[i].usual, value) != 0)
			target_say(p->t, key, "no counterpart: %s", rows[i].why);
		return;
	}
	/* The web server, the database and what is only shown are not the resolver's. */
}

/* ---- the file ---- */

static bool list_take(struct pihole *p, const char *key)
{
	char value[STRING_MAX];
	p->at++;
	for (size_t i = 0; i < LIST_MAX; i++) {
		blanks_skip(p, true);
		if (p->at < p->end && *p->at == ']') {
			p->at++;
			return true;
		}
		if (!string_take(p, value))
			return false;
		value_give(p, key, value);
		blanks_skip(p, true);
		if (p->at < p->end && *p->at == ',')
			p->at++;
	}
	return false;
}

static void table_take(struct pihole *p)
{
	size_t n = 0;
	p->at++;
	while (p->at < p->end && *p->at != ']' && *p->at != '\n') {
		if (n + 1 < sizeof(p->table) && *p->at != ' ')
			p->table[n++] = *p->at;
		p->at++;
	}
	p->table[n] = 0;
	line_skip(p);
}

static void pair_take(struct pihole *p)
{
	char word[STRING_MAX], key[KEY_MAX * 2], value[STRING_MAX];
	bool ok = string_take(p, word);
	blanks_skip(p, false);
	ok = ok && p->at < p->end && *p->at == '=';
	if (ok) {
		p->at++;
		blanks_skip(p, false);
		snprintf(key, sizeof(key), "%s%s%.100s", p->table, *p->table ? "." : "", word);
		if (p->at < p->end && *p->at == '[')
			ok = list_take(p, key);
		else if ((ok = string_take(p, value)))
			value_give(p, key, value);
	}
	if (!ok)
		target_say(p->t, "line", "\"key = value\" is wanted");
	line_skip(p);
}

static void together(struct pihole *p)
{
	struct target *t = p->t;
	struct addr ip4, ip6;
	if (p->rate_count && p->rate_interval_s) {
		uint64_t per_s = (p->rate_count + p->rate_interval_s - 1) / p->rate_interval_s;
		t->rate = per_s < 1000000 ? per_s : 1000000;
	}
	if (p->inactive)
		target_say(t, "dns.blocking.active", "lists block from the start: leave them out, or pause");
	if (strcmp(p->mode, "NXDOMAIN") == 0 || strcmp(p->mode, "NX") == 0)
		t->answer = "nxdomain";
	else if (strcmp(p->mode, "NODATA") == 0)
		t->answer = "nodata";
	else if (strncmp(p->mode, "IP", 2) == 0) {
		bool has = p->force4 && addr_parse(p->v4, &ip4) && addr_is_v4(&ip4);
		if (has)
			t->answer = target_text(t, p->v4, strlen(p->v4));
		else
			target_say(t, "dns.blocking.mode", "%s: say the address as \"answer\"", p->mode);
		if (has && strcmp(p->mode, "IP") == 0 && p->force6 && addr_parse(p->v6, &ip6) &&
			!addr_is_v4(&ip6))
			t->answer_v6 = target_text(t, p->v6, strlen(p->v6));
	}
	if (p->expand && *p->domain)
		target_names_from(t, "hosts", "/etc/hosts", p->domain);
	if (*p->domain && !p->asks && !target_has_route(t, p->domain))
		target_authority(t, p->domain);
	if (p->is_dhcp)
		target_names_from(t, "leases", "/etc/pihole/dhcp.leases", *p->domain ? p->domain : NULL);
}

void convert_pihole(struct target *t, const char *file, const char *text, size_t len)
{
	struct pihole *p = calloc(1, sizeof(*p));
	t->file = file;
	t->line = 1;
	if (!p) {
		t->short_of_memory = true;
		return;
	}
	p->t = t;
	p->at = text;
	p->end = text + len;
	while (blanks_skip(p, true), p->at < p->end) {
		if (*p->at == '[')
			table_take(p);
		else
			pair_take(p);
	}
	t->line = 0;
	together(p);
	free(p);
}
