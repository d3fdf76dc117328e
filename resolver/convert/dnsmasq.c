/* dnsmasq.conf: a line is "word" or "word=value", as its options of the command line without the dashes; # begins a comment. The
 * table has a row for each word that means something here, and for those of which it is known why they do not. */
#include "resolver/convert/convert.h"

#include "mesh/base/err.h"
#include "mesh/base/text.h"
#include "resolver/name.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 64, ENTRY_BYTES = 400, CACHE_MAX = 1 << 20 };

/* The parts of value between `between`, cut in place; "quoted, text" is one. */
static int fields_cut(char *value, char between, char *out[static FIELDS_MAX])
{
	int n = 0;
	bool inside = false;
	out[n++] = value;
	for (char *c = value; *c; c++) {
		if (*c == '"')
			inside = !inside;
		if (*c != between || inside)
			continue;
		*c = 0;
		if (n == FIELDS_MAX)
			break;
		out[n++] = c + 1;
	}
	return n;
}

static char *trimmed(char *s)
{
	size_t len;
	s += strspn(s, " \t");
	for (len = strlen(s); len && strchr(" \t\r", s[len - 1]); len--)
		s[len - 1] = 0;
	return s;
}

static char *unquoted(char *s)
{
	size_t len = strlen(s);
	if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
		s[len - 1] = 0;
		s++;
	}
	return s;
}

static bool is_number(const char *s)
{
	uint64_t n;
	return text_u64(s, 0, UINT32_MAX, &n);
}

/* ---- servers ---- */

static void listen_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	int n = fields_cut(value, ',', f);
	(void)word;
	for (int i = 0; i < n; i++)
		target_listen(t, trimmed(f[i]), 0);
}

static void port_of(struct target *t, const char *word, char *value)
{
	uint64_t port;
	if (!text_u64(value, 0, UINT16_MAX, &port))
		target_say(t, word, "not a port");
	else if (!port)
		target_say(t, word, "with port=0 it answers no DNS: nothing of this file is needed then");
	else
		t->port = (uint16_t)port;
}

/* "1.2.3.4#53@eth0#100": what is behind the @ is from where it asks. */
static void server_take(struct target *t, const char *suffix, char *server)
{
	char *from = strchr(server, '@');
	if (from) {
		*from = 0;
		target_say(t, from + 1, "which interface or address asks a server cannot be said");
	}
	target_upstream(t, suffix, server);
}

/* server=/a/b/1.2.3.4: f[1 .. n-2] are domains, the last is the server. */
static void server_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	if (*value != '/') {
		server_take(t, "", value);
		return;
	}
	int n = fields_cut(value, '/', f);
	for (int i = 1; i + 1 < n; i++) {
		char *to = trimmed(f[n - 1]), *domain = f[i] + (f[i][0] == '.');
		char copy[TARGET_WORD_MAX];
		snprintf(copy, sizeof(copy), "%s", to);
		if (strcmp(domain, "#") == 0 && *to && strcmp(to, "#") != 0)
			server_take(t, "", copy);
		else if (strcmp(domain, "#") == 0)
			target_say(t, word,
				"/#/: names without a server have no counterpart: leave \"upstreams\" out");
		else if (!*domain)
			target_say(t, word, "servers for names of one label alone are not told apart");
		else if (strchr(domain, '*'))
			target_say(t, word, "%s: a suffix has no wildcard", domain);
		else if (!*to)
			target_authority(t, domain);
		else if (strcmp(to, "#") == 0)
			target_zone(t, domain, "transparent");
		else
			server_take(t, domain, copy);
	}
	if (n < 3)
		target_say(t, word, "there is no domain between slashes");
}

static void rev_server_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	struct prefix net;
	if (fields_cut(value, ',', f) < 2 || !prefix_parse(f[0], &net))
		target_say(t, word, "a network and a server are wanted");
	else
		server_take(t, f[0], f[1]);
}

