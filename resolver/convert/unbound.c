/* unbound.conf: clauses ("server:"), and in them attributes ("name: value"), each on a line or several to one; # begins a comment,
 * values may stand in quotes. */
#include "resolver/convert/convert.h"

#include "mesh/base/err.h"
#include "mesh/base/nat64.h"
#include "mesh/base/text.h"
#include "resolver/name.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum clause { SERVER, FORWARD, STUB, RPZ, REMOTE, OTHER, CLAUSES };
enum { ADDRESSES_MAX = 16, WORD_MAX = 4096, CACHE_MAX = 1 << 30 };

struct unbound {
	struct target *t;
	enum clause clause;
	/* of a zone that is being read */
	const char *zone_file;
	unsigned zone_line;
	char name[TARGET_WORD_MAX], file[TARGET_WORD_MAX], url[TARGET_WORD_MAX];
	char addresses[ADDRESSES_MAX][256];
	size_t n_addresses;
	bool tls;
	bool root; /* somebody is asked for everything */
	uint64_t cache_bytes;
	int64_t stale_s; /* -1: not said */
	bool stale, no_validator, translates;
	const char *prefix; /* of the translator; NULL: not said */
	size_t n_rpz;
};

/* ---- zones ---- */

static void rpz_end(struct unbound *u)
{
	char name[32];
	snprintf(name, sizeof(name), "rpz-%zu", ++u->n_rpz);
	const char *from = *u->url ? u->url : u->file;
	if (*u->url && strncmp(u->url, "https://", 8) != 0 && strncmp(u->url, "http://", 7) != 0) {
		target_say(u->t, u->url, "a list comes by http or https");
		return;
	}
	struct target_list *l = target_is_plain(u->t, u->name, from) ? target_list_add(u->t, name) : NULL;
	if (!l)
		return;
	if (*u->url) {
		l->url = target_text(u->t, u->url, strlen(u->url));
		u->t->store = "/var/cache/ropewalk-resolver";
	} else {
		l->file = target_text(u->t, u->file, strlen(u->file));
	}
	u->t->answer = u->t->answer ? u->t->answer : "nxdomain";
}

/* "9.9.9.9@853#dns.quad9.net" */
static void forward_take(struct unbound *u, const char *suffix, const char *address)
{
	char server[TARGET_WORD_MAX], ip[256];
	size_t len = strcspn(address, "@#");
	unsigned port = u->tls ? 853 : 53;
	struct addr at;
	snprintf(ip, sizeof(ip), "%.*s", (int)len, address);
	const char *name = strchr(address, '#');
	if (address[len] == '@')
		(void)sscanf(address + len + 1, "%u", &port);
	if (!addr_parse(ip, &at) || !port || port > UINT16_MAX) {
		target_say(u->t, address, "not the address of a server");
		return;
	}
	if (u->tls)
		snprintf(server, sizeof(server),
			addr_is_v4(&at) ? "tls://%s:%u%.300s" : "tls://[%s]:%u%.300s", ip, port,
			name ? name : "");
	else
		snprintf(server, sizeof(server), "%s#%u", ip, port);
	target_upstream(u->t, suffix, server);
}

static void zone_end(struct unbound *u)
{
	bool forwards = u->clause == FORWARD || u->clause == STUB;
	const char *file = u->t->file;
	unsigned line = u->t->line;
	u->t->file = u->zone_file;
	u->t->line = u->zone_line;
	if (u->clause == RPZ && (*u->url || *u->file))
		rpz_end(u);
	if (forwards && !*u->name)
		target_say(u->t, "zone", "it has no name");
	for (size_t i = 0; forwards && *u->name && i < u->n_addresses; i++)
		forward_take(u, u->name, u->addresses[i]);
	if (forwards && u->n_addresses && strcmp(u->name, ".") == 0)
		u->root = true;
	if (u->clause == STUB && u->n_addresses)
		target_say(u->t, u->name,
			"stub-zone: its servers are asked as if they knew everything below it");
	u->t->file = file;
	u->t->line = line;
	u->name[0] = u->file[0] = u->url[0] = 0;
	u->n_addresses = 0;
	u->tls = false;
}

