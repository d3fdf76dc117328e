/* Packet filter rules, tailscale-protocol.md 6.1. Rules only ever allow, so what cannot be understood (a
 * source of a later protocol, a legacy field that changes the meaning of its rule) is left out and the rest
 * stands: never more than was said. */
#include "mesh/proto/shapes.h"
#include "mesh/base/wire.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef unsigned __int128 u128;

static u128 to_number(const struct addr *a)
{
	return (u128)be_get(a->b, 8) << 64 | be_get(a->b + 8, 8);
}

static struct addr from_number(u128 n)
{
	struct addr a;
	be_put(a.b, 8, (uint64_t)(n >> 64));
	be_put(a.b + 8, 8, (uint64_t)n);
	return a;
}

/* Host bits of a prefix, counted in the 128-bit form. */
static unsigned host_bits(const struct prefix *p)
{
	return (addr_is_v4(&p->ip) ? 32u : 128u) - p->bits;
}

static u128 low_bits(unsigned n)
{
	return n >= 128 ? ~(u128)0 : ((u128)1 << n) - 1;
}

static bool parse_range(const char *text, struct ctl_ip_range *out)
{
	struct prefix p;
	if (strcmp(text, "*") == 0) {
		*out = (struct ctl_ip_range) { .any = true };
		return true;
	}
	if (prefix_parse(text, &p)) {
		u128 n = to_number(&p.ip), host = low_bits(host_bits(&p));
		*out = (struct ctl_ip_range) { .first = from_number(n & ~host),
			.last = from_number(n | host) };
		return true;
	}
	const char *dash = strchr(text, '-');
	char first[ADDR_TEXT] = "";
	struct ctl_ip_range r = { 0 };
	if (!dash || (size_t)(dash - text) >= sizeof(first))
		return false;
	memcpy(first, text, (size_t)(dash - text));
	if (!addr_parse(first, &r.first) || !addr_parse(dash + 1, &r.last) ||
		addr_is_v4(&r.first) != addr_is_v4(&r.last) || to_number(&r.first) > to_number(&r.last))
		return false;
	*out = r;
	return true;
}

/* The largest prefix that starts at first and ends no later than last. */
static struct prefix first_prefix(u128 first, u128 last)
{
	struct prefix p = { .ip = from_number(first) };
	unsigned width = addr_is_v4(&p.ip) ? 32 : 128, host = 0;
	while (host < width && !(first & low_bits(host + 1)) && (first | low_bits(host + 1)) <= last)
		host++;
	p.bits = (uint8_t)(width - host);
	return p;
}

static void put_range(struct json_out *out, const struct ctl_ip_range *r)
{
	char first[PREFIX_TEXT], last[ADDR_TEXT], text[PREFIX_TEXT + ADDR_TEXT + 1];
	if (r->any) {
		json_put_string(out, "*");
		return;
	}
	struct prefix p = first_prefix(to_number(&r->first), to_number(&r->last));
	u128 end = to_number(&r->first) | low_bits(host_bits(&p));
	if (end == to_number(&r->last)) {
		json_put_string(
			out, host_bits(&p) ? prefix_format(&p, first) : addr_format(&r->first, first));
		return;
	}
	snprintf(text, sizeof(text), "%s-%s", addr_format(&r->first, first), addr_format(&r->last, last));
	json_put_string(out, text);
}

/* --- sources --- */
struct sources {
	struct ctl_ip_range *v;
	size_t n;
};

static bool read_sources(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	struct ctl_strings names = { 0 };
	if (!json_strings.read(in, v, &names, row))
		return false;
	struct sources s = { .v = arena_array(in->arena, names.n, sizeof(*s.v)) };
	if (!s.v)
		return false;
	for (size_t i = 0; i < names.n; i++)
		s.n += parse_range(names.v[i], &s.v[s.n]);
	memcpy(field, &s, sizeof(s));
	return true;
}

static void write_sources(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	struct sources s;
	memcpy(&s, field, sizeof(s));
	json_put(out, "[");
	for (size_t i = 0; i < s.n; i++) {
		json_put(out, i ? "," : "");
		put_range(out, &s.v[i]);
	}
	json_put(out, "]");
}

static const struct json_codec sources = { NULL, read_sources, write_sources, NULL };

/* --- destinations: one of the text may be several of ours, as ranges become prefixes --- */
enum { PREFIXES_OF_RANGE = 254 };

struct dst_text {
	const char *ip;
	struct ctl_ports ports;
	int64_t first, last;
	bool has_bits;
};

static bool see_bits(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)in;
	(void)v;
	(void)row;
	*(bool *)field = true;
	return true;
}

