#include "simnet/natprobe/user_report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REPORT_DEPTH = 8 };

/* ---- JSON ---- */

/* true, "true", and what says neither. */
static enum user_word word_of(const json_t *root, const char *key)
{
	const json_t *v = json_object_get(root, key);
	const char *text = json_string_value(v);

	if (json_is_boolean(v))
		return json_is_true(v) ? USER_YES : USER_NO;
	if (text && !strcasecmp(text, "true"))
		return USER_YES;
	return text && !strcasecmp(text, "false") ? USER_NO : USER_UNKNOWN;
}

static enum user_word any_of(const json_t *root, const char *const *keys)
{
	enum user_word all = USER_UNKNOWN;

	for (; *keys; keys++) {
		enum user_word one = word_of(root, *keys);
		if (one > all)
			all = one;
	}
	return all;
}

static void keep_nearest(double ms, double *nearest)
{
	if (ms > 0 && ms < 60000 && (!*nearest || ms < *nearest))
		*nearest = ms;
}

/* Official: nanoseconds by region; ours: a list with seconds. */
static double nearest_of(const json_t *root)
{
	const json_t *regions = json_object_get(root, "RegionLatency"), *v;
	double nearest = 0;
	const char *key;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)regions, key, v)
		keep_nearest(json_number_value(v) / 1e6, &nearest);
	json_array_foreach(json_object_get(root, "Regions"), i, v)
		keep_nearest(json_number_value(json_object_get(v, "LatencySeconds")) * 1e3, &nearest);
	return nearest;
}

static int index_of(const char *const *words, const char *word)
{
	for (int i = 0; word && words[i]; i++)
		if (!strcasecmp(words[i], word))
			return i;
	return -1;
}

static void read_probe(const json_t *root, struct user_report *r)
{
	const char *hairpin = json_string_value(json_object_get(root, "hairpin"));

	r->kind = "probe";
	r->udp = word_of(root, "udp");
	r->ipv4 = USER_YES;
	r->ipv6 = word_of(root, "ipv6");
	r->translated = word_of(root, "translated");
	r->mapping = index_of(nat_mapping_words, json_string_value(json_object_get(root, "mapping")));
	r->filtering = index_of(nat_filtering_words, json_string_value(json_object_get(root, "filtering")));
	if (r->mapping >= 0)
		r->varies = r->mapping == NAT_EIM ? USER_NO : USER_YES;
	if (hairpin)
		r->hairpin = strcmp(hairpin, "off") != 0 ? USER_YES : USER_UNKNOWN;
}

static void read_netcheck(const json_t *root, struct user_report *r)
{
	static const char *const portmaps[] = { "UPnP", "PMP", "PCP", NULL };

	r->udp = word_of(root, "UDP");
	r->ipv4 = word_of(root, "IPv4");
	r->ipv6 = word_of(root, "IPv6");
	r->varies = word_of(root, "MappingVariesByDestIP");
	r->hairpin = word_of(root, "HairPinning") == USER_YES ? USER_YES : USER_UNKNOWN;
	r->captive = word_of(root, "CaptivePortal");
	r->portmap = any_of(root, portmaps);
	r->nearest_ms = nearest_of(root);
}

/* What a client tells its server of its network. DERPLatency: seconds by region and family, as {"1-v4": 0.012}. */
static void read_netinfo(const json_t *info, struct user_report *r)
{
	static const char *const portmaps[] = { "HavePortMap", "UPnP", "PMP", "PCP", NULL };
	const char *key;
	const json_t *v;

	r->kind = "bugreport";
	r->udp = word_of(info, "WorkingUDP");
	r->ipv6 = word_of(info, "WorkingIPv6");
	r->varies = word_of(info, "MappingVariesByDestIP");
	r->portmap = any_of(info, portmaps);
	json_object_foreach((json_t *)(uintptr_t)json_object_get(info, "DERPLatency"), key, v)
		keep_nearest(json_number_value(v) * 1e3, &r->nearest_ms);
}