static void clause_begin(struct unbound *u, const char *word)
{
	static const struct {
		const char *word;
		enum clause clause;
	} rows[] = { { "server", SERVER }, { "forward-zone", FORWARD }, { "stub-zone", STUB }, { "rpz", RPZ },
		{ "remote-control", REMOTE } };
	zone_end(u);
	u->zone_file = u->t->file;
	u->zone_line = u->t->line;
	u->clause = OTHER;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].word, word) == 0)
			u->clause = rows[i].clause;
	if (u->clause == OTHER)
		target_say(u->t, word, "no counterpart, nor for what is in it");
}

/* ---- server: ---- */

static void secure_listen(struct unbound *u, const char *ip, unsigned port)
{
	struct target_items *to = port == 853 ? &u->t->tls : &u->t->https;
	struct addr at;
	if (!addr_parse(ip, &at) || to->n >= 8)
		target_say(u->t, ip, "not an address, or too many");
	else
		target_add(u->t, to, ip);
}

static void path_set(struct unbound *u, const char **to, const char *value)
{
	if (target_is_plain(u->t, "file", value))
		*to = target_text(u->t, value, strlen(value));
}

static void certificate_of(struct unbound *u, const char *value)
{
	path_set(u, &u->t->certificate, value);
}
static void key_of(struct unbound *u, const char *value)
{
	path_set(u, &u->t->key, value);
}

/* The file that it keeps up to date for itself; here the root's anchors of the machine are taken. */
static void own_anchor_of(struct unbound *u, const char *value)
{
	(void)value;
	u->t->validate = true;
}
static void anchor_file_of(struct unbound *u, const char *value)
{
	u->t->validate = true;
	path_set(u, &u->t->anchors, value);
}
static void modules_of(struct unbound *u, const char *value)
{
	u->no_validator = !strstr(value, "validator");
	u->translates = strstr(value, "dns64") != NULL;
}
static void dns64_of(struct unbound *u, const char *value)
{
	struct nat64 n;
	if (nat64_parse(value, &n))
		u->prefix = target_text(u->t, value, strlen(value));
	else
		target_say(u->t, "dns64-prefix", "\"%s\" is not a network of 32, 40, 48, 56, 64 or 96 bits",
			value);
}
static void insecure_of(struct unbound *u, const char *value)
{
	target_insecure(u->t, value);
}

static void interface_of(struct unbound *u, const char *value)
{
	char ip[256];
	size_t len = strcspn(value, "@");
	unsigned port = 0;
	snprintf(ip, sizeof(ip), "%.*s", (int)len, value);
	if (value[len] && (sscanf(value + len + 1, "%u", &port) != 1 || !port || port > UINT16_MAX))
		target_say(u->t, value, "not a port");
	else if (port == 853 || port == 443)
		secure_listen(u, ip, port);
	else
		target_listen(u->t, ip, port);
}

static void port_of(struct unbound *u, const char *value)
{
	uint64_t n;
	if (!text_u64(value, 1, UINT16_MAX, &n)) {
		target_say(u->t, "port", "not a port");
		return;
	}
	u->t->port = (uint16_t)n;
}

static void access_of(struct unbound *u, const char *value)
{
	char net[128] = "", action[64] = "";
	if (sscanf(value, "%127s %63s", net, action) != 2)
		target_say(u->t, "access-control", "a network and a word are wanted");
	else if (strncmp(action, "allow", 5) == 0)
		target_allow(u->t, net);
	else if (strcmp(action, "refuse") != 0 && strcmp(action, "deny") != 0 &&
		 strcmp(action, "refuse_non_local") != 0 && strcmp(action, "deny_non_local") != 0)
		target_say(u->t, "access-control", "no such word: %s", action);
	else
		target_say(u->t, net,
			"who is not in \"allow\" is refused: a smaller network inside one that may ask "
			"cannot be");
}

