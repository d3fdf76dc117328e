#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The NAT of a router: a word, or a map that begins with what `preset` says and changes it key by key. */
struct nat_words {
	int preset, mapping, filtering, ports, hairpin, pooling, refresh, expiry, fragments;
	uint64_t block, pool, table, lifetime_ms, lifetime_new_ms, stream_ms;
	bool hairpin_filters;
	const struct yaml_value *tcp, *icmp;
	const char **forwards;
};
struct tcp_words {
	int mapping, filtering, unknown;
	uint64_t opening_ms, lifetime_ms, closing_ms;
};
struct icmp_words {
	int errors;
	uint64_t lifetime_ms;
};

static const char *const pooling_words[] = { "paired", "arbitrary", NULL }, *const icmp_error_words[] = {
	"pass", "lost", NULL
};

#define AT(field) offsetof(struct tcp_words, field)
static const struct schema_row tcp_rows[] = {
	{ "mapping", SCHEMA_WORD, AT(mapping), .words = nat_mapping_words, .def = "as UDP",
		.doc = "RFC 5382 4.1" },
	{ "filtering", SCHEMA_WORD, AT(filtering), .words = nat_filtering_words, .def = "as UDP",
		.doc = "RFC 5382 4.3" },
	{ "unknown", SCHEMA_WORD, AT(unknown), .words = nat_unknown_words, .def = "loose",
		.doc = "a segment from inside that belongs to no connection it knows makes a mapping "
		       "(`loose`), is answered "
		       "with ICMP \"administratively prohibited\" (`strict`) or a reset (`reset`), or "
		       "vanishes "
		       "(`silent`)" },
	{ "opening", SCHEMA_DURATION, AT(opening_ms), .def = "120s",
		.doc = "how long a half open connection lives" },
	{ "lifetime", SCHEMA_DURATION, AT(lifetime_ms), .def = "2h4m", .doc = "and an idle one" },
	{ "closing", SCHEMA_DURATION, AT(closing_ms), .def = "120s", .doc = "and one after FIN or RST" },
	{ 0 },
};
#undef AT
static const struct schema_table tcp_table = {
	.name = "nat-tcp", .about = "What a NAT does with TCP.", .rows = tcp_rows
};
#define AT(field) offsetof(struct icmp_words, field)
static const struct schema_row icmp_rows[] = {
	{ "errors", SCHEMA_WORD, AT(errors), .words = icmp_error_words, .def = "pass",
		.doc = "`lost`: errors about translated packets do not pass, against RFC 5508" },
	{ "lifetime", SCHEMA_DURATION, AT(lifetime_ms), .def = "30s", .doc = "of a query, as ping's" },
	{ 0 },
};
#undef AT
static const struct schema_table icmp_table = {
	.name = "nat-icmp", .about = "What a NAT does with ICMP.", .rows = icmp_rows
};
static const struct schema_form tcp_form = { .map = &tcp_table }, icmp_form = { .map = &icmp_table };

#define AT(field) offsetof(struct nat_words, field)
static const struct schema_row nat_rows[] = {
	{ "preset", SCHEMA_WORD, AT(preset), .words = nat_preset_words, .def = "home",
		.doc = "a word of the table below, to begin with" },
	{ "mapping", SCHEMA_WORD, AT(mapping), .words = nat_mapping_words,
		.doc = "RFC 4787 4.1: what an external port is kept for: the inner endpoint alone, with each "
		       "address, or with each address and port it sends to" },
	{ "filtering", SCHEMA_WORD, AT(filtering), .words = nat_filtering_words,
		.doc = "RFC 4787 5: who may send to an external port: anybody, addresses it has sent to, "
		       "addresses and ports" },
	{ "ports", SCHEMA_WORD, AT(ports), .words = nat_ports_words, .def = "hash",
		.doc = "how a mapping gets its port: a `hash` of what it depends on and the seed; the inner "
		       "one if it is "
		       "free (`preserve`), or though another host has it (`overload`, with EIM alone); the "
		       "next one; by "
		       "chance; a hash "
		       "of the same `parity`; out of a `block` of the host" },
	{ "block", SCHEMA_U64, AT(block), .min = 4, .max = 4096,
		.doc = "`ports: block`: how many a host has; a power of two" },
	{ "pool", SCHEMA_U64, AT(pool), .min = 1, .max = NAT_POOL_MAX, .def = "1",
		.doc = "external addresses" },
	{ "pooling", SCHEMA_WORD, AT(pooling), .words = pooling_words, .def = "paired",
		.doc = "`arbitrary`: each mapping takes any of them; else a host keeps one" },
	{ "hairpin", SCHEMA_WORD, AT(hairpin), .words = nat_hairpin_words, .def = "off",
		.doc = "packets from inside to an outer port of its own: refused, or let through with the "
		       "inner source (`internal`) or the translated one (`external`)" },
	{ "hairpin-filter", SCHEMA_BOOL, AT(hairpin_filters), .def = "false",
		.doc = "they are let in as if they came from outside, by `filtering`" },
	{ "lifetime", SCHEMA_DURATION, AT(lifetime_ms), .def = "120s",
		.doc = "how long an unused UDP mapping lives" },
	{ "lifetime-new", SCHEMA_DURATION, AT(lifetime_new_ms), .def = "as lifetime",
		.doc = "the same while nobody has answered" },
	{ "stream", SCHEMA_DURATION, AT(stream_ms),
		.doc = "`lifetime` holds from the first packet of an answered flow that comes so long after "
		       "its first, as with Linux after 2s; without it, as soon as it is answered" },
	{ "refresh", SCHEMA_WORD, AT(refresh), .words = nat_refresh_words, .def = "both",
		.doc = "which packets keep a mapping alive: those that go out, those that come in" },
	{ "after-expiry", SCHEMA_WORD, AT(expiry), .words = nat_expiry_words, .def = "policy",
		.doc = "whether the same port comes back: as `ports` has it, always, never" },
	{ "tcp", SCHEMA_KEEP, AT(tcp), .form = &tcp_form, .doc = "what is different for TCP" },
	{ "icmp", SCHEMA_KEEP, AT(icmp), .form = &icmp_form, .doc = "and ICMP" },
	{ "table", SCHEMA_U64, AT(table), .min = 1, .max = NAT_TABLE_MAX, .def = "65536",
		.doc = "mappings of each protocol, at most; what finds no room is dropped" },
	{ "fragments", SCHEMA_WORD, AT(fragments), .words = nat_fragments_words, .def = "any",
		.doc = "RFC 4787 11: in any order, only behind the first, or none" },
	{ "forwards", SCHEMA_STRINGS, AT(forwards),
		.doc = "outer ports that lead inside, as `udp 4242 alice:41641`; what alice sends from there "
		       "leaves by the "
		       "same port" },
	{ 0 },
};
#undef AT
const struct schema_table nat_table = { .name = "nat",
	.about = "A NAT in the long form. Durations are whole seconds, at most 120h.",
	.rows = nat_rows };