static int read_object(const json_t *root, struct user_report *r, struct errbuf *eb)
{
	const json_t *info = json_object_get(root, "NetInfo");

	if (!json_is_object(info))
		info = json_object_get(root, "WorkingUDP") ? root : NULL;
	if (json_object_get(root, "translated"))
		read_probe(root, r);
	else if (word_of(root, "Measured") == USER_NO)
		return err_say(
			eb, ERR_MALFORMED, "the node had not measured its network yet when this was asked");
	else if (json_object_get(root, "UDP"))
		read_netcheck(root, r);
	else if (info)
		read_netinfo(info, r);
	else
		return err_say(eb, ERR_MALFORMED,
			"this JSON is no report: it has neither 'UDP' (netcheck) nor 'translated' (simnet "
			"probe) nor 'NetInfo' (of a client's host information)");
	return 0;
}

static int read_json(const char *text, size_t len, struct user_report *r, struct errbuf *eb)
{
	json_error_t why;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

	if (!root)
		return err_say(eb, ERR_MALFORMED, "the report is no JSON: line %d: %s", why.line, why.text);
	int err = read_object(root, r, eb);
	json_decref(root);
	return err;
}

/* ---- text ---- */

/* What follows "KEY:" in the line that begins with it, after blanks and a star; NULL = no such line. */
static const char *line_of(const char *text, const char *key, char *out, size_t cap)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += strspn(line, "\n\t *");
		if (strncmp(line, key, n) != 0 || line[n] != ':')
			continue;
		line += n + 1;
		line += strspn(line, " ");
		snprintf(out, cap, "%.*s", (int)strcspn(line, "\r\n"), line);
		return out;
	}
	return NULL;
}

/* "true", "yes, 192.0.2.1:41641", "no, but OS has support", "(no addr found)", "" */
static enum user_word text_word(const char *text, const char *key)
{
	char value[128];

	if (!line_of(text, key, value, sizeof(value)))
		return USER_UNKNOWN;
	if (!strncmp(value, "true", 4) || !strncmp(value, "yes", 3))
		return USER_YES;
	return !strncmp(value, "false", 5) || !strncmp(value, "no", 2) || value[0] == '(' ? USER_NO
											  : USER_UNKNOWN;
}

static int read_text(const char *text, struct user_report *r, struct errbuf *eb)
{
	char value[128];

	r->udp = text_word(text, "UDP");
	r->ipv4 = text_word(text, "IPv4");
	r->ipv6 = text_word(text, "IPv6");
	r->varies = text_word(text, "MappingVariesByDestIP");
	r->hairpin = text_word(text, "HairPinning") == USER_YES ? USER_YES : USER_UNKNOWN;
	r->captive = text_word(text, "CaptivePortal");
	if (line_of(text, "PortMapping", value, sizeof(value)))
		r->portmap = *value ? USER_YES : USER_UNKNOWN;
	for (const char *at = text; (at = strstr(at, "\n\t\t- ")); at += 4) {
		const char *colon = strpbrk(at + 4, ":\n");
		if (colon && *colon == ':')
			keep_nearest(strtod(colon + 1, NULL), &r->nearest_ms);
	}
	return r->udp == USER_UNKNOWN
		       ? err_say(eb, ERR_MALFORMED,
				 "this is no report: neither JSON nor a text with '* UDP: true' or 'false'")
		       : 0;
}

/* ---- bugreports ---- */

/* Ours: sections, each behind a line "=== PATH ==="; the next one, or the end, ends it. */
#define SECTION "\n=== netcheck ===\n"

static int read_ours(const char *section, struct user_report *r, struct errbuf *eb)
{
	const char *end = strstr(section, "\n=== ");
	size_t len = end ? (size_t)(end - section) : strlen(section);

	if (section[strspn(section, " \r\n")] != '{')
		return err_say(eb, ERR_MALFORMED,
			"this bugreport has no netcheck: the node did not run, or did not answer");
	int err = read_json(section, len, r, eb);
	r->kind = "bugreport";
	return err;
}

/* "varies=true" between the braces of a NetInfo; "" or NULL where it is not said. */
static const char *info_value(const char *info, const char *key, char *out, size_t cap)
{
	size_t n = strlen(key);

	for (const char *at = info; at && !strchr("}\r\n", *at); at = strpbrk(at, " }\r\n")) {
		at += *at == ' ';
		if (strncmp(at, key, n) != 0 || at[n] != '=')
			continue;
		snprintf(out, cap, "%.*s", (int)strcspn(at + n + 1, " }\r\n"), at + n + 1);
		return out;
	}
	return NULL;
}

static enum user_word info_word(const char *info, const char *key)
{
	char value[16];
	const char *text = info_value(info, key, value, sizeof(value));

