#include "simnet/scenario/nat_model.h"

#include "mesh/base/err.h"
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const nat_mapping_words[] = { [NAT_EIM] = "EIM", [NAT_ADM] = "ADM", [NAT_APDM] = "APDM", NULL };
const char *const nat_filtering_words[] = { [NAT_EIF] = "EIF", [NAT_ADF] = "ADF", [NAT_APDF] = "APDF", NULL };
const char *const nat_ports_words[] = { [NAT_PORTS_HASH] = "hash",
	[NAT_PORTS_PRESERVE] = "preserve",
	[NAT_PORTS_OVERLOAD] = "overload",
	[NAT_PORTS_SEQUENTIAL] = "sequential",
	[NAT_PORTS_RANDOM] = "random",
	[NAT_PORTS_PARITY] = "parity",
	[NAT_PORTS_BLOCK] = "block",
	NULL };
const char *const nat_hairpin_words[] = { [NAT_HAIRPIN_OFF] = "off",
	[NAT_HAIRPIN_INTERNAL] = "internal",
	[NAT_HAIRPIN_EXTERNAL] = "external",
	NULL };
const char *const nat_refresh_words[] = {
	[NAT_REFRESH_BOTH] = "both", [NAT_REFRESH_OUT] = "out", [NAT_REFRESH_IN] = "in", NULL
};
const char *const nat_expiry_words[] = {
	[NAT_EXPIRY_POLICY] = "policy", [NAT_EXPIRY_KEEP] = "keep", [NAT_EXPIRY_MOVE] = "move", NULL
};
const char *const nat_unknown_words[] = { [NAT_UNKNOWN_LOOSE] = "loose",
	[NAT_UNKNOWN_STRICT] = "strict",
	[NAT_UNKNOWN_RESET] = "reset",
	[NAT_UNKNOWN_SILENT] = "silent",
	NULL };
const char *const nat_fragments_words[] = {
	[NAT_FRAGMENTS_ANY] = "any", [NAT_FRAGMENTS_ORDER] = "order", [NAT_FRAGMENTS_NONE] = "none", NULL
};
static_assert(ARRAY_LEN(nat_mapping_words) == NAT_MAPPINGS + 1, "a mapping class has no word");
static_assert(ARRAY_LEN(nat_filtering_words) == NAT_FILTERINGS + 1, "a filtering class has no word");
static_assert(ARRAY_LEN(nat_ports_words) == NAT_PORTS_KINDS + 1, "a port policy has no word");
static_assert(ARRAY_LEN(nat_hairpin_words) == NAT_HAIRPINS + 1, "a hairpin has no word");
static_assert(ARRAY_LEN(nat_refresh_words) == NAT_REFRESHES + 1, "a refresh has no word");
static_assert(ARRAY_LEN(nat_expiry_words) == NAT_EXPIRIES + 1, "an expiry has no word");
static_assert(ARRAY_LEN(nat_unknown_words) == NAT_UNKNOWNS + 1, "a way with unknown TCP has no word");
static_assert(ARRAY_LEN(nat_fragments_words) == NAT_FRAGMENTS_KINDS + 1, "fragments have no word");

/* Those without a note of their own are RFC 5382's and RFC 5508's least. */
#define LIFETIMES_DEFAULT \
	{ \
		.udp_new_s = 120, .udp_s = 120, .tcp_opening_s = 120, .tcp_s = 7440, .tcp_closing_s = 120, \
		.icmp_s = 30 \
	}
#define BOTH(m, f) \
	.udp = { m, f }, .tcp = { m, f }, .pool = 1, .table = NAT_TABLE_MAX, .lifetimes = LIFETIMES_DEFAULT
#define LINUX_MASQUERADE \
	.udp = { NAT_EIM, NAT_APDF }, .tcp = { NAT_EIM, NAT_APDF }, .pool = 1, .table = NAT_TABLE_MAX, \
	.ports = NAT_PORTS_OVERLOAD, .lifetimes = { 30, 120, 120, 432000, 120, 30 }, \
	.udp_stream_s = NAT_STREAM_S

const struct nat_model nat_model_default = { BOTH(NAT_EIM, NAT_APDF) };