static void order_of(struct target *t, const char *word, char *value)
{
	(void)value;
	t->order = strcmp(word, "strict-order") == 0 ? "strict" : "race";
}

/* ---- names ---- */

/* One address for a domain and all below it, or, with "*." in front, for these alone; none: there is no such name; "#": the null addresses. */
static void address_take(struct target *t, const char *domain, const char *to)
{
	char below[DNS_NAME_TEXT];
	struct addr ip;
	if (!*to || strcmp(to, "#") == 0) {
		if (*domain == '*')
			target_say(t, domain, "the name itself is as those below it");
		domain += *domain == '*' ? 2 : 0;
		target_zone(t, domain, *to ? "always-null" : "always-nxdomain");
		return;
	}
	if (!addr_parse(to, &ip)) {
		target_say(t, domain, "\"%.60s\" is not an address", to);
		return;
	}
	const char *type = addr_is_v4(&ip) ? "A" : "AAAA";
	if (*domain != '*') {
		target_record(t, domain, type, to);
		snprintf(below, sizeof(below), "*.%s", domain);
	} else {
		snprintf(below, sizeof(below), "%s", domain);
	}
	target_record(t, below, type, to);
}

static void address_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	int n = *value == '/' ? fields_cut(value, '/', f) : 0;
	if (n < 3)
		target_say(t, word, "there is no domain between slashes");
	for (int i = 1; i + 1 < n; i++) {
		const char *domain = f[i] + (f[i][0] == '.');
		const char *star = strrchr(domain, '*');
		if (strcmp(domain, "#") == 0 || !*domain)
			target_say(t, word, "%s: an address for every name has no counterpart",
				*domain ? domain : "//");
		else if (star && (star != domain || star[1] != '.'))
			target_say(t, word, "%s: only \"*.\" in front of a name has a counterpart", domain);
		else
			address_take(t, domain, trimmed(f[n - 1]));
	}
}

/* Names, then one address of a kind or of each, then a time. The first name is the address's own. */
static void host_record_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	int n = fields_cut(value, ',', f), names = 0;
	struct addr ip;
	while (names < n && !addr_parse(trimmed(f[names]), &ip))
		names++;
	if (names == n) {
		target_say(t, word, "there is no address in it");
		return;
	}
	for (int a = names; a < n; a++) {
		const char *at = trimmed(f[a]);
		if (!addr_parse(at, &ip)) {
			if (is_number(at))
				target_say(t, word, "records here have one time to live (ttl), not %s", at);
			else
				target_say(t, word, "\"%.60s\" is not an address", at);
			continue;
		}
		for (int i = 0; i < names; i++)
			target_record(t, trimmed(f[i]), i ? addr_is_v4(&ip) ? "A" : "AAAA" : NULL, at);
	}
}

static void cname_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX], target[DNS_NAME_TEXT];
	int n = fields_cut(value, ',', f);
	if (n > 2 && is_number(trimmed(f[n - 1])))
		target_say(t, word, "records here have one time to live (ttl), not %s", trimmed(f[--n]));
	if (n < 2) {
		target_say(t, word, "an alias and its target are wanted");
		return;
	}
	snprintf(target, sizeof(target), "%.1000s.", trimmed(f[n - 1]));
	for (int i = 0; i + 1 < n; i++)
		target_record(t, trimmed(f[i]), "CNAME", target);
}

static void mx_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX], text[TARGET_WORD_MAX * 2];
	int n = fields_cut(value, ',', f);
	if (n < 2)
		target_say(t, word, "the host that takes the mail is not said");
	else {
		snprintf(text, sizeof(text), "%s %.1000s.", n > 2 ? trimmed(f[2]) : "1", trimmed(f[1]));
		target_record(t, trimmed(f[0]), "MX", text);
	}
}

