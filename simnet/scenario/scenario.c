#include "simnet/scenario/scenario.h"

#include "mesh/base/text.h"
#include "simnet/scenario/scenario_read.h"
#include "simnet/scenario/yaml.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The whole file as its rows see it, before names are resolved to indexes. */
struct document {
	struct scenario *s;
	const struct yaml_value *routers, *nodes, *services, *steps;
};

/* ---- routers */

struct router_words {
	const char *behind;
	const struct yaml_value *nat;
	int udp;
	bool accepts_wan;
};

static const char *const udp_words[] = { "open", "blocked", NULL };

static const struct nat_preset {
	const char *word;
	bool nat;
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	enum nat_hairpin hairpin;
} nat_presets[] = {
	{ "none", false, NAT_EIM, NAT_EIF, NAT_HAIRPIN_OFF },
	{ "public", false, NAT_EIM, NAT_EIF, NAT_HAIRPIN_OFF },
	{ "home", true, NAT_EIM, NAT_APDF, NAT_HAIRPIN_OFF },
	{ "easy", true, NAT_EIM, NAT_APDF, NAT_HAIRPIN_OFF },
	{ "cgnat", true, NAT_EIM, NAT_EIF, NAT_HAIRPIN_EXTERNAL },
	{ "full-cone", true, NAT_EIM, NAT_EIF, NAT_HAIRPIN_EXTERNAL },
	{ "restricted", true, NAT_EIM, NAT_ADF, NAT_HAIRPIN_OFF },
	{ "symmetric", true, NAT_APDM, NAT_APDF, NAT_HAIRPIN_OFF },
	{ "hard", true, NAT_APDM, NAT_APDF, NAT_HAIRPIN_OFF },
};
static const char *const nat_words[] = { "none", "public", "home", "easy", "cgnat", "full-cone", "restricted",
	"symmetric", "hard", NULL };
static const char *const mapping_words[] = {
	[NAT_EIM] = "EIM", [NAT_ADM] = "ADM", [NAT_APDM] = "APDM", NULL
};
static const char *const filtering_words[] = {
	[NAT_EIF] = "EIF", [NAT_ADF] = "ADF", [NAT_APDF] = "APDF", NULL
};
static const char *const hairpin_words[] = { [NAT_HAIRPIN_OFF] = "off",
	[NAT_HAIRPIN_INTERNAL] = "internal",
	[NAT_HAIRPIN_EXTERNAL] = "external",
	NULL };
static_assert(ARRAY_LEN(mapping_words) == NAT_MAPPINGS + 1, "mapping_words misses a class");
static_assert(ARRAY_LEN(filtering_words) == NAT_FILTERINGS + 1, "filtering_words misses a class");
static_assert(ARRAY_LEN(nat_words) == ARRAY_LEN(nat_presets) + 1, "nat_words misses a preset");

enum { LIFETIME_MS_MAX = 86400000 };
struct nat_map {
	int mapping, filtering, hairpin;
	uint64_t lifetime_ms;
};
static const struct yaml_row nat_rows[] = {
	{ "mapping", YAML_WORD, offsetof(struct nat_map, mapping), true, mapping_words, NULL },
	{ "filtering", YAML_WORD, offsetof(struct nat_map, filtering), true, filtering_words, NULL },
	{ "hairpin", YAML_WORD, offsetof(struct nat_map, hairpin), false, hairpin_words, NULL },
	{ "lifetime", YAML_DURATION, offsetof(struct nat_map, lifetime_ms), false, NULL, NULL },
	{ 0 },
};

static int keep_nat(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)y;
	((struct router_words *)base)->nat = v;
	return 0;
}

static const struct yaml_row router_rows[] = {
	{ "nat", YAML_CUSTOM, 0, true, NULL, keep_nat },
	{ "behind", YAML_STRING, offsetof(struct router_words, behind), false, NULL, NULL },
	{ "udp", YAML_WORD, offsetof(struct router_words, udp), false, udp_words, NULL },
	{ "accepts-wan", YAML_BOOL, offsetof(struct router_words, accepts_wan), false, NULL, NULL },
	{ 0 },
};