static const struct json_codec presence = { NULL, see_bits, NULL, NULL };
static const struct json_row range_rows[] = {
	{ "First", &json_i64, offsetof(struct dst_text, first), JSON_MUST, 0, NULL },
	{ "Last", &json_i64, offsetof(struct dst_text, last), JSON_MUST, 0, NULL },
	{ 0 },
};
static const struct json_shape range_shape = { range_rows, sizeof(struct dst_text), NULL };
static const struct json_row dst_rows[] = {
	{ "IP", &json_str, offsetof(struct dst_text, ip), JSON_MUST, 0, NULL },
	{ "Bits", &presence, offsetof(struct dst_text, has_bits), 0, 0, NULL },
	{ "Ports", &json_inside, 0, JSON_MUST, 0, &range_shape },
	{ 0 },
};
static const struct json_shape dst_shape = { dst_rows, sizeof(struct dst_text), NULL };
static const struct json_row dst_list = { .name = "DstPorts", .codec = &json_list, .arg = &dst_shape };

struct destinations {
	struct ctl_ports *v;
	size_t n;
};

/* How many prefixes the range takes; written to v unless it is NULL. */
static size_t split_range(const struct ctl_ip_range *r, struct ctl_ports like, struct ctl_ports *v)
{
	u128 at = to_number(&r->first), last = to_number(&r->last);
	size_t n = 0;
	for (;;) {
		like.net = first_prefix(at, last);
		if (v)
			v[n] = like;
		n++;
		at |= low_bits(host_bits(&like.net));
		if (at >= last || n >= PREFIXES_OF_RANGE)
			return n;
		at++;
	}
}

static size_t expand_destination(const struct dst_text *d, struct ctl_ports *v)
{
	struct ctl_ip_range r;
	if (d->has_bits || d->first < 0 || d->last > UINT16_MAX || d->first > d->last ||
		!parse_range(d->ip, &r))
		return 0;
	struct ctl_ports p = { .any_ip = r.any, .first = (uint16_t)d->first, .last = (uint16_t)d->last };
	if (!r.any)
		return split_range(&r, p, v);
	if (v)
		*v = p;
	return 1;
}

static bool read_destinations(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	struct {
		struct dst_text *v;
		size_t n;
	} texts = { 0 };
	if (!json_list.read(in, v, &texts, &dst_list))
		return false;
	size_t n = 0;
	for (size_t i = 0; i < texts.n; i++)
		n += expand_destination(&texts.v[i], NULL);
	struct destinations d = { .v = arena_array(in->arena, n, sizeof(*d.v)) };
	if (!d.v)
		return false;
	for (size_t i = 0; i < texts.n; i++)
		d.n += expand_destination(&texts.v[i], d.v + d.n);
	memcpy(field, &d, sizeof(d));
	return true;
}

static void write_destinations(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	struct destinations d;
	memcpy(&d, field, sizeof(d));
	json_put(out, "[");
	for (size_t i = 0; i < d.n; i++) {
		char text[PREFIX_TEXT];
		const struct ctl_ports *p = &d.v[i];
		json_put(out, i ? ",{\"IP\":" : "{\"IP\":");
		json_put_string(out, p->any_ip		  ? "*"
				     : host_bits(&p->net) ? prefix_format(&p->net, text)
							  : addr_format(&p->net.ip, text));
		json_put(out, ",\"Ports\":{\"First\":");
		json_put_i64(out, p->first);
		json_put(out, ",\"Last\":");
		json_put_i64(out, p->last);
		json_put(out, "}}");
	}
	json_put(out, "]");
}

static const struct json_codec destinations = { NULL, read_destinations, write_destinations, NULL };

/* --- protocols --- */
struct protos {
	uint8_t *v;
	size_t n;
};
struct numbers {
	int64_t *v;
	size_t n;
};

/* By its number: what was left out before it has moved it in the list. */
static bool refuse_proto(struct json_in *in, int64_t number)
{
	char why[64];
	snprintf(why, sizeof(why), "%" PRId64 " is not an IP protocol", number);
	return json_fail(in, why) || json_leave_out(in);
}

static bool read_protos(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	struct numbers list = { 0 };
	if (!json_numbers.read(in, v, &list, row))
		return false;
	struct protos p = { .v = arena_alloc(in->arena, list.n) };
	if (!p.v)
		return false;
	for (size_t i = 0; i < list.n; i++) {
		if (list.v[i] >= 0 && list.v[i] <= UINT8_MAX)
			p.v[p.n++] = (uint8_t)list.v[i];
		else if (!refuse_proto(in, list.v[i]))
			return false;
	}
	if (json_array_size(v) && !p.n)
		return json_fail(in, "no IP protocol in it"); /* an empty list means all */
	memcpy(field, &p, sizeof(p));
	return true;
}

static void write_protos(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	struct protos p;
	memcpy(&p, field, sizeof(p));
	json_put(out, "[");
	for (size_t i = 0; i < p.n; i++) {
		json_put(out, i ? "," : "");
		json_put_i64(out, p.v[i]);
	}
	json_put(out, "]");
}