/* _service._prot.name,target,port,priority,weight */
static void srv_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX], text[TARGET_WORD_MAX * 2];
	int n = fields_cut(value, ',', f);
	(void)word;
	snprintf(text, sizeof(text), "%s %s %s %.1000s.", n > 3 ? trimmed(f[3]) : "0",
		n > 4 ? trimmed(f[4]) : "0", n > 2 ? trimmed(f[2]) : "1", n > 1 ? trimmed(f[1]) : "");
	target_record(t, trimmed(f[0]), "SRV", text);
}

/* As strings of a zone file. */
static bool texts_put(struct buf *b, char *const *f, int n)
{
	bool ok = true;
	for (int i = 0; i < n; i++) {
		ok = ok && buf_printf(b, i ? " \"" : "\"");
		for (const char *c = unquoted(f[i]); *c; c++)
			ok = ok && buf_printf(b, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
		ok = ok && buf_printf(b, "\"");
	}
	return ok;
}

/* Frees b. */
static void made_record(struct target *t, const char *name, const char *type, struct buf *b, bool ok)
{
	if (ok && buf_cstr(b))
		target_record(t, name, type, buf_cstr(b));
	else
		t->short_of_memory = true;
	buf_free(b);
}

static void txt_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	int n = fields_cut(value, ',', f);
	struct buf b = { 0 };
	(void)word;
	bool ok = n > 1 ? texts_put(&b, f + 1, n - 1) : buf_printf(&b, "\"\"");
	made_record(t, trimmed(f[0]), "TXT", &b, ok);
}

static void ptr_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	struct buf b = { 0 };
	int n = fields_cut(value, ',', f);
	if (n < 2) {
		target_say(t, word, "a name and its target are wanted");
		return;
	}
	/* A service has the name that people read: "New Employee Page._http._tcp". */
	bool ok = true;
	for (const char *c = unquoted(trimmed(f[1])); ok && *c; c++)
		ok = buf_printf(&b, *c == ' ' ? "\\032" : "%c", *c);
	made_record(t, trimmed(f[0]), "PTR", &b, ok && buf_printf(&b, "."));
}

/* name,order,preference,flags,service,regexp[,replacement] */
static void naptr_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	struct buf b = { 0 };
	int n = fields_cut(value, ',', f);
	if (n < 6) {
		target_say(t, word, "six parts are wanted");
		return;
	}
	bool ok = buf_printf(&b, "%s %s ", f[1], f[2]) && texts_put(&b, f + 3, 3) &&
		  buf_printf(&b, " %s.", n > 6 ? f[6] : "");
	made_record(t, trimmed(f[0]), "NAPTR", &b, ok);
}

/* name,flags,tag,value */
static void caa_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	struct buf b = { 0 };
	if (fields_cut(value, ',', f) < 4) {
		target_say(t, word, "four parts are wanted");
		return;
	}
	bool ok = buf_printf(&b, "%s %s ", f[1], f[2]) && texts_put(&b, f + 3, 1);
	made_record(t, trimmed(f[0]), "CAA", &b, ok);
}

/* name,number,hex: of any type, as RFC 3597 writes it. */
static void rr_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX], type[32], hex[TARGET_WORD_MAX], text[TARGET_WORD_MAX * 2];
	int n = fields_cut(value, ',', f);
	size_t len = 0;
	if (n < 2 || !is_number(f[1])) {
		target_say(t, word, "a name and the number of a type are wanted");
		return;
	}
	for (const char *c = n > 2 ? f[2] : ""; *c && len + 1 < sizeof(hex); c++)
		if (!strchr(": \t", *c))
			hex[len++] = *c;
	hex[len] = 0;
	snprintf(type, sizeof(type), "TYPE%s", f[1]);
	snprintf(text, sizeof(text), "\\# %zu %s", len / 2, hex);
	target_record(t, trimmed(f[0]), type, text);
}

static void hosts_of(struct target *t, const char *word, char *value)
{
	(void)word;
	target_add(t, &t->hosts, value);
}