static int read_nat(struct yaml_reader *y, const struct yaml_value *v, struct scn_router *r)
{
	struct nat_map m = { 0 };
	int word = 0;

	if (v->type == YAML_MAP) {
		int err = yaml_read_map(y, v, "nat", nat_rows, &m);
		if (err)
			return err;
		if (m.lifetime_ms &&
			(m.lifetime_ms < 1000 || m.lifetime_ms % 1000 || m.lifetime_ms > LIFETIME_MS_MAX))
			return yaml_error(y, v->at, "'lifetime' must be whole seconds, at most 24h");
		r->nat = true;
		r->mapping = (enum nat_mapping)m.mapping;
		r->filtering = (enum nat_filtering)m.filtering;
		r->hairpin = (enum nat_hairpin)m.hairpin;
		r->udp_timeout_s = (uint32_t)(m.lifetime_ms / 1000);
		return 0;
	}
	static const struct yaml_row row = { "nat", YAML_WORD, 0, false, nat_words, NULL };
	int err = yaml_read_scalar(y, v, "nat", &row, &word);
	if (err)
		return err;
	r->nat = nat_presets[word].nat;
	r->mapping = nat_presets[word].mapping;
	r->filtering = nat_presets[word].filtering;
	r->hairpin = nat_presets[word].hairpin;
	return 0;
}

/* Names become host names, file names and interface names. */
static int check_word(struct yaml_reader *y, const struct yaml_value *word, size_t most)
{
	size_t n = strspn(word->text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	if (n && !word->text[n] && n <= most && word->text[0] != '-' && word->text[n - 1] != '-')
		return 0;
	return yaml_error(y, word->at,
		"'%.100s' is not a usable name: small letters, digits and '-', at most %zu", word->text,
		most);
}

static int check_name(struct yaml_reader *y, const struct yaml_value *key)
{
	int err = check_word(y, key, 32);
	if (err)
		return err;
	if (!strcmp(key->text, "internet") || !strcmp(key->text, "matrix") || !strcmp(key->text, "with"))
		return yaml_error(y, key->at, "the name '%s' is taken by the format", key->text);
	return 0;
}

static int read_router(
	struct yaml_reader *y, const struct yaml_pair *p, struct scn_router *r, const char **behind)
{
	struct router_words w = { 0 };
	char what[64];

	snprintf(what, sizeof(what), "router '%.32s'", p->key->text);
	r->name = p->key->text;
	r->at = p->key->at;
	int err = check_name(y, p->key), more = yaml_read_map(y, p->value, what, router_rows, &w);
	err = err ? err : more;
	more = w.nat ? read_nat(y, w.nat, r) : 0;
	*behind = w.behind;
	if (err || more)
		return err ? err : more;
	if (w.accepts_wan && !r->nat)
		return yaml_error(y, p->key->at, "'accepts-wan' is a fault of a NAT; router '%s' has none",
			p->key->text);
	r->accepts_wan = w.accepts_wan;
	r->udp_blocked = w.udp;
	return 0;
}

static int router_by_name(
	struct yaml_reader *y, const struct scenario *s, struct scn_at at, const char *name, int *out)
{
	const char *names[256] = { "internet" };

	if (!strcmp(name, "internet")) {
		*out = -1;
		return 0;
	}
	*out = scenario_find_router(s, name);
	if (*out >= 0)
		return 0;
	for (size_t i = 0; i < s->n_routers && i < ARRAY_LEN(names) - 2; i++)
		names[i + 1] = s->routers[i].name;
	return yaml_error_near(y, at, name, names, "no router '%s'", name);
}

static int read_routers(struct yaml_reader *y, struct document *d)
{
	struct scenario *s = d->s;
	const struct yaml_value *v = d->routers;
	size_t n = v ? v->n : 0;

	if (v && v->type != YAML_MAP)
		return yaml_error(y, v->at, "'routers' must be a map, not %s", yaml_type_name(v));
	s->routers = arena_array(y->arena, n + 1, sizeof(*s->routers));
	const char **behind = arena_array(y->arena, n + 1, sizeof(*behind));
	if (!s->routers || !behind)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too many routers", y->file);
	int first = 0;
	for (size_t i = 0; i < n; i++, s->n_routers++) {
		int err = read_router(y, &v->pairs[i], &s->routers[i], &behind[i]);
		first = first ? first : err;
	}
	for (size_t i = 0; i < n; i++) {
		struct scn_router *r = &s->routers[i];
		r->behind = -1;
		int err = behind[i] ? router_by_name(y, s, yaml_get(v->pairs[i].value, "behind")->at,
					      behind[i], &r->behind)
				    : 0;
		first = first ? first : err;
	}
	if (first)
		return first;
	for (size_t i = 0; i < n; i++) {
		size_t hops = 0;
		for (int up = (int)i; up >= 0; up = s->routers[up].behind)
			if (hops++ > n)
				return yaml_error(y, s->routers[i].at, "router '%s' is behind itself",
					s->routers[i].name);
	}
	return 0;
}

/* ---- nodes and services */

struct node_words {
	const char *at;
	const struct yaml_value *run, *with;
	int udp, start;
};

static const char *const start_words[] = { "now", "later", NULL };

static int keep_run(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)y;
	((struct node_words *)base)->run = v;
	return 0;
}

