#include "simnet/service/faults.h"

#include "mesh/base/text.h"
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *const kind_names[] = { [SERVICE_DNS] = "dns",
	[SERVICE_HTTP] = "http",
	[SERVICE_PROXY] = "proxy",
	[SERVICE_ECHO] = "echo",
	[SERVICE_STUN] = "stun",
	[SERVICE_PORTMAP] = "portmap" };
static_assert(ARRAY_LEN(kind_names) == SERVICE_KINDS, "kind_names misses a kind");

enum fault_type { FAULT_SWITCH, FAULT_DURATION, FAULT_WORDS, FAULT_ADDRESS, FAULT_NUMBER, FAULT_PROFILE };
enum {
	OF_ALL = (1 << SERVICE_KINDS) - 1,
	OF_DNS = 1 << SERVICE_DNS,
	OF_HTTP = 1 << SERVICE_HTTP,
	OF_PROXY = 1 << SERVICE_PROXY,
	OF_PORTMAP = 1 << SERVICE_PORTMAP
};
#define AT(field) offsetof(struct faults, field)
static const struct fault_row {
	const char *word, *value;
	enum fault_type type;
	unsigned of;
	size_t at, flag; /* flag: a bool that says "given"; same as at = none */
	const char *doc;
} fault_rows[] = {
	{ "dead", NULL, FAULT_SWITCH, OF_ALL, AT(dead), 0, "hears everything and says nothing" },
	{ "slow", "TIME", FAULT_DURATION, OF_ALL, AT(slow_ms), 0, "waits before each answer" },
	{ "silent", "NAMES", FAULT_WORDS, OF_DNS, AT(silent), 0,
		"these names, and what is below, get no answer" },
	{ "servfail", "NAMES", FAULT_WORDS, OF_DNS, AT(servfail), 0, "these get SERVFAIL" },
	{ "nxdomain", "NAMES", FAULT_WORDS, OF_DNS, AT(nxdomain), 0, "these get NXDOMAIN" },
	{ "all-servfail", NULL, FAULT_SWITCH, OF_DNS, AT(all_servfail), 0, "everything gets SERVFAIL" },
	{ "refused", NULL, FAULT_SWITCH, OF_DNS, AT(refused), 0, "everything gets REFUSED" },
	{ "truncate", NULL, FAULT_SWITCH, OF_DNS, AT(truncate), 0, "answers by UDP are cut: ask by TCP" },
	{ "no-tcp", NULL, FAULT_SWITCH, OF_DNS, AT(no_tcp), 0, "nothing is answered by TCP" },
	{ "lie", "ADDRESS", FAULT_ADDRESS, OF_DNS, AT(lie), AT(lies),
		"every question for A gets this address" },
	{ "scope", "NAMES", FAULT_WORDS, OF_DNS, AT(scope), 0, "names outside these are refused" },
	{ "redirect", "URL", FAULT_WORDS, OF_HTTP, AT(redirect), 0, "every answer is a 302 to there" },
	{ "status", "N", FAULT_NUMBER, OF_HTTP | OF_PORTMAP, AT(status), 0,
		"of every answer; of portmap: to every UPnP call" },
	{ "cut", "BYTES", FAULT_NUMBER, OF_HTTP | OF_PROXY, AT(cut_bytes), 0,
		"a connection ends after so many bytes of answer" },
	{ "refuse", NULL, FAULT_SWITCH, OF_PORTMAP, AT(refuse), 0, "nobody is authorized" },
	{ "other-port", NULL, FAULT_SWITCH, OF_PORTMAP, AT(other_port), 0,
		"never gives the port that is asked for" },
	{ "no-pmp", NULL, FAULT_SWITCH, OF_PORTMAP, AT(no_pmp), 0, "does not speak NAT-PMP" },
	{ "no-pcp", NULL, FAULT_SWITCH, OF_PORTMAP, AT(no_pcp), 0, "does not speak PCP" },
	{ "no-upnp", NULL, FAULT_SWITCH, OF_PORTMAP, AT(no_upnp), 0, "does not speak UPnP" },
	{ "no-epoch", NULL, FAULT_SWITCH, OF_PORTMAP, AT(no_epoch), 0,
		"says always that it has just started" },
	{ "other-source", NULL, FAULT_SWITCH, OF_PORTMAP, AT(other_source), 0,
		"answers NAT-PMP and PCP from another port than it is asked at" },
	{ "v1", NULL, FAULT_SWITCH, OF_PORTMAP, AT(v1), 0, "UPnP: is an IGD 1" },
	{ "ppp", NULL, FAULT_SWITCH, OF_PORTMAP, AT(ppp), 0,
		"UPnP: is an IGD 1 whose connection is a WANPPPConnection" },
	{ "roots", NULL, FAULT_SWITCH, OF_PORTMAP, AT(roots), 0,
		"UPnP: names another device, which maps no ports, before its own" },
	{ "root-only", NULL, FAULT_SWITCH, OF_PORTMAP, AT(root_only), 0,
		"UPnP: hears a search for root devices alone" },
	{ "dead-control", NULL, FAULT_SWITCH, OF_PORTMAP, AT(dead_control), 0,
		"UPnP: says that it is spoken to where nobody is" },
	{ "no-outer", NULL, FAULT_SWITCH, OF_PORTMAP, AT(no_outer), 0, "UPnP: tells no outer address" },
	{ "permanent", NULL, FAULT_SWITCH, OF_PORTMAP, AT(permanent), 0,
		"UPnP: maps for ever alone, and else says error 725" },
	{ "conflict", NULL, FAULT_SWITCH, OF_PORTMAP, AT(conflict), 0,
		"UPnP: every port that is asked for is another's, error 718" },
	{ "unconfirmed", NULL, FAULT_SWITCH, OF_PORTMAP, AT(unconfirmed), 0,
		"UPnP: maps, and says error 501" },
	{ "like", "ROUTER", FAULT_PROFILE, OF_PORTMAP, 0, 0,
		"all that this router does; 'simnet service profiles' lists them" },
	{ "outer", "ADDRESS", FAULT_ADDRESS, OF_PORTMAP, AT(outer), AT(claims),
		"says that this is its outer address" },
	{ "auth", "USER:PASSWORD", FAULT_WORDS, OF_PROXY, AT(auth), 0, "who does not say this gets 407" },
	{ "only", "HOSTS", FAULT_WORDS, OF_PROXY, AT(only), 0, "connects to these alone; others get 403" },
};
#undef AT