/* Lifetimes: UDP new and answered, TCP opening, established and closing, ICMP. */
const struct nat_preset nat_presets[] = {
	{ "none", false, { BOTH(NAT_EIM, NAT_EIF) }, "no translation" },
	{ "public", false, { BOTH(NAT_EIM, NAT_EIF) }, "no translation" },
	{ "home", true, { BOTH(NAT_EIM, NAT_APDF) }, "RFC 4787 REQ-1, REQ-8; RFC 5382 REQ-5" },
	{ "easy", true, { BOTH(NAT_EIM, NAT_APDF) }, "the same" },
	{ "cgnat", true, { BOTH(NAT_EIM, NAT_EIF), .hairpin = NAT_HAIRPIN_EXTERNAL },
		"RFC 6888 REQ-1, REQ-7; RFC 4787 REQ-9" },
	{ "full-cone", true, { BOTH(NAT_EIM, NAT_EIF), .hairpin = NAT_HAIRPIN_EXTERNAL },
		"RFC 3489 section 5" },
	{ "restricted", true, { BOTH(NAT_EIM, NAT_ADF) }, "RFC 3489 section 5" },
	{ "symmetric", true, { BOTH(NAT_APDM, NAT_APDF) }, "RFC 3489 section 5" },
	{ "hard", true, { BOTH(NAT_APDM, NAT_APDF) }, "the same" },
	{ "pfsense", true,
		{ .udp = { NAT_APDM, NAT_APDF },
			.tcp = { NAT_APDM, NAT_APDF },
			.ports = NAT_PORTS_RANDOM,
			.table = NAT_TABLE_MAX,
			.pool = 1,
			.lifetimes = { 60, 60, 30, 86400, 90, 20 },
			.tcp_unknown = NAT_UNKNOWN_SILENT },
		"pf.conf(5): udp.multiple 60, tcp.opening 30, tcp.established 86400, tcp.closed 90, "
		"icmp.first "
		"20; nat without static-port; 'S/SA' on keep state" },
	{ "linux-masquerade", true, { LINUX_MASQUERADE, .accepts_wan = true },
		"nf_conntrack-sysctl: udp 30, as a stream (after 2 s) 120, tcp established 432000, tcp_loose "
		"1; a "
		"masquerade rule without an input filter" },
	{ "docker", true, { LINUX_MASQUERADE, .accepts_wan = true },
		"Docker's bridge driver: a masquerade rule for the bridge's subnet, the host's INPUT left "
		"alone" },
	{ "corporate", true,
		{ .udp = { NAT_APDM, NAT_APDF },
			.tcp = { NAT_APDM, NAT_APDF },
			.ports = NAT_PORTS_RANDOM,
			.table = NAT_TABLE_MAX,
			.pool = 1,
			.lifetimes = { 120, 120, 30, 3600, 600, 2 },
			.tcp_unknown = NAT_UNKNOWN_SILENT },
		"Cisco ASA defaults: conn 1:00:00, half-closed 0:10:00, udp 0:02:00, icmp 0:00:02, embryonic "
		"0:00:30; per-session PAT" },
	{ "hotel", true,
		{ .udp = { NAT_APDM, NAT_APDF },
			.tcp = { NAT_APDM, NAT_APDF },
			.ports = NAT_PORTS_RANDOM,
			.pool = 1,
			.lifetimes = { 35, 35, 30, 600, 30, 30 },
			.tcp_unknown = NAT_UNKNOWN_RESET,
			.table = 4096 },
		"Richter et al., IMC 2016: UDP median 35 s outside cellular networks; the rest assumed" },
	{ "mobile-4g", true,
		{ .udp = { NAT_APDM, NAT_APDF },
			.tcp = { NAT_APDM, NAT_APDF },
			.ports = NAT_PORTS_RANDOM,
			.table = NAT_TABLE_MAX,
			.lifetimes = { 65, 65, 30, 1800, 60, 30 },
			.tcp_unknown = NAT_UNKNOWN_SILENT,
			.pool = 4 },
		"Richter et al., IMC 2016: UDP median 65 s in cellular networks, pools of addresses, port "
		"translation by chance; the rest assumed" },
	{ "cloud-gateway", true,
		{ .udp = { NAT_APDM, NAT_APDF },
			.tcp = { NAT_APDM, NAT_APDF },
			.ports = NAT_PORTS_RANDOM,
			.table = NAT_TABLE_MAX,
			.pool = 1,
			.lifetimes = { 350, 350, 350, 350, 120, 350 },
			.tcp_unknown = NAT_UNKNOWN_RESET },
		"Amazon VPC, NAT gateways: idle after 350 s, then a reset to who goes on; a port for each "
		"destination" },
};
const char *const nat_preset_words[] = { "none", "public", "home", "easy", "cgnat", "full-cone", "restricted",
	"symmetric", "hard", "pfsense", "linux-masquerade", "docker", "corporate", "hotel", "mobile-4g",
	"cloud-gateway", NULL };
static_assert(ARRAY_LEN(nat_preset_words) == ARRAY_LEN(nat_presets) + 1, "a preset has no word");
const size_t nat_n_presets = ARRAY_LEN(nat_presets);

const struct nat_preset *nat_preset_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(nat_presets); i++)
		if (!strcmp(nat_presets[i].word, word))
			return &nat_presets[i];
	return NULL;
}

static bool is_lifetime(uint32_t s)
{
	return s >= 1 && s <= NAT_LIFETIME_MAX_S;
}