static int keep_with(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	if (v->type != YAML_MAP)
		return yaml_error(y, v->at, "'with' must be a map of words, not %s", yaml_type_name(v));
	((struct node_words *)base)->with = v;
	return 0;
}

static const struct yaml_row node_rows[] = {
	{ "at", YAML_STRING, offsetof(struct node_words, at), true, NULL, NULL },
	{ "run", YAML_CUSTOM, 0, false, NULL, keep_run },
	{ "with", YAML_CUSTOM, 0, false, NULL, keep_with },
	{ "udp", YAML_WORD, offsetof(struct node_words, udp), false, udp_words, NULL },
	{ "start", YAML_WORD, offsetof(struct node_words, start), false, start_words, NULL },
	{ 0 },
};
/* The same, but a service lives on the internet unless the file says otherwise. */
static const struct yaml_row service_rows[] = {
	{ "at", YAML_STRING, offsetof(struct node_words, at), false, NULL, NULL },
	{ "run", YAML_CUSTOM, 0, true, NULL, keep_run },
	{ "with", YAML_CUSTOM, 0, false, NULL, keep_with },
	{ "udp", YAML_WORD, offsetof(struct node_words, udp), false, udp_words, NULL },
	{ "start", YAML_WORD, offsetof(struct node_words, start), false, start_words, NULL },
	{ 0 },
};

static int read_run(struct yaml_reader *y, const struct yaml_value *v, struct scn_node *n)
{
	static const struct yaml_row row = { "run", YAML_STRING, offsetof(struct scn_node, adapter), false,
		NULL, NULL };
	if (v->type == YAML_LIST && !v->n)
		return yaml_error(y, v->at, "'run' is an empty list; it names a program and its arguments");
	if (v->type == YAML_LIST)
		return yaml_read_strings(y, v, "run", &n->argv);
	return yaml_read_scalar(y, v, "run", &row, n);
}

static int read_with(struct yaml_reader *y, const struct yaml_value *v, struct scn_node *n)
{
	n->params = arena_array(y->arena, v->n + 1, sizeof(*n->params));
	if (!n->params)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too many values", y->file);
	for (size_t i = 0; i < v->n; i++) {
		const struct yaml_value *value = v->pairs[i].value;
		if (value->type != YAML_SCALAR)
			return yaml_error(y, value->at, "'with.%s' must be a word, not %s",
				v->pairs[i].key->text, yaml_type_name(value));
		n->params[n->n_params++] =
			(struct scn_param) { v->pairs[i].key->text, value->text, v->pairs[i].key->at };
	}
	return 0;
}

static int read_node(
	struct yaml_reader *y, const struct scenario *s, const struct yaml_pair *p, struct scn_node *n)
{
	struct node_words w = { .at = "internet" };
	char what[64];