bool service_kind_parse(const char *word, enum service_kind *out)
{
	for (int i = 0; i < SERVICE_KINDS; i++)
		if (!strcmp(kind_names[i], word)) {
			*out = (enum service_kind)i;
			return true;
		}
	return false;
}

const char *service_kind_name(enum service_kind kind)
{
	return kind_names[kind];
}

/* Routers as people have met them. */
static const struct profile {
	const char *name, *faults, *about, *source;
} profiles[] = {
	{ "plain", "", "speaks all three, and does nothing wrong", "RFC 6886, RFC 6887, UPnP IGD 2" },
	{ "pfsense", "no-upnp,no-pcp", "NAT-PMP turned on, the rest off", "docs/pfsense.md" },
	{ "pfsense-denies", "refuse", "no entry lets the machine in", "docs/pfsense.md" },
	{ "double-nat", "outer=192.168.1.3", "its outer address is of another router's network",
		"tailscale#13745" },
	{ "carrier-nat", "outer=100.64.0.7", "its outer address is of a carrier's NAT",
		"opnsense/core#8070, tailscale#14308" },
	{ "other-port", "no-upnp,other-port", "gives other ports than it is asked for",
		"tailscale#10866, tailscale#14949" },
	{ "epoch", "no-upnp,no-epoch", "its epoch does not count", "RFC 6886 section 3.6" },
	{ "other-source", "no-upnp,other-source", "answers from another place than it is asked at",
		"tailscale#3202" },
	{ "igd2", "no-pmp,no-pcp", "IGD 2, found by a search for IGD 1", "sbstp/rust-igd#12" },
	{ "mikrotik", "no-pmp,no-pcp,v1,permanent", "IGD 1, and knows no leases",
		"nicotine-plus#2200, tailscale#9343" },
	{ "dsl", "no-pmp,no-pcp,ppp", "its connection is by PPP", "tailscale#682" },
	{ "sagemcom", "no-pmp,no-pcp,v1,roots", "the first device that it names is its Wi-Fi",
		"tailscale#3557" },
	{ "root-only", "no-pmp,no-pcp,v1,root-only", "hears no search for a type of device",
		"dariusc93/rust-igd#29" },
	{ "taken", "no-pmp,no-pcp,v1,conflict", "every port is another client's", "ofekp/TinyUPnP#69" },
	{ "crowded", "no-pmp,no-pcp,conflict,other-port",
		"IGD 2 that gives no port but one of its own choice, by AddAnyPortMapping", "UPnP IGD 2" },
	{ "unconfirmed", "no-pmp,no-pcp,v1,unconfirmed", "maps, and does not say so", "tailscale#10602" },
	{ "broken", "no-pmp,no-pcp,v1,status=500", "an internal error to every call", "nicotine-plus#2955" },
	{ "moved-control", "no-pmp,no-pcp,v1,dead-control", "nobody is where it says to call",
		"miniupnp#801" },
	{ "no-address", "no-pmp,no-pcp,v1,no-outer", "does not know its outer address", "miniupnp#118" },
	{ "slow", "no-pmp,no-pcp,v1,slow=700ms", "thinks before each answer", "ofekp/TinyUPnP#35" },
};

