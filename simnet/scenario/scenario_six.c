#include "simnet/scenario/scenario_read.h"

/* What a router does between IPv6 and IPv4. */
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