static void leases_of(struct target *t, const char *word, char *value)
{
	(void)word;
	target_add(t, &t->leases, value);
}

/* domain=lan[,NETWORK[,local]]: of which the first, or the one for all addresses, counts. */
static void domain_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	int n = fields_cut(value, ',', f);
	char domain[DNS_NAME_TEXT];
	if (strcmp(trimmed(f[0]), "#") == 0) {
		target_say(t, word, "the domain of resolv.conf is not looked up: say it by its name");
		return;
	}
	if (!target_domain(t, word, trimmed(f[0]), domain))
		return;
	if (n > 2 && strcmp(trimmed(f[2]), "local") == 0)
		target_authority(t, domain);
	if (n > 1 && t->domain) {
		target_say(t, word, "%s: all addresses are in one domain, %s", domain, t->domain);
		return;
	}
	if (n > 1)
		target_say(t, word, "it is for all addresses here, not for those of %s alone", trimmed(f[1]));
	t->domain = target_text(t, domain, strlen(domain));
}

static void expand_of(struct target *t, const char *word, char *value)
{
	(void)word;
	(void)value;
	t->expand_hosts = true;
}

/* ---- the rest ---- */

static void rebind_of(struct target *t, const char *word, char *value)
{
	(void)word;
	(void)value;
	t->refuse_private = true;
}

static void rebind_ok_of(struct target *t, const char *word, char *value)
{
	char *f[FIELDS_MAX];
	int n = fields_cut(value, '/', f);
	(void)word;
	for (int i = 0; i < n; i++)
		if (*trimmed(f[i]))
			target_except(t, trimmed(f[i]));
}

static void cache_of(struct target *t, const char *word, char *value)
{
	uint64_t n;
	if (!text_u64(value, 0, CACHE_MAX, &n))
		target_say(t, word, "not a number of names up to %d", CACHE_MAX);
	else if (!n)
		target_say(t, word, "the cache cannot be turned off");
	else
		t->cache_bytes = n * ENTRY_BYTES;
}

static void ttl_of(struct target *t, const char *word, char *value)
{
	if (!text_u64(value, 1, 86400, &t->ttl))
		target_say(t, word, "1 to 86400 s are possible");
}

static void stale_of(struct target *t, const char *word, char *value)
{
	uint64_t s = 86400;
	if (*value && !text_u64(value, 0, UINT32_MAX, &s))
		target_say(t, word, "not a number of seconds");
	else
		t->stale_s = s && s < 3 * 86400 ? (int64_t)s : 3 * 86400;
}

static void dnssec_of(struct target *t, const char *word, char *value)
{
	(void)word;
	(void)value;
	t->validate = true;
}

static void lower_of(struct target *t, const char *word, char *value)
{
	(void)word;
	(void)value;
	t->lower_case = true;
}

static void log_of(struct target *t, const char *word, char *value)
{
	(void)word;
	(void)value;
	t->query_log = true;
}

static void no_hosts_of(struct target *t, const char *word, char *value)
{
	(void)word;
	(void)value;
	t->no_hosts = true;
}

void convert_dnsmasq_take(void *arg, const char *file, const char *text, size_t len)
{
	convert_dnsmasq(arg, file, text, len);
}

static void file_of(struct target *t, const char *word, char *value)
{
	target_include(t, &(struct target_include) { .what = word,
				  .path = unquoted(value),
				  .once = true,
				  .take = convert_dnsmasq_take,
				  .arg = t });
}

/* "/etc/dnsmasq.d,*.conf" */
static void folder_of(struct target *t, const char *word, char *value)
{
	char *only = strchr(value, ',');
	if (only)
		*only++ = 0;
	target_include(t, &(struct target_include) { .what = word,
				  .path = trimmed(value),
				  .only = only ? only : "",
				  .once = true,
				  .take = convert_dnsmasq_take,
				  .arg = t });
}

