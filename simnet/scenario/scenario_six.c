#include "simnet/scenario/scenario_read.h"

#include <string.h>

/* What a router does to IPv6: makes IPv4 of it, or exchanges its prefix. */
struct nat64_words {
	const char *prefix;
};

#define AT(field) offsetof(struct nat64_words, field)
static const struct schema_row nat64_rows[] = {
	{ "prefix", SCHEMA_STRING, AT(prefix), .def = "64:ff9b::/96",
		.doc = "RFC 6052: where the IPv4 internet is, seen from inside; /32, /40, /48, /56, /64 or "
		       "/96" },
	{ 0 },
};
#undef AT
const struct schema_table nat64_table = { .name = "nat64",
	.about = "RFC 6146: hosts of the inside that speak IPv6 reach IPv4 through the router's NAT, which "
		 "is what `nat` "
		 "says for them too.",
	.rows = nat64_rows,
	.short_key = "prefix" };

struct nptv6_words {
	const char *inside, *outside;
};

#define AT(field) offsetof(struct nptv6_words, field)
static const struct schema_row nptv6_rows[] = {
	{ "inside", SCHEMA_STRING, AT(inside), .def = "fd00:51::/48",
		.doc = "of all that is inside, which has a /64 of it for each network" },
	{ "outside", SCHEMA_STRING, AT(outside), .def = "chosen",
		.doc = "what others know it by; a /48 as well" },
	{ 0 },
};
#undef AT
const struct schema_table nptv6_table = { .name = "nptv6",
	.about = "RFC 6296: IPv6 of the inside has a prefix of its own, which is exchanged on the way out "
		 "and in, without a "
		 "state.",
	.rows = nptv6_rows };

static int read_48(struct yaml_reader *y, const struct yaml_value *v, const char *key, const char *text,
	struct addr *out)
{
	const struct yaml_value *at = v->type == YAML_MAP ? yaml_get(v, key) : v;
	struct addr own = { { 0x2a, 0x0e, 0x51 } };
	struct prefix p, masked;
	bool ok = strchr(text, '/') && prefix_parse(text, &p) && !addr_is_v4(&p.ip) && p.bits == 48;

	if (ok) {
		masked = p;
		prefix_mask(&masked);
		ok = prefix_equal(&masked, &p) && !addr_is_unspecified(&p.ip) && !addr_is_multicast(&p.ip) &&
		     !addr_is_link_local(&p.ip) && !addr_is_mesh(&p.ip) && memcmp(p.ip.b, own.b, 6) != 0;
	}
	if (!ok)
		return yaml_error(y, at ? at->at : v->at,
			"'%s' must be an IPv6 network of /48 that is nobody's, as fd00:51::/48, not '%.60s'",
			key, text);
	*out = p.ip;
	return 0;
}

int nptv6_read(struct yaml_reader *y, const struct yaml_value *v, struct nptv6 *out)
{
	struct nptv6_words w = { .inside = "fd00:51::/48" };
	int err = schema_read_map(y, v, "nptv6", nptv6_rows, &w);

	*out = (struct nptv6) { 0 };
	if (err)
		return err;
	err = read_48(y, v, "inside", w.inside, &out->inside);
	int more = w.outside ? read_48(y, v, "outside", w.outside, &out->outside) : 0;
	if (!err && !more && addr_equal(&out->inside, &out->outside))
		return yaml_error(y, v->at, "'inside' and 'outside' are one network");
	return err ? err : more;
}

int nat64_read(struct yaml_reader *y, const struct yaml_value *v, struct nat64 *out)
{
	struct nat64_words w = { .prefix = "64:ff9b::/96" };
	const struct yaml_value *at = v->type == YAML_MAP ? yaml_get(v, "prefix") : v;
	int err = v->type == YAML_SCALAR ? schema_read_scalar(y, v, "nat64", &nat64_rows[0], &w)
					 : schema_read_map(y, v, "nat64", nat64_rows, &w);

	if (err || nat64_parse(w.prefix, out))
		return err;
	return yaml_error(y, at->at,
		"'prefix' must be an IPv6 network of /32, /40, /48, /56, /64 or /96, as 64:ff9b::/96, not "
		"'%.60s'",
		w.prefix);
}