	snprintf(what, sizeof(what), "%s '%.32s'", n->is_service ? "service" : "node", p->key->text);
	int errors[5] = { check_name(y, p->key),
		yaml_read_map(y, p->value, what, n->is_service ? service_rows : node_rows, &w) };
	if (scenario_find_node(s, p->key->text) >= 0 || scenario_find_router(s, p->key->text) >= 0)
		return yaml_error(y, p->key->at, "the name '%s' is used twice", p->key->text);
	const struct yaml_value *at = yaml_get(p->value, "at");
	n->name = p->key->text;
	n->at = p->key->at;
	n->udp_blocked = w.udp;
	n->start_later = w.start;
	errors[2] = router_by_name(y, s, at ? at->at : n->at, w.at, &n->router);
	errors[3] = w.run ? read_run(y, w.run, n) : 0;
	errors[4] = w.with ? read_with(y, w.with, n) : 0;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i])
			return errors[i];
	return 0;
}

static int read_node_map(struct yaml_reader *y, struct scenario *s, const struct yaml_value *v, bool services)
{
	const char *what = services ? "services" : "nodes";

	if (v && v->type != YAML_MAP)
		return yaml_error(y, v->at, "'%s' must be a map, not %s", what, yaml_type_name(v));
	int first = 0;
	for (size_t i = 0; v && i < v->n; i++) {
		struct scn_node *n = &s->nodes[s->n_nodes];
		*n = (struct scn_node) { .is_service = services, .router = -1 };
		int err = read_node(y, s, &v->pairs[i], n);
		first = first ? first : err;
		s->n_nodes += n->name != NULL;
	}
	return first;
}

static int read_nodes(struct yaml_reader *y, struct document *d)
{
	size_t n = (d->services ? d->services->n : 0) + (d->nodes ? d->nodes->n : 0);

	d->s->nodes = arena_array(y->arena, n + 1, sizeof(*d->s->nodes));
	if (!d->s->nodes)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too many nodes", y->file);
	int err = read_node_map(y, d->s, d->services, true), more = read_node_map(y, d->s, d->nodes, false);
	return err ? err : more;
}

/* ---- the top */

#define KEEP(field) \
	static int keep_##field(struct yaml_reader *y, const struct yaml_value *v, void *base) \
	{ \
		(void)y; \
		((struct document *)base)->field = v; \
		return 0; \
	}
KEEP(routers)
KEEP(nodes)
KEEP(services)
KEEP(steps)

static int check_version(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)base;
	if (v->type != YAML_SCALAR || strcmp(v->text, "1") != 0)
		return yaml_error(y, v->at, "'simnet' is the version of the format and must be 1");
	return 0;
}

static int read_top(struct yaml_reader *y, const struct yaml_value *v, void *base, const struct yaml_row *row)
{
	return yaml_read_scalar(y, v, row->key, row, ((struct document *)base)->s);
}

static int read_name(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct yaml_row row = { "name", YAML_STRING, offsetof(struct scenario, name), false,
		NULL, NULL };
	int err = read_top(y, v, base, &row);
	return err ? err : check_word(y, v, 64); /* it is a folder of --out */
}

static int read_about(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct yaml_row row = { "about", YAML_STRING, offsetof(struct scenario, about), false,
		NULL, NULL };
	return read_top(y, v, base, &row);
}

static int read_seed(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct yaml_row row = { "seed", YAML_U64, offsetof(struct scenario, seed), false, NULL,
		NULL };
	return read_top(y, v, base, &row);
}

static int read_start_within(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct yaml_row row = { "start-within", YAML_DURATION,
		offsetof(struct scenario, start_within_ms), false, NULL, NULL };
	return read_top(y, v, base, &row);
}

static int read_ipv6(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct yaml_row row = { "ipv6", YAML_BOOL, offsetof(struct scenario, ipv6), false, NULL,
		NULL };
	return read_top(y, v, base, &row);
}

static int read_tags(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct scenario *s = ((struct document *)base)->s;
	int err = yaml_read_strings(y, v, "tags", &s->tags);
	s->n_tags = err ? 0 : v->n;
	return err;
}

static int read_needs(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	return yaml_read_strings(y, v, "needs", &((struct document *)base)->s->needs);
}

static int skip_matrix(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)y, (void)v, (void)base;
	return 0; /* expanded before the rows are read */
}