/* value: optional, wanted or none. why: instead of a function. */
static const struct row {
	const char *word;
	bool valued;
	void (*take)(struct target *t, const char *word, char *value);
	const char *why; /* "": it is so here without a word, and nothing is said */
} rows[] = {
	{ "port", true, port_of, NULL },
	{ "listen-address", true, listen_of, NULL },
	{ "server", true, server_of, NULL },
	{ "local", true, server_of, NULL },
	{ "rev-server", true, rev_server_of, NULL },
	{ "strict-order", false, order_of, NULL },
	{ "all-servers", false, order_of, NULL },
	{ "address", true, address_of, NULL },
	{ "host-record", true, host_record_of, NULL },
	{ "cname", true, cname_of, NULL },
	{ "mx-host", true, mx_of, NULL },
	{ "srv-host", true, srv_of, NULL },
	{ "txt-record", true, txt_of, NULL },
	{ "ptr-record", true, ptr_of, NULL },
	{ "naptr-record", true, naptr_of, NULL },
	{ "caa-record", true, caa_of, NULL },
	{ "dns-rr", true, rr_of, NULL },
	{ "addn-hosts", true, hosts_of, NULL },
	{ "hostsdir", true, hosts_of, NULL },
	{ "dhcp-leasefile", true, leases_of, NULL },
	{ "stop-dns-rebind", false, rebind_of, NULL },
	{ "rebind-domain-ok", true, rebind_ok_of, NULL },
	{ "cache-size", true, cache_of, NULL },
	{ "local-ttl", true, ttl_of, NULL },
	{ "use-stale-cache", false, stale_of, NULL },
	{ "log-queries", false, log_of, NULL },
	{ "no-0x20-encode", false, lower_of, NULL },
	{ "do-0x20-encode", false, NULL, "" },
	{ "bogus-priv", false, NULL, "" },
	{ "domain-needed", false, NULL, "" },
	{ "no-resolv", false, NULL, "" },
	{ "no-poll", false, NULL, "" },
	{ "local-service", false, NULL, "" },
	{ "bind-interfaces", false, NULL, "" },
	{ "bind-dynamic", false, NULL, "" },
	{ "localise-queries", false, NULL, "all addresses of a name are given, whoever asks" },
	{ "user", true, NULL, "" },
	{ "group", true, NULL, "" },
	{ "pid-file", true, NULL, "" },
	{ "keep-in-foreground", false, NULL, "" },
	{ "no-daemon", false, NULL, "" },
	{ "log-facility", true, NULL, "" },
	{ "log-async", false, NULL, "" },
	{ "edns-packet-max", true, NULL, "" },
	{ "dns-forward-max", true, NULL, "" },
	{ "dns-loop-detect", false, NULL, "" },
	{ "query-port", true, NULL, "questions leave from random ports, a few from each" },
	{ "min-port", true, NULL, "questions leave from random ports, a few from each" },
	{ "max-port", true, NULL, "questions leave from random ports, a few from each" },
	{ "interface", true, NULL, "it listens on addresses: name them in \"listen\"" },
	{ "except-interface", true, NULL, "it listens on addresses: name them in \"listen\"" },
	{ "resolv-file", true, NULL, "servers of a file are not followed: name them in \"upstreams\"" },
	{ "conf-file", true, file_of, NULL },
	{ "conf-dir", true, folder_of, NULL },
	{ "servers-file", true, file_of, NULL },
	{ "conf-script", true, NULL, "no program is run for the configuration" },
	{ "no-hosts", false, no_hosts_of, NULL },
	{ "expand-hosts", false, expand_of, NULL },
	{ "domain", true, domain_of, NULL },
	{ "rebind-localhost-ok", false, NULL,
		"say in rebinding's \"except\" which names may lead to this machine" },
	{ "no-negcache", false, NULL, "what does not exist is kept for an hour at most" },
	{ "neg-ttl", true, NULL, "times are those of the answers" },
	{ "max-ttl", true, NULL, "times are those of the answers" },
	{ "min-cache-ttl", true, NULL, "times are those of the answers" },
	{ "max-cache-ttl", true, NULL, "times are those of the answers" },
	{ "auth-ttl", true, NULL, "it is no authoritative server for others" },
	{ "auth-server", true, NULL, "it is no authoritative server for others" },
	{ "auth-zone", true, NULL, "it is no authoritative server for others" },
	{ "bogus-nxdomain", true, NULL, "answers are not changed by their addresses" },
	{ "ignore-address", true, NULL, "answers are not changed by their addresses" },
	{ "alias", true, NULL, "answers are not changed by their addresses" },
	{ "filter-A", false, NULL, "records are not left out of answers by type" },
	{ "filter-AAAA", false, NULL, "records are not left out of answers by type" },
	{ "dnssec", false, dnssec_of, NULL },
	{ "trust-anchor", true, NULL, "anchors are in a file: dnssec's \"anchors\"" },
	{ "dnssec-check-unsigned", false, NULL, "" },
	{ "proxy-dnssec", false, NULL, "only servers that are trusted are believed (AD)" },
	{ "ipset", true, NULL, "no firewall is told" },
	{ "nftset", true, NULL, "no firewall is told" },
	{ "add-mac", false, NULL, "who asks is not passed on" },
	{ "add-subnet", false, NULL, "who asks is not passed on" },
	{ "add-cpe-id", true, NULL, "who asks is not passed on" },
};

