#include "simnet/matrix/sheet.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const struct sheet sheets[] = {
	{ .name = "plain", .about = "every class against every other" },
	{ .name = "double",
		.about = "the callers' routers are behind a carrier's full cone",
		.carrier_a = "cgnat" },
	{ .name = "double-hard",
		.about = "both sides' routers are behind symmetric NATs of two carriers",
		.carrier_a = "hard",
		.carrier_b = "hard" },
	{ .name = "double-both",
		.about = "both sides' routers are behind full cones of two carriers",
		.carrier_a = "cgnat",
		.carrier_b = "cgnat" },
	{ .name = "hairpin",
		.about = "all routers are behind one carrier that hairpins and translates the source",
		.carrier_a = "{mapping: EIM, filtering: EIF, hairpin: external}",
		.shared = true },
	{ .name = "hairpin-off",
		.about = "all routers are behind one carrier that does not hairpin",
		.carrier_a = "{mapping: EIM, filtering: EIF, hairpin: off}",
		.shared = true },
	{ .name = "hairpin-internal",
		.about = "all routers are behind one carrier that hairpins and keeps the source",
		.carrier_a = "{mapping: EIM, filtering: EIF, hairpin: internal}",
		.shared = true },
	{ .name = "hairpin-filter",
		.about = "all routers are behind one carrier whose hairpin filters as from outside",
		.carrier_a = "{mapping: EIM, filtering: APDF, hairpin: external, hairpin-filter: true}",
		.shared = true },
	{ .name = "hairpin-hard",
		.about = "all routers are behind one symmetric carrier that hairpins and does not filter "
			 "there",
		.carrier_a = "{mapping: APDM, filtering: APDF, hairpin: external}",
		.shared = true },
	{ .name = "preserve", .about = "the inner port is kept where it is free", .nat = "ports: preserve" },
	{ .name = "sequential",
		.about = "ports are given out one after another",
		.nat = "ports: sequential" },
	{ .name = "random", .about = "ports are given out by chance", .nat = "ports: random" },
	{ .name = "parity", .about = "even ports for even, odd for odd", .nat = "ports: parity" },
	{ .name = "block",
		.about = "every host has a block of 256 ports",
		.nat = "ports: block, block: 256" },
	{ .name = "short",
		.about = "mappings live two seconds, and only what goes out keeps them",
		.nat = "lifetime: 2s, refresh: out" },
	{ .name = "tcp-open",
		.about = "TCP is EIM/EIF whatever UDP is",
		.nat = "tcp: {mapping: EIM, filtering: EIF}" },
	{ .name = "tcp-hard",
		.about = "TCP is APDM/APDF whatever UDP is",
		.nat = "tcp: {mapping: APDM, filtering: APDF}" },
	{ .name = "tcp-reset",
		.about = "unknown TCP is answered with a reset",
		.nat = "tcp: {unknown: reset}" },
	{ .name = "same-subnets",
		.about = "every home has 192.168.1.0/24, and every host the same address in it",
		.lan = "lan: 192.168.1.0/24" },
	{ .name = "ipv6", .about = "every class, and IPv6 behind stateful firewalls", .ipv6 = true },
};
const size_t n_sheets = ARRAY_LEN(sheets);

const struct sheet *sheet_find(const char *name)
{
	for (size_t i = 0; i < n_sheets; i++)
		if (!strcmp(sheets[i].name, name))
			return &sheets[i];
	return NULL;
}

/* ---- names ---- */

const char *sheet_class_name(int class, char out[static 16])
{
	snprintf(out, 16, "%s/%s", nat_mapping_words[class / NAT_FILTERINGS],
		nat_filtering_words[class % NAT_FILTERINGS]);
	return out;
}

bool sheet_class_parse(const char *text, int *class)
{
	char name[16], given[16];

	if (strlen(text) >= sizeof(given))
		return false;
	snprintf(given, sizeof(given), "%s", text);
	for (char *p = given; *p; p++)
		*p = *p == '-' ? '/' : *p;
	for (int i = 0; i < SHEET_CLASSES; i++)
		if (!strcasecmp(sheet_class_name(i, name), given)) {
			*class = i;
			return true;
		}
	return false;
}