static void zone_of(struct unbound *u, const char *value)
{
	static const struct {
		const char *theirs, *ours, *but; /* but: what is not the same */
	} rows[] = { { "static", "static", NULL }, { "refuse", "refuse", NULL },
		{ "transparent", "transparent", NULL }, { "typetransparent", "typetransparent", NULL },
		{ "redirect", "redirect", NULL }, { "always_nxdomain", "always-nxdomain", NULL },
		{ "always_nodata", "always-nodata", NULL }, { "always_refuse", "always-refuse", NULL },
		{ "always_null", "always-null", NULL }, { "always_transparent", "always-transparent", NULL },
		{ "nodefault", "transparent", NULL }, { "deny", "refuse", "who asks is answered: REFUSED" },
		{ "always_deny", "always-refuse", "who asks is answered: REFUSED" },
		{ "inform", "transparent", "nothing is logged of it but with query-log" },
		{ "inform_redirect", "redirect", "nothing is logged of it but with query-log" },
		{ "inform_deny", "refuse", "who asks is answered: REFUSED" } };
	char name[TARGET_WORD_MAX] = "", word[64] = "";
	if (sscanf(value, "%1023s %63s", name, word) != 2) {
		target_say(u->t, "local-zone", "a name and a word are wanted");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].theirs, word) != 0)
			continue;
		if (rows[i].but)
			target_say(u->t, name, "%s: %s", word, rows[i].but);
		target_zone(u->t, name, rows[i].ours);
		return;
	}
	target_say(u->t, name, "no counterpart of the word %s", word);
}