static const struct row *row_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].word, word) == 0)
			return &rows[i];
	return NULL;
}

static void word_take(struct target *t, const char *word, char *value)
{
	const struct row *r = row_of(word);
	bool dhcp = strncmp(word, "dhcp-", 5) == 0 || strncmp(word, "tftp-", 5) == 0 ||
		    strncmp(word, "enable-", 7) == 0 || strncmp(word, "pxe-", 4) == 0 ||
		    strcmp(word, "read-ethers") == 0 || strncmp(word, "ra-", 3) == 0;
	t->is_dhcp = t->is_dhcp || strcmp(word, "dhcp-range") == 0;
	if (r && r->take && (!r->valued || *value))
		r->take(t, word, value);
	else if (r && r->take)
		target_say(t, word, "it needs a value");
	else if (r && *r->why)
		target_say(t, word, "no counterpart: %s", r->why);
	else if (!r && dhcp)
		target_say(t, word,
			"no counterpart: DHCP, TFTP and router advertisements stay with dnsmasq (port=0); "
			"names-from reads its leases");
	else if (!r)
		target_say(t, word, "no counterpart");
}

void convert_dnsmasq_line(struct target *t, const char *line, size_t len)
{
	char *copy = malloc(len + 1);
	if (!copy) {
		t->short_of_memory = true;
		return;
	}
	memcpy(copy, line, len);
	copy[len] = 0;
	bool inside = false;
	for (char *c = copy; *c; c++) {
		inside ^= *c == '"';
		if (*c == '#' && !inside && (c == copy || c[-1] == ' ' || c[-1] == '\t'))
			*c = 0;
		if (!*c)
			break;
	}
	char *word = trimmed(copy), *value = strchr(word, '=');
	if (value)
		*value++ = 0;
	word = trimmed(word);
	if (*word)
		word_take(t, word, value ? trimmed(value) : word + strlen(word));
	free(copy);
}

void convert_dnsmasq(struct target *t, const char *file, const char *text, size_t len)
{
	t->file = file;
	t->line = 0;
	for (const char *at = text, *end = text + len; at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = stop ? (size_t)(stop - at) : (size_t)(end - at);
		t->line++;
		if (memchr(at, 0, n))
			target_say(t, "NUL", "this line is no text");
		else
			convert_dnsmasq_line(t, at, n);
		at += n + (stop != NULL);
	}
	t->line = 0;
}