	return !text			? USER_UNKNOWN
	       : !strcmp(text, "true")	? USER_YES
	       : !strcmp(text, "false") ? USER_NO
					: USER_UNKNOWN;
}

/* The official client's log, which its bugreport is a mark in: "NetInfo{varies=true ipv6=false udp=true portmap=UM …}". The
 * letters of portmap: which service answered; `?` and `_`: nobody has looked. */
#define NETINFO "NetInfo{"

static int read_log(const char *info, struct user_report *r, struct errbuf *eb)
{
	char portmap[32];

	r->kind = "bugreport";
	r->udp = info_word(info, "udp");
	r->ipv6 = info_word(info, "ipv6");
	r->varies = info_word(info, "varies");
	if (info_value(info, "portmap", portmap, sizeof(portmap)))
		r->portmap = strpbrk(portmap, "UMC")   ? USER_YES
			     : strpbrk(portmap, "?_x") ? USER_UNKNOWN
						       : USER_NO;
	return r->udp == USER_UNKNOWN
		       ? err_say(eb, ERR_MALFORMED,
				 "the last 'NetInfo{' of this log does not say whether UDP works")
		       : 0;
}

/* The newest: a log has one for each time that the network was another. */
static const char *last_info(const char *text)
{
	const char *last = NULL;

	for (const char *at = text; (at = strstr(at, NETINFO)); last = at)
		at += strlen(NETINFO);
	return last;
}

/* Where JSON begins that follows lines of a program's own; NULL: nowhere. */
static const char *json_in(const char *text)
{
	const char *at = strstr(text, "\n{");
	return at ? at + 1 : NULL;
}

static int read_any_text(const char *text, struct user_report *r, struct errbuf *eb)
{
	const char *ours = strstr(text, SECTION), *info = last_info(text), *json = json_in(text);

	if (ours)
		return read_ours(ours + strlen(SECTION), r, eb);
	if (info)
		return read_log(info, r, eb);
	if (json)
		return read_json(json, strlen(json), r, eb);
	if (!strncmp(text, "BUG-", 4))
		return err_say(eb, ERR_MALFORMED,
			"this is the mark of a bugreport, which says where in a log to look: give that log "
			"(journalctl -u tailscaled), or what 'tailscale netcheck' says");
	return read_text(text, r, eb);
}

int user_report_read(const char *text, size_t len, struct user_report *out, struct errbuf *eb)
{
	struct user_report r = { .kind = "netcheck", .mapping = -1, .filtering = -1 };
	size_t at = 0;

	while (at < len && strchr(" \t\r\n", text[at]))
		at++;
	int err;
	if (at < len && text[at] == '{') {
		err = read_json(text + at, len - at, &r, eb);
	} else {
		char *copy = malloc(len + 1);
		if (!copy)
			return err_say(eb, ERR_TOO_LARGE, "out of memory");
		memcpy(copy, text, len);
		copy[len] = '\0';
		err = read_any_text(copy + at, &r, eb);
		free(copy);
	}
	if (!err)
		*out = r;
	return err;
}

/* ---- guesses ---- */

struct user_guess user_report_guess(const struct user_report *r)
{
	/* What most routers at homes are, and most of those whose mapping varies. */
	struct user_guess g = { .class = { NAT_EIM, NAT_APDF }, .udp_blocked = r->udp == USER_NO };

	if (r->varies == USER_YES)
		g.class.mapping = NAT_APDM;
	if (r->mapping >= 0)
		g.class.mapping = (enum nat_mapping)r->mapping;
	if (r->filtering >= 0)
		g.class.filtering = (enum nat_filtering)r->filtering;
	return g;
}

const char *user_report_differs(const struct user_report *r, const struct user_report *seen)
{
	if (r->udp != USER_UNKNOWN && seen->udp != r->udp)
		return seen->udp == USER_YES ? "UDP works" : "UDP does not work";
	if (r->varies != USER_UNKNOWN && seen->varies != r->varies)
		return seen->varies == USER_YES	 ? "the mapping varies by destination"
		       : seen->varies == USER_NO ? "the mapping does not vary by destination"
						 : "whether the mapping varies is not seen";
	if (r->mapping >= 0 && seen->mapping != r->mapping)
		return "the mapping is another";
	if (r->filtering >= 0 && seen->filtering != r->filtering)
		return "the filtering is another";
	if (r->translated != USER_UNKNOWN && seen->translated != r->translated)
		return seen->translated == USER_YES ? "there is a NAT" : "there is no NAT";
	return NULL;
}