/* "nas.lan. 3600 IN A 192.168.1.5": a time and a class may be left out. */
static void data_of(struct unbound *u, const char *value)
{
	char name[TARGET_WORD_MAX] = "", word[64] = "";
	uint64_t n;
	int used = 0;
	if (sscanf(value, " %1023s %n", name, &used) != 1 || !used) {
		target_say(u->t, "local-data", "it is empty");
		return;
	}
	const char *rest = value;
	do {
		rest += used;
		word[0] = 0;
		used = 0;
		(void)sscanf(rest, "%63s %n", word, &used);
	} while (*word && used && (text_u64(word, 0, UINT32_MAX, &n) || strcasecmp(word, "IN") == 0));
	for (char *c = word; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	if (!*word || !used || !rest[used])
		target_say(u->t, name, "there is no record in it");
	else
		target_record(u->t, name, word, rest + used);
}

static void data_ptr_of(struct unbound *u, const char *value)
{
	char ip[128] = "", word[TARGET_WORD_MAX] = "", reverse[DNS_NAME_TEXT], target[DNS_NAME_TEXT];
	struct dns_name name;
	struct addr at;
	uint64_t n;
	int used = 0;
	bool ok = sscanf(value, "%127s %n", ip, &used) == 1 && addr_parse(ip, &at);
	ok = ok && sscanf(value + used, "%1023s", word) == 1;
	if (ok && text_u64(word, 0, UINT32_MAX, &n)) /* a time */
		ok = sscanf(value + used, "%*s %1023s", word) == 1;
	if (!ok) {
		target_say(u->t, "local-data-ptr", "an address and a name are wanted");
		return;
	}
	dns_name_reverse(&at, &name);
	snprintf(target, sizeof(target), "%.1000s.", word);
	target_record(u->t, dns_name_format(&name, reverse), "PTR", target);
}

static void private_of(struct unbound *u, const char *value)
{
	(void)value;
	u->t->refuse_private = true;
}

static void private_domain_of(struct unbound *u, const char *value)
{
	target_except(u->t, value);
}

static void expired_of(struct unbound *u, const char *value)
{
	u->stale = strcmp(value, "yes") == 0;
}

static void expired_ttl_of(struct unbound *u, const char *value)
{
	uint64_t s;
	if (text_u64(value, 0, UINT32_MAX, &s))
		u->stale_s = s && s < 3 * 86400 ? (int64_t)s : 3 * 86400;
}

static void rate_of(struct unbound *u, const char *value)
{
	uint64_t n;
	if (text_u64(value, 1, 1000000, &n))
		u->t->rate = n;
}

static void log_of(struct unbound *u, const char *value)
{
	u->t->query_log = u->t->query_log || strcmp(value, "yes") == 0;
}

static void cache_of(struct unbound *u, const char *value)
{
	unsigned long n = 0;
	char unit = 0;
	if (sscanf(value, "%9lu%c", &n, &unit) < 1)
		return;
	uint64_t bytes = (uint64_t)n * (unit == 'k' || unit == 'K'	    ? 1 << 10
					       : unit == 'm' || unit == 'M' ? 1 << 20
					       : unit == 'g' || unit == 'G' ? 1 << 30
									    : 1);
	u->cache_bytes += bytes < CACHE_MAX ? bytes : CACHE_MAX;
}

/* Without the word it is off there and on here: who says so has tried it, or was told to. */
static void caps_of(struct unbound *u, const char *value)
{
	u->t->lower_case = strcmp(value, "no") == 0;
}

static const struct row {
	const char *word; /* or its beginning, when it ends in '*' */
	void (*take)(struct unbound *u, const char *value);
	const char *why; /* "": so here without a word, or nothing that a resolver's clients see */
} rows[] = {
	{ "interface", interface_of, NULL },
	{ "ip-address", interface_of, NULL },
	{ "port", port_of, NULL },
	{ "access-control", access_of, NULL },
	{ "local-zone", zone_of, NULL },
	{ "local-data", data_of, NULL },
	{ "local-data-ptr", data_ptr_of, NULL },
	{ "private-address", private_of, NULL },
	{ "private-domain", private_domain_of, NULL },
	{ "serve-expired", expired_of, NULL },
	{ "serve-expired-ttl", expired_ttl_of, NULL },
	{ "ip-ratelimit", rate_of, NULL },
	{ "log-queries", log_of, NULL },
	{ "msg-cache-size", cache_of, NULL },
	{ "rrset-cache-size", cache_of, NULL },
	{ "prefetch", NULL, "" },
	{ "prefetch-key", NULL, "" },
	{ "harden-*", NULL, "" },
	{ "use-caps-for-id", caps_of, NULL },
	{ "caps-exempt", NULL, "" },
	{ "caps-whitelist", NULL, "" },
	{ "qname-minimisation*", NULL, "" },
	{ "aggressive-nsec", NULL, "" },
	{ "hide-*", NULL, "" },
	{ "identity", NULL, "" },
	{ "version", NULL, "" },
	{ "verbosity", NULL, "" },
	{ "num-*", NULL, "" },
	{ "so-*", NULL, "" },
	{ "*-slabs", NULL, "" },
	{ "outgoing-*", NULL, "" },
	{ "incoming-num-tcp", NULL, "" },
	{ "do-ip4", NULL, "" },
	{ "do-ip6", NULL, "" },
	{ "do-udp", NULL, "" },
	{ "do-tcp", NULL, "" },
	{ "do-daemonize", NULL, "" },
	{ "do-not-query-localhost", NULL, "" },
	{ "unblock-lan-zones", NULL, "" },
	{ "edns-*", NULL, "" },
	{ "max-udp-size", NULL, "" },
	{ "minimal-responses", NULL, "" },
	{ "rrset-roundrobin", NULL, "" },
	{ "username", NULL, "" },
	{ "chroot", NULL, "" },
	{ "directory", NULL, "" },
	{ "pidfile", NULL, "" },
	{ "logfile", NULL, "" },
	{ "use-syslog", NULL, "" },
	{ "log-*", NULL, "" },
	{ "statistics-*", NULL, "" },
	{ "extended-statistics", NULL, "" },
	{ "tls-cert-bundle", NULL, "say it as \"upstream-authorities\" if it is not the machine's own" },
	{ "serve-expired-*", NULL, "" },
	{ "root-hints", NULL, "it asks other resolvers, not the root" },
	{ "module-config", modules_of, NULL },
	{ "dns64-prefix", dns64_of, NULL },
	{ "auto-trust-anchor-file", own_anchor_of, NULL },
	{ "trust-anchor-file", anchor_file_of, NULL },
	{ "trust-anchor-signaling", NULL, "" },
	{ "trust-anchor*", NULL, "anchors are in a file: dnssec's \"anchors\"" },
	{ "trusted-keys-file", NULL, "anchors are in a file: dnssec's \"anchors\"" },
	{ "domain-insecure", insecure_of, NULL },
	{ "val-*", NULL, "how it validates cannot be tuned" },
	{ "cache-*", NULL, "times are those of the answers" },
	{ "tls-service-pem", certificate_of, NULL },
	{ "tls-service-key", key_of, NULL },
	{ "tls-port", NULL, "say the port with the address in \"secure\"" },
	{ "https-port", NULL, "say the port with the address in \"secure\"" },
	{ "tls-*", NULL, "how TLS is spoken cannot be tuned" },
	{ "define-tag", NULL, "who gets what is said by groups, for blocking alone" },
	{ "*-tag*", NULL, "who gets what is said by groups, for blocking alone" },
	{ "*-view", NULL, "who gets what is said by groups, for blocking alone" },
};

static bool word_is(const char *pattern, const char *word)
{
	size_t len = strlen(pattern);
	if (pattern[0] == '*' && pattern[len - 1] == '*') {
		char inner[32];
		snprintf(inner, sizeof(inner), "%.*s", (int)(len - 2), pattern + 1);
		return strstr(word, inner);
	}
	if (pattern[0] == '*')
		return strlen(word) >= len - 1 && strcmp(word + strlen(word) - (len - 1), pattern + 1) == 0;
	if (pattern[len - 1] == '*')
		return strncmp(word, pattern, len - 1) == 0;
	return strcmp(word, pattern) == 0;
}

static void server_take(struct unbound *u, const char *word, const char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!word_is(rows[i].word, word))
			continue;
		if (rows[i].take)
			rows[i].take(u, value);
		else if (*rows[i].why)
			target_say(u->t, word, "no counterpart: %s", rows[i].why);
		return;
	}
	target_say(u->t, word, "no counterpart");
}