/* ---- from words ---- */

struct seconds {
	const struct yaml_value *map;
	const char *key;
	uint64_t ms; /* 0 = not said */
	uint32_t *out;
};

static int read_seconds(struct yaml_reader *y, const struct seconds *s)
{
	if (!s->ms)
		return 0;
	if (s->ms < 1000 || s->ms % 1000 || s->ms > (uint64_t)NAT_LIFETIME_MAX_S * 1000)
		return yaml_error(
			y, yaml_get(s->map, s->key)->at, "'%s' must be whole seconds, at most 120h", s->key);
	*s->out = (uint32_t)(s->ms / 1000);
	return 0;
}

static int read_all_seconds(struct yaml_reader *y, const struct seconds *rows, size_t n)
{
	int first = 0;
	for (size_t i = 0; i < n; i++) {
		int err = read_seconds(y, &rows[i]);
		first = first ? first : err;
	}
	return first;
}

static int read_tcp(struct yaml_reader *y, const struct yaml_value *v, struct nat_model *m)
{
	struct tcp_words w = { (int)m->tcp.mapping, (int)m->tcp.filtering, (int)m->tcp_unknown, 0, 0, 0 };
	int err = schema_read_map(y, v, "tcp", tcp_rows, &w);
	const struct seconds rows[] = {
		{ v, "opening", w.opening_ms, &m->lifetimes.tcp_opening_s },
		{ v, "lifetime", w.lifetime_ms, &m->lifetimes.tcp_s },
		{ v, "closing", w.closing_ms, &m->lifetimes.tcp_closing_s },
	};
	m->tcp = (struct nat_class) { (enum nat_mapping)w.mapping, (enum nat_filtering)w.filtering };
	m->tcp_unknown = (enum nat_unknown)w.unknown;
	int more = err ? 0 : read_all_seconds(y, rows, ARRAY_LEN(rows));
	return err ? err : more;
}

static int read_icmp(struct yaml_reader *y, const struct yaml_value *v, struct nat_model *m)
{
	struct icmp_words w = { m->icmp_errors_lost, 0 };
	int err = schema_read_map(y, v, "icmp", icmp_rows, &w);
	m->icmp_errors_lost = w.errors;
	return err ? err
		   : read_seconds(
			     y, &(struct seconds) { v, "lifetime", w.lifetime_ms, &m->lifetimes.icmp_s });
}

/* 1 to 65535 up to `end`; 0 = not a port. */
static uint16_t read_port(const char *text, char end, const char **rest)
{
	char *after = NULL;
	unsigned long port = *text >= '0' && *text <= '9' ? strtoul(text, &after, 10) : 0;

	if (!port || port > 65535 || *after != end)
		return 0;
	*rest = after + (end != '\0');
	return (uint16_t)port;
}