static bool protos_empty(const void *field)
{
	struct protos p;
	memcpy(&p, field, sizeof(p));
	return p.n == 0;
}

static const struct json_codec protos = { NULL, read_protos, write_protos, protos_empty };

/* --- rules --- */
struct rule_text {
	struct ctl_rule rule; /* first: the writer hands in a bare rule */
	bool skipped, has_caps;
};

/* A rule that has it is of capabilities, also when they cannot be read. */
static bool read_caps(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	struct rule_text *t = field;
	t->has_caps = true;
	return json_raw_list.read(in, v, &t->rule.caps_json, row);
}

static const struct json_codec capabilities = { NULL, read_caps, NULL, NULL };
static const struct json_row rule_rows[] = {
	{ "SrcIPs", &sources, offsetof(struct rule_text, rule.src), 0, 0, NULL },
	{ "DstPorts", &destinations, offsetof(struct rule_text, rule.dst), 0, 0, NULL },
	{ "IPProto", &protos, offsetof(struct rule_text, rule.protos), JSON_OMIT, 0, NULL },
	{ "CapGrant", &json_raw_list, offsetof(struct rule_text, rule.caps_json), JSON_OMIT, 0, NULL },
	{ 0 },
};
static const struct json_row rule_rows_read[] = {
	{ "SrcIPs", &sources, offsetof(struct rule_text, rule.src), JSON_MUST, 0, NULL },
	{ "DstPorts", &destinations, offsetof(struct rule_text, rule.dst), JSON_MUST, 0, NULL },
	{ "IPProto", &protos, offsetof(struct rule_text, rule.protos), JSON_MUST, 0, NULL },
	{ "SrcBits", &presence, offsetof(struct rule_text, skipped), 0, 0, NULL },
	{ "CapGrant", &capabilities, 0, 0, 0, NULL },
	{ 0 },
};
static const struct json_shape rule_shape = { rule_rows, sizeof(struct ctl_rule), NULL };
static const struct json_shape rule_shape_read = { rule_rows_read, sizeof(struct rule_text), NULL };
static const struct json_row rule_list = { .name = "rules", .codec = &json_list, .arg = &rule_shape };
static const struct json_row rule_list_read = {
	.name = "rules", .codec = &json_list, .arg = &rule_shape_read
};

struct rules {
	struct ctl_rule *v;
	size_t n;
};

static bool read_rules(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	struct {
		struct rule_text *v;
		size_t n;
	} texts = { 0 };
	if (!json_list.read(in, v, &texts, &rule_list_read))
		return false;
	struct rules r = { .v = arena_array(in->arena, texts.n, sizeof(*r.v)) };
	if (!r.v)
		return false;
	for (size_t i = 0; i < texts.n; i++) {
		struct ctl_rule *rule = &texts.v[i].rule;
		if (texts.v[i].has_caps)
			rule->n_dst = 0; /* a rule is either */
		if (!texts.v[i].skipped && rule->n_src && (rule->n_dst || rule->caps_json))
			r.v[r.n++] = *rule;
	}
	memcpy(field, &r, sizeof(r));
	return true;
}

static void write_rules(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	json_list.write(out, field, &rule_list);
}

/* What cannot be read allows nothing; that it is so is asked anew. */
static bool read_rules_or_none(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	if (read_rules(in, v, field, row))
		return true;
	if (!json_leave_out(in))
		return false;
	in->gaps->delta = true;
	return true;
}

const struct json_codec filter_rules = { NULL, read_rules_or_none, write_rules, NULL };

/* --- PacketFilters --- */
static bool filter_read(struct json_in *in, const char *key, const json_t *v, void *element)
{
	struct ctl_filter *f = element;
	f->name = arena_strdup(in->arena, key);
	f->remove = json_is_null(v);
	return f->name && (f->remove || read_rules_or_none(in, v, &f->rules, NULL));
}

static void filter_write(struct json_out *out, const void *element, bool *first)
{
	const struct ctl_filter *f = element;
	json_put_name(out, f->name, first);
	if (f->remove)
		json_put(out, "null");
	else
		write_rules(out, &f->rules, NULL);
}

const struct json_map filter_map = { sizeof(struct ctl_filter), true, filter_read, filter_write };

bool ctl_filters_write(struct buf *out, const struct ctl_filter *v, size_t n)
{
	struct json_out o = { .to = out };
	bool first = true;
	json_put(&o, "[");
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < v[i].n_rules; k++) {
			json_put(&o, first ? "" : ",");
			json_put_object(&o, &rule_shape, &v[i].rules[k]);
			first = false;
		}
	json_put(&o, "]");
	return !o.bad;
}