const char *sheet_proto_name(enum sheet_proto proto)
{
	static const char *const names[] = { [SHEET_UDP] = "udp", [SHEET_TCP] = "tcp" };
	static_assert(ARRAY_LEN(names) == SHEET_PROTOS, "names misses a protocol");
	return names[proto];
}

const char *sheet_host_name(char side, int class, char out[static 16])
{
	char name[16];

	snprintf(out, 16, "%c-%s", side, sheet_class_name(class, name));
	for (char *p = out; *p; p++)
		*p = *p == '/' ? '-' : *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	return out;
}

/* ---- the file ---- */

static bool write_head(const struct sheet *s, struct buf *out)
{
	bool ok = buf_printf(out, "%s", s->ipv6 ? "ipv6: true\nrouters:\n" : "routers:\n");
	if (ok && s->carrier_a)
		ok = buf_printf(out, "  carrier-a: {nat: %s}\n", s->carrier_a);
	if (ok && s->carrier_b)
		ok = buf_printf(out, "  carrier-b: {nat: %s}\n", s->carrier_b);
	return ok;
}

static bool write_router(const struct sheet *s, char side, int class, struct buf *out)
{
	char host[16];
	const char *carrier = (side == 'a' || s->shared) && s->carrier_a ? "carrier-a"
			      : side == 'b' && s->carrier_b		 ? "carrier-b"
									 : NULL;
	bool ok = buf_printf(out, "  net-%s: {nat: {mapping: %s, filtering: %s",
		sheet_host_name(side, class, host), nat_mapping_words[class / NAT_FILTERINGS],
		nat_filtering_words[class % NAT_FILTERINGS]);
	ok = ok && buf_printf(out, "%s%s}", s->nat ? ", " : "", s->nat ? s->nat : "");
	if (ok && carrier)
		ok = buf_printf(out, ", behind: %s", carrier);
	return ok && buf_printf(out, "%s%s}\n", s->lan ? ", " : "", s->lan ? s->lan : "");
}

bool sheet_write(const struct sheet *s, struct buf *out)
{
	char host[16];
	bool ok = buf_printf(out, "simnet: 1\nname: matrix-%s\nabout: %s\n", s->name, s->about) &&
		  write_head(s, out);

	for (int i = 0; i < 2 * SHEET_CLASSES && ok; i++)
		ok = write_router(s, "ab"[i / SHEET_CLASSES], i % SHEET_CLASSES, out);
	ok = ok && buf_printf(out, "services:\n  rendezvous: {run: punch-server}\nnodes:\n");
	for (int i = 0; i < 2 * SHEET_CLASSES && ok; i++) {
		sheet_host_name("ab"[i / SHEET_CLASSES], i % SHEET_CLASSES, host);
		ok = buf_printf(out, "  %s: {at: net-%s, run: punch}\n", host, host);
	}
	return ok && buf_printf(out, "steps: []\n");
}

bool sheet_write_cell(const struct sheet *s, int a, int b, enum sheet_proto proto, struct buf *out)
{
	char ha[16], hb[16], ca[16], cb[16];
	const char *word = sheet_proto_name(proto);

	sheet_host_name('a', a, ha);
	sheet_host_name('b', b, hb);
	return buf_printf(out, "simnet: 1\nname: matrix-%s-%s-%s\nabout: %s; %s calls %s by %s\n", s->name,
		       ha, hb, s->about, sheet_class_name(a, ca), sheet_class_name(b, cb), word) &&
	       write_head(s, out) && write_router(s, 'a', a, out) && write_router(s, 'b', b, out) &&
	       buf_printf(out,
		       "services:\n  rendezvous: {run: punch-server}\nnodes:\n"
		       "  %s: {at: net-%s, run: punch, with: {call: %s, proto: %s}}\n"
		       "  %s: {at: net-%s, run: punch, with: {proto: %s}}\n"
		       "steps:\n"
		       "  - expect: {path: %s->%s, is: oracle, within: 5s, for: 1s}\n"
		       "  - expect: {path: %s->%s, is: oracle, within: 5s}\n",
		       ha, ha, hb, word, hb, hb, word, ha, hb, hb, ha);
}