static void zone_take(struct unbound *u, const char *word, const char *value)
{
	bool address = strcmp(word, u->clause == STUB ? "stub-addr" : "forward-addr") == 0;
	if (strcmp(word, "name") == 0)
		snprintf(u->name, sizeof(u->name), "%s", value);
	else if (address && u->n_addresses < ADDRESSES_MAX)
		snprintf(u->addresses[u->n_addresses++], sizeof(u->addresses[0]), "%s", value);
	else if (strcmp(word, "forward-tls-upstream") == 0 || strcmp(word, "forward-ssl-upstream") == 0 ||
		 strcmp(word, "stub-tls-upstream") == 0)
		u->tls = strcmp(value, "yes") == 0;
	else if (strcmp(word, "forward-host") == 0 || strcmp(word, "stub-host") == 0)
		target_say(u->t, word, "no counterpart: a server is named by its address");
	else if (strcmp(word, "forward-first") == 0 || strcmp(word, "stub-first") == 0) {
		if (strcmp(value, "yes") == 0)
			target_say(u->t, word, "no counterpart: it does not ask the root when these fail");
	} else if (strcmp(word, "forward-no-cache") != 0 && strcmp(word, "stub-no-cache") != 0)
		target_say(u->t, word, "no counterpart");
}

static void rpz_take(struct unbound *u, const char *word, const char *value)
{
	if (strcmp(word, "name") == 0)
		snprintf(u->name, sizeof(u->name), "%s", value);
	else if (strcmp(word, "zonefile") == 0)
		snprintf(u->file, sizeof(u->file), "%s", value);
	else if (strcmp(word, "url") == 0)
		snprintf(u->url, sizeof(u->url), "%s", value);
	else if (strncmp(word, "rpz-log", 7) != 0)
		target_say(u->t, word, "no counterpart");
}

static void lines_take(void *arg, const char *file, const char *text, size_t len);

/* What is included stands where the line does, inside a clause too; at the top level it begins and ends clauses of its own. */
static void include_take(struct unbound *u, const char *word, const char *value)
{
	bool top = strcmp(word, "include-toplevel") == 0;
	if (top)
		clause_begin(u, "server");
	target_include(
		u->t, &(struct target_include) { .what = word, .path = value, .take = lines_take, .arg = u });
	if (top)
		clause_begin(u, "server");
}

static void attribute_take(struct unbound *u, const char *word, const char *value)
{
	static const char *const clauses[] = { "server", "forward-zone", "stub-zone", "rpz", "remote-control",
		"auth-zone", "view", "python", "dynlib", "dnscrypt", "cachedb", "ipset", "dnstap" };
	for (size_t i = 0; i < ARRAY_LEN(clauses); i++)
		if (strcmp(clauses[i], word) == 0) {
			clause_begin(u, word);
			return;
		}
	if (strcmp(word, "include") == 0 || strcmp(word, "include-toplevel") == 0)
		include_take(u, word, value);
	else if (u->clause == SERVER)
		server_take(u, word, value);
	else if (u->clause == FORWARD || u->clause == STUB)
		zone_take(u, word, value);
	else if (u->clause == RPZ)
		rpz_take(u, word, value);
}