static bool put_guess(const struct user_report *r, const struct user_guess *g, struct buf *out)
{
	const char *blind = g->udp_blocked ? "assumed: without UDP the report cannot tell" : NULL;
	const char *mapping =
		blind		  ? blind
		: r->mapping >= 0 ? "report"
		: r->varies == USER_YES
			? (g->class.mapping == NAT_ADM ? "report: it varies by destination; APDM would too"
						       : "report: it varies by destination; ADM would too")
		: r->varies == USER_NO ? "report: it does not vary by destination"
				       : "assumed: the report does not say";
	bool ok = buf_printf(out, "  user:\n");

	if (r->translated == USER_NO)
		return ok && buf_printf(out, "    nat: none                # report\n");
	ok = ok && buf_printf(out, "    nat:\n      mapping: %-12s# %s\n",
			   nat_mapping_words[g->class.mapping], mapping);
	ok = ok &&
	     buf_printf(out, "      filtering: %-10s# %s\n", nat_filtering_words[g->class.filtering],
		     r->filtering >= 0 ? "report" : "assumed: no report says; 'simnet sweep' tries all");
	ok = ok && buf_printf(out, "      hairpin: %-12s# %s\n", r->hairpin == USER_YES ? "external" : "off",
			   r->hairpin == USER_YES ? "report" : "assumed");
	if (ok && g->udp_blocked)
		ok = buf_printf(out, "    udp: blocked             # report\n");
	return ok;
}

static bool put_notes(const struct user_report *r, struct buf *out)
{
	bool ok = true;

	if (r->portmap == USER_YES)
		ok = buf_printf(out, "# The report saw a port mapping service (UPnP, NAT-PMP or PCP); this "
				     "file has none.\n");
	if (ok && r->captive == USER_YES)
		ok = buf_printf(out,
			"# The report saw a captive portal; docs/simnet/services.md says how to add one.\n");
	if (ok && r->nearest_ms > 0)
		ok = buf_printf(out,
			"# The nearest relay was %.1f ms away and back: 'link: {delay: %.0fms}' beside 'nat' "
			"puts as much "
			"on the user's line.\n",
			r->nearest_ms, r->nearest_ms > 2 ? r->nearest_ms / 2 : 1);
	return ok;
}

static bool put_steps(const struct user_report *r, const struct user_guess *g, struct buf *out)
{
	const char *proto = g->udp_blocked ? "tcp" : "udp";
	const char *key = g->udp_blocked ? "udp" : r->translated == USER_NO ? "translated" : "mapping";
	const char *value =
		g->udp_blocked || r->translated == USER_NO ? "false" : nat_mapping_words[g->class.mapping];

	return buf_printf(out,
		"services:\n"
		"  first: {run: probe-server, with: {other: second}}\n"
		"  second: {run: probe-server, with: {other: first}}\n"
		"  rendezvous: {run: punch-server}\n"
		"nodes:\n"
		"  alice: {at: user, run: punch, with: {call: bob, proto: %s}}\n"
		"  bob: {at: peer, run: punch, with: {proto: %s}}\n"
		"steps:\n"
		"  - run: {at: alice, argv: [simnet, probe, --json, --servers, \"{first.at},{second.at}\"], "
		"json: %s, is: \"%s\"}\n"
		"    say: the user's network is as the report says\n"
		"  - expect: {path: alice->bob, is: oracle, within: 5s, for: 1s}\n",
		proto, proto, key, value);
}

bool user_report_scenario(
	const struct user_report *r, const struct user_guess *g, const char *peer, struct buf *out)
{
	return buf_printf(out,
		       "# Made from a %s%s. What it does not say is marked 'assumed'.\n"
		       "simnet: 1\nname: from-report\nabout: a user's network, as his report has it\n",
		       r->kind, strcmp(r->kind, "bugreport") != 0 ? " report" : "") &&
	       put_notes(r, out) &&
	       (r->ipv6 != USER_YES ||
		       buf_printf(out, "ipv6: true                 # report; assumed of the peer\n")) &&
	       buf_printf(out, "routers:\n") && put_guess(r, g, out) &&
	       buf_printf(out, "  peer: {nat: %s}          # assumed\n", peer) && put_steps(r, g, out);
}