static bool parse_forward(struct yaml_reader *y, const char *text, struct nat_forward *out)
{
	bool tcp = !strncmp(text, "tcp ", 4);
	const char *at = text + 4, *colon;
	struct nat_forward f = { .proto = tcp ? 6 : 17 };

	if ((!tcp && strncmp(text, "udp ", 4) != 0) || !(f.port = read_port(at, ' ', &at)) ||
		!(colon = strchr(at, ':')) || colon == at ||
		!(f.to_port = read_port(colon + 1, '\0', &(const char *) { NULL })))
		return false;
	const char *to = arena_strndup(y->arena, at, (size_t)(colon - at));
	if (!to)
		return false;
	f.to = to;
	*out = f;
	return true;
}

static int read_forwards(
	struct yaml_reader *y, const struct yaml_value *v, const char **words, struct nat_model *m)
{
	for (size_t i = 0; words && words[i]; i++) {
		struct scn_at at = v->items[i]->at;
		if (m->n_forwards == NAT_FORWARDS_MAX)
			return yaml_error(y, at, "more than %d forwards", NAT_FORWARDS_MAX);
		if (!parse_forward(y, words[i], &m->forwards[m->n_forwards]))
			return yaml_error(
				y, at, "'%.60s' is not a forward: 'udp 4242 alice:41641'", words[i]);
		m->n_forwards++;
	}
	return 0;
}

static struct nat_words words_of(const struct nat_model *m)
{
	return (struct nat_words) { .mapping = (int)m->udp.mapping,
		.filtering = (int)m->udp.filtering,
		.ports = (int)m->ports,
		.hairpin = (int)m->hairpin,
		.pooling = m->pool_arbitrary,
		.refresh = (int)m->refresh,
		.expiry = (int)m->expiry,
		.fragments = (int)m->fragments,
		.block = m->block_ports,
		.pool = m->pool,
		.table = m->table,
		.hairpin_filters = m->hairpin_filters };
}

static void take_words(const struct nat_words *w, const struct yaml_value *v, struct nat_model *m)
{
	m->udp = (struct nat_class) { (enum nat_mapping)w->mapping, (enum nat_filtering)w->filtering };
	if (yaml_get(v, "mapping"))
		m->tcp.mapping = m->udp.mapping;
	if (yaml_get(v, "filtering"))
		m->tcp.filtering = m->udp.filtering;
	m->ports = (enum nat_ports)w->ports;
	m->hairpin = (enum nat_hairpin)w->hairpin;
	m->pool_arbitrary = w->pooling;
	m->refresh = (enum nat_refresh)w->refresh;
	m->expiry = (enum nat_expiry)w->expiry;
	m->fragments = (enum nat_fragments)w->fragments;
	m->block_ports = (uint32_t)w->block;
	m->pool = (uint32_t)w->pool;
	m->table = (uint32_t)w->table;
	m->hairpin_filters = w->hairpin_filters;
}

static int read_long(
	struct yaml_reader *y, const struct yaml_value *v, struct nat_words *w, struct nat_model *m)
{
	int errors[6] = { schema_read_map(y, v, "nat", nat_rows, w) };
	if (errors[0])
		return errors[0];
	take_words(w, v, m);
	if (w->lifetime_ms)
		w->lifetime_new_ms = w->lifetime_new_ms ? w->lifetime_new_ms : w->lifetime_ms;
	const struct seconds rows[] = {
		{ v, "lifetime", w->lifetime_ms, &m->lifetimes.udp_s },
		{ v, yaml_get(v, "lifetime-new") ? "lifetime-new" : "lifetime", w->lifetime_new_ms,
			&m->lifetimes.udp_new_s },
		{ v, "stream", w->stream_ms, &m->udp_stream_s },
	};
	errors[1] = read_seconds(y, &rows[0]);
	errors[2] = errors[1] ? 0 : read_all_seconds(y, &rows[1], 2);
	errors[3] = w->tcp ? read_tcp(y, w->tcp, m) : 0;
	errors[4] = w->icmp ? read_icmp(y, w->icmp, m) : 0;
	errors[5] = read_forwards(y, yaml_get(v, "forwards"), w->forwards, m);
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i])
			return errors[i];
	const char *trouble = nat_model_trouble(m);
	return trouble ? yaml_error(y, v->at, "%s", trouble) : 0;
}

int nat_read(struct yaml_reader *y, const struct yaml_value *v, struct scn_router *r)
{
	static const struct schema_row row = { "nat", SCHEMA_WORD, 0, .words = nat_preset_words },
				       preset_row = { "preset", SCHEMA_WORD, 0, .words = nat_preset_words };
	bool is_long = v->type == YAML_MAP;
	const struct yaml_value *word = is_long ? yaml_get(v, "preset") : v;
	int which = -1, err = word ? schema_read_scalar(y, word, is_long ? "preset" : "nat",
					     is_long ? &preset_row : &row, &which)
				   : 0;
	if (err)
		return err;
	struct nat_model m = which < 0 ? nat_model_default : nat_presets[which].model;

	r->nat = which < 0 || nat_presets[which].translates;
	if (is_long) {
		struct nat_words w = words_of(&m);
		err = read_long(y, v, &w, &m);
		if (!err && !r->nat && v->n > 1)
			err = yaml_error(y, v->at, "'%s' does not translate: nothing can be said of it",
				nat_presets[which].word);
	}
	r->model = m;
	return err;
}