/* ---- text ---- */

struct text {
	const char *at, *end;
};

static void blanks_skip(struct text *x)
{
	while (x->at < x->end && (*x->at == ' ' || *x->at == '\t' || *x->at == '\r'))
		x->at++;
	if (x->at < x->end && *x->at == '#')
		x->at = x->end;
}

/* A value: to the end of the line, or between quotes. */
static void value_take(struct text *x, const char *word, char out[static WORD_MAX])
{
	size_t n = 0;
	bool whole = strcmp(word, "local-zone") == 0 || strncmp(word, "access-control", 14) == 0 ||
		     strncmp(word, "local-data", 10) == 0; /* several words, some of them in quotes */
	char quote = 0;
	for (; x->at < x->end; x->at++) {
		char c = *x->at;
		if (quote ? c == quote : c == '"' || c == '\'') {
			quote = quote ? 0 : c;
			continue;
		}
		bool apart = !n || strchr(" \t", out[n - 1]); /* a # within a word belongs to it */
		if (!quote && ((c == '#' && apart) || (!whole && (c == ' ' || c == '\t' || c == '\r'))))
			break;
		if (n + 1 < WORD_MAX)
			out[n++] = c;
	}
	while (n && strchr(" \t\r", out[n - 1]))
		n--;
	out[n] = 0;
}

static void line_take(struct unbound *u, struct text x)
{
	char word[64], value[WORD_MAX];
	for (blanks_skip(&x); x.at < x.end; blanks_skip(&x)) {
		size_t n = 0;
		const char *begin = x.at;
		while (x.at < x.end && *x.at != ':' && *x.at != ' ' && *x.at != '\t')
			x.at++;
		n = (size_t)(x.at - begin);
		snprintf(word, sizeof(word), "%.*s", n < sizeof(word) ? (int)n : 0, begin);
		if (!*word || x.at == x.end || *x.at != ':') {
			target_say(u->t, *word ? word : "line", "\"name: value\" is wanted");
			return;
		}
		x.at++;
		blanks_skip(&x);
		bool clause = x.at == x.end;
		value[0] = 0;
		if (!clause)
			value_take(&x, word, value);
		attribute_take(u, word, value);
	}
}

static void lines_take(void *arg, const char *file, const char *text, size_t len)
{
	struct unbound *u = arg;
	u->t->file = file;
	u->t->line = 0;
	for (const char *at = text, *end = text + len; at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = stop ? (size_t)(stop - at) : (size_t)(end - at);
		u->t->line++;
		if (memchr(at, 0, n))
			target_say(u->t, "NUL", "this line is no text");
		else
			line_take(u, (struct text) { at, at + n });
		at += n + (stop != NULL);
	}
}

void convert_unbound(struct target *t, const char *file, const char *text, size_t len)
{
	struct unbound *u = calloc(1, sizeof(*u));
	t->file = file;
	t->line = 0;
	if (!u) {
		t->short_of_memory = true;
		return;
	}
	u->t = t;
	u->clause = SERVER;
	u->zone_file = file;
	u->stale_s = -1;
	lines_take(u, file, text, len);
	zone_end(u);
	t->line = 0;
	t->validate = t->validate && !u->no_validator;
	if (u->translates)
		t->dns64 = u->prefix ? u->prefix : "64:ff9b::/96";
	if ((t->tls.n || t->https.n) && (!t->certificate || !t->key))
		target_say(
			t, "interface", "clients by TLS and HTTPS need tls-service-pem and tls-service-key");
	t->stale_s = !u->stale ? 0 : u->stale_s >= 0 ? u->stale_s : 86400;
	t->cache_bytes = u->cache_bytes ? u->cache_bytes : t->cache_bytes;
	if (!u->root)
		target_say(t, "forward-zone \".\"",
			"there is none: unbound asks the root itself, and this resolver other resolvers: "
			"name some in \"upstreams\"");
	free(u);
}