static const struct yaml_row top_rows[] = {
	{ "simnet", YAML_CUSTOM, 0, true, NULL, check_version },
	{ "name", YAML_CUSTOM, 0, true, NULL, read_name },
	{ "about", YAML_CUSTOM, 0, false, NULL, read_about },
	{ "tags", YAML_CUSTOM, 0, false, NULL, read_tags },
	{ "needs", YAML_CUSTOM, 0, false, NULL, read_needs },
	{ "seed", YAML_CUSTOM, 0, false, NULL, read_seed },
	{ "start-within", YAML_CUSTOM, 0, false, NULL, read_start_within },
	{ "ipv6", YAML_CUSTOM, 0, false, NULL, read_ipv6 },
	{ "matrix", YAML_CUSTOM, 0, false, NULL, skip_matrix },
	{ "routers", YAML_CUSTOM, 0, false, NULL, keep_routers },
	{ "services", YAML_CUSTOM, 0, false, NULL, keep_services },
	{ "nodes", YAML_CUSTOM, 0, true, NULL, keep_nodes },
	{ "steps", YAML_CUSTOM, 0, false, NULL, keep_steps },
	{ 0 },
};

static int read_document(
	struct yaml_reader *y, const char *text, size_t len, size_t variant, struct scenario *s)
{
	struct yaml_value *root = NULL;
	struct document d = { .s = s };

	int err = yaml_parse(y, text, len, &root);
	if (!err && root->type != YAML_MAP)
		err = yaml_error(y, root->at, "a scenario must be a map, not %s", yaml_type_name(root));
	if (!err)
		err = matrix_expand(y, root, variant, s);
	if (err)
		return err;
	/* From here every part is read, whatever was wrong with the one before. */
	int errors[] = { yaml_read_map(y, root, "the scenario", top_rows, &d), read_routers(y, &d),
		read_nodes(y, &d), 0 };
	errors[3] = s->nodes ? steps_read(y, d.steps, s) : 0;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		err = err ? err : errors[i];
	return err;
}

void scenario_error(struct scn_errors *all, const char *fmt, ...)
{
	char line[400];
	va_list ap;

	if (!all || all->n++ >= SCN_ERRORS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	(void)buf_printf(&all->text, "%s\n", line);
}

int scenario_parse(const char *file, const char *text, size_t len, size_t variant, struct scenario *out,
	struct errbuf *eb)
{
	return scenario_parse_all(file, text, len, variant, out, NULL, eb);
}

int scenario_parse_all(const char *file, const char *text, size_t len, size_t variant, struct scenario *out,
	struct scn_errors *all, struct errbuf *eb)
{
	struct scenario s = { 0 };
	struct yaml_reader y = { .file = file, .arena = &s.arena, .eb = eb, .all = all };

	int err = read_document(&y, text, len, variant, &s);
	if (!err && !(s.file = arena_strdup(&s.arena, file)))
		err = err_say(eb, ERR_TOO_LARGE, "%s: too large to hold in memory", file);
	if (!err && (err = topology_plan(&s, eb)))
		scenario_error(all, "%s", eb->text);
	if (err && all && !all->n) /* memory */
		scenario_error(all, "%s", eb->text);
	if (err) {
		arena_free(&s.arena);
		return err;
	}
	*out = s;
	return 0;
}

void scenario_free(struct scenario *s)
{
	if (!s)
		return;
	arena_free(&s->arena);
	memset(s, 0, sizeof(*s));
}

const char *scenario_title(const struct scenario *s, char *buf, size_t cap)
{
	if (s->variant_name)
		snprintf(buf, cap, "%s [%s]", s->name, s->variant_name);
	else
		snprintf(buf, cap, "%s", s->name);
	return buf;
}

int scenario_find_node(const struct scenario *s, const char *name)
{
	for (size_t i = 0; i < s->n_nodes; i++)
		if (!strcmp(s->nodes[i].name, name))
			return (int)i;
	return -1;
}

int scenario_find_router(const struct scenario *s, const char *name)
{
	for (size_t i = 0; i < s->n_routers; i++)
		if (!strcmp(s->routers[i].name, name))
			return (int)i;
	return -1;
}