const char *nat_model_trouble(const struct nat_model *m)
{
	const struct nat_lifetimes *l = &m->lifetimes;
	uint32_t block = m->block_ports;

	if (m->ports == NAT_PORTS_BLOCK && (block < 4 || block > 4096 || (block & (block - 1))))
		return "a block of ports must be a power of two from 4 to 4096";
	if (m->ports != NAT_PORTS_BLOCK && block)
		return "a size of blocks without 'ports: block'";
	if (m->pool < 1 || m->pool > NAT_POOL_MAX)
		return "a pool has 1 to 8 addresses";
	if (m->pool_arbitrary && m->pool == 1)
		return "an arbitrary pool needs more than one address";
	if (m->hairpin_filters && m->hairpin == NAT_HAIRPIN_OFF)
		return "filtering of hairpins without a hairpin";
	if (m->table < 1 || m->table > NAT_TABLE_MAX)
		return "a table holds 1 to 65536 mappings";
	if (m->ports == NAT_PORTS_OVERLOAD && (m->udp.mapping != NAT_EIM || m->tcp.mapping != NAT_EIM))
		return "'ports: overload' keeps the inner port whoever is sent to, which is EIM: it needs "
		       "'mapping: EIM', of TCP too";
	if (!is_lifetime(l->udp_new_s) || !is_lifetime(l->udp_s) || !is_lifetime(l->tcp_opening_s) ||
		!is_lifetime(l->tcp_s) || !is_lifetime(l->tcp_closing_s) || !is_lifetime(l->icmp_s))
		return "a lifetime is 1 s to 120 h";
	if (m->udp_stream_s > NAT_LIFETIME_MAX_S)
		return "a stream begins within 120 h";
	if (l->udp_new_s > l->udp_s)
		return "a UDP mapping that was answered must live at least as long as a new one";
	for (size_t i = 0; i < m->n_forwards; i++)
		for (size_t k = 0; k < i; k++)
			if (m->forwards[i].proto == m->forwards[k].proto &&
				m->forwards[i].port == m->forwards[k].port)
				return "two forwards of one outer port";
	return NULL;
}

static void __attribute__((format(printf, 2, 3))) nat_model_say(char *out, const char *fmt, ...)
{
	size_t len = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + len, NAT_MODEL_TEXT - len, fmt, ap);
	va_end(ap);
}

static void say_rarer(const struct nat_model *m, char *out)
{
	if (m->pool > 1)
		nat_model_say(out, ", pool of %" PRIu32 " addresses, %s", m->pool,
			m->pool_arbitrary ? "arbitrary" : "paired");
	if (m->udp_stream_s)
		nat_model_say(out, ", UDP a stream after %" PRIu32 " s", m->udp_stream_s);
	if (m->refresh != NAT_REFRESH_BOTH)
		nat_model_say(out, ", refreshed %s only", nat_refresh_words[m->refresh]);
	if (m->expiry != NAT_EXPIRY_POLICY)
		nat_model_say(out, ", after expiry ports %s", nat_expiry_words[m->expiry]);
	if (m->table != NAT_TABLE_MAX)
		nat_model_say(out, ", at most %" PRIu32 " mappings", m->table);
	if (m->icmp_errors_lost)
		nat_model_say(out, ", ICMP errors lost");
	if (m->fragments != NAT_FRAGMENTS_ANY)
		nat_model_say(out, ", fragments %s", nat_fragments_words[m->fragments]);
	if (m->accepts_wan)
		nat_model_say(out, ", accepts what comes to its WAN");
	for (size_t i = 0; i < m->n_forwards; i++)
		nat_model_say(out, ", forwards %s %u to %s:%u", m->forwards[i].proto == 6 ? "tcp" : "udp",
			m->forwards[i].port, m->forwards[i].to, m->forwards[i].to_port);
}

const char *nat_model_format(const struct nat_model *m, char out[static NAT_MODEL_TEXT])
{
	const struct nat_lifetimes *l = &m->lifetimes;

	*out = '\0';
	nat_model_say(out, "UDP %s/%s, TCP %s/%s, ports %s", nat_mapping_words[m->udp.mapping],
		nat_filtering_words[m->udp.filtering], nat_mapping_words[m->tcp.mapping],
		nat_filtering_words[m->tcp.filtering], nat_ports_words[m->ports]);
	if (m->ports == NAT_PORTS_BLOCK)
		nat_model_say(out, " of %" PRIu32, m->block_ports);
	nat_model_say(out, ", hairpin %s%s", nat_hairpin_words[m->hairpin],
		m->hairpin_filters ? " with filtering" : "");
	nat_model_say(out,
		", UDP %" PRIu32 "/%" PRIu32 " s, TCP %" PRIu32 "/%" PRIu32 "/%" PRIu32 " s, ICMP %" PRIu32
		" s, unknown TCP %s",
		l->udp_new_s, l->udp_s, l->tcp_opening_s, l->tcp_s, l->tcp_closing_s, l->icmp_s,
		nat_unknown_words[m->tcp_unknown]);
	say_rarer(m, out);
	return out;
}

bool nat_model_is_conntrack(const struct nat_model *m)
{
	return m->ports == NAT_PORTS_OVERLOAD && m->udp_stream_s == NAT_STREAM_S &&
	       m->refresh == NAT_REFRESH_BOTH;
}

void nat_model_replace(struct nat_model *m, const struct nat_model *next)
{
	const struct nat_model was = *m;

	*m = *next;
	m->pool = was.pool;
	m->pool_arbitrary = was.pool_arbitrary;
	memcpy(m->forwards, was.forwards, sizeof(m->forwards));
	m->n_forwards = was.n_forwards;
}