const char *const faults_profiles[] = { "plain", "pfsense", "pfsense-denies", "double-nat", "carrier-nat",
	"other-port", "epoch", "other-source", "igd2", "mikrotik", "dsl", "sagemcom", "root-only", "taken",
	"crowded", "unconfirmed", "broken", "moved-control", "no-address", "slow", NULL };
static_assert(ARRAY_LEN(faults_profiles) == ARRAY_LEN(profiles) + 1, "a router has no name");

static bool read_faults(enum service_kind kind, const char *text, struct faults *f, struct errbuf *eb);

static bool read_profile(const char *name, struct faults *f)
{
	struct errbuf eb;

	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		if (!strcmp(profiles[i].name, name))
			return read_faults(SERVICE_PORTMAP, profiles[i].faults, f, &eb);
	return false;
}

static bool read_fault(const struct fault_row *row, const char *value, struct faults *f)
{
	char *at = (char *)f + row->at;
	uint64_t n;

	switch (row->type) {
	case FAULT_SWITCH: *(bool *)at = true; return !value;
	case FAULT_PROFILE: return value && read_profile(value, f);
	case FAULT_DURATION: return value && text_duration_ms(value, (uint64_t *)(void *)at);
	case FAULT_WORDS:
		if (!value || !*value || strlen(value) >= FAULT_TEXT)
			return false;
		memcpy(at, value, strlen(value) + 1);
		return true;
	case FAULT_ADDRESS:
		*(bool *)((char *)f + row->flag) = true;
		return value && addr_parse(value, (struct addr *)(void *)at);
	case FAULT_NUMBER:
		if (!value ||
			!text_u64(value, 1, row->at == offsetof(struct faults, status) ? 999 : 1u << 30, &n))
			return false;
		if (row->at == offsetof(struct faults, status))
			f->status = (uint32_t)n;
		else
			f->cut_bytes = n;
		return true;
	}
	return false;
}

static const struct fault_row *find_fault(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(fault_rows); i++)
		if (!strcmp(fault_rows[i].word, word))
			return &fault_rows[i];
	return NULL;
}

static int refuse_word(enum service_kind kind, const char *word, struct errbuf *eb)
{
	const char *names[ARRAY_LEN(fault_rows) + 1] = { NULL };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(fault_rows); i++)
		if (fault_rows[i].of & 1u << kind)
			names[n++] = fault_rows[i].word;
	const char *near = text_nearest(word, names);
	return err_say(eb, -EINVAL, "'%s' is no fault of %s%s%s%s; 'simnet service faults' lists them", word,
		kind_names[kind], near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool read_faults(enum service_kind kind, const char *text, struct faults *f, struct errbuf *eb)
{
	while (*text) {
		char one[FAULT_TEXT + 32];
		size_t len = strcspn(text, ",");
		if (len >= sizeof(one))
			return !err_say(eb, -EINVAL, "a fault is at most %d letters", FAULT_TEXT);
		memcpy(one, text, len);
		one[len] = '\0';
		text += len + (text[len] == ',');
		char *value = strchr(one, '=');
		if (value)
			*value++ = '\0';
		const struct fault_row *row = find_fault(one);
		if (!row || !(row->of & 1u << kind))
			return !refuse_word(kind, one, eb);
		if (!read_fault(row, value, f))
			return !err_say(eb, -EINVAL, row->value ? "'%s' wants %s=%s" : "'%s' takes no value",
				one, one, row->value);
	}
	return true;
}

int faults_parse(enum service_kind kind, const char *text, struct faults *out, struct errbuf *eb)
{
	struct faults f = { 0 };

	if (!read_faults(kind, text, &f, eb))
		return eb->code;
	*out = f;
	return 0;
}

bool faults_name_in(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		size_t len = strcspn(list, "+");
		if (len && n >= len && !strncasecmp(name + n - len, list, len) &&
			(n == len || name[n - len - 1] == '.'))
			return true;
		list += len + (list[len] == '+');
	}
	return false;
}

void faults_print_help(FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(fault_rows); i++) {
		const struct fault_row *r = &fault_rows[i];
		char word[64];
		snprintf(
			word, sizeof(word), "%s%s%s", r->word, r->value ? "=" : "", r->value ? r->value : "");
		fprintf(out, "  %-22s %s:", word, r->doc);
		for (int k = 0; k < SERVICE_KINDS; k++)
			if (r->of & 1u << k)
				fprintf(out, " %s", kind_names[k]);
		fprintf(out, "\n");
	}
}

void faults_print_profiles(FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		fprintf(out, "  %-15s %s: %s (%s)\n", profiles[i].name, profiles[i].about, profiles[i].faults,
			profiles[i].source);
}
