#include "simnet/scenario/scenario.h"

#include "mesh/base/text.h"
#include "simnet/scenario/scenario_read.h"
#include <stdio.h>
#include <string.h>

/* The whole file as its rows see it, before names are resolved to indexes. */
struct document {
	struct scenario s;
	const struct yaml_value *regions, *routers, *nodes, *services, *steps;
};

int word_check(struct yaml_reader *y, const struct yaml_value *word, size_t most)
{
	size_t n = strspn(word->text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	if (n && !word->text[n] && n <= most && word->text[0] != '-' && word->text[n - 1] != '-')
		return 0;
	return yaml_error(y, word->at,
		"'%.100s' is not a usable name: small letters, digits and '-', at most %zu", word->text,
		most);
}

int name_check(struct yaml_reader *y, const struct yaml_value *key)
{
	int err = word_check(y, key, 32);
	if (err)
		return err;
	if (!strcmp(key->text, "internet") || !strcmp(key->text, "matrix") || !strcmp(key->text, "with"))
		return yaml_error(y, key->at, "the name '%s' is taken by the format", key->text);
	return 0;
}

static int check_version(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)base;
	if (v->type != YAML_SCALAR || strcmp(v->text, "1") != 0)
		return yaml_error(y, v->at, "'simnet' is the version of the format and must be 1");
	return 0;
}

static int check_title(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)base;
	return word_check(y, v, 64); /* it is a folder of --out */
}

static int count_tags(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)y;
	((struct document *)base)->s.n_tags = v->n;
	return 0;
}

static int skip_expanded(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)y, (void)v, (void)base;
	return 0; /* expanded before the rows are read */
}

static const char *const version_words[] = { "1", NULL };
static const struct schema_form version_form = { .words = version_words }, matrix_form = { .lists = true },
				regions_form = { .maps = true }, use_form = { .list = &use_table },
				routers_form = { .named = &router_table },
				services_form = { .named = &service_table },
				nodes_form = { .named = &node_table }, steps_form = { .list = &step_table };

#define AT(field) offsetof(struct document, field)
static const struct schema_row top_rows[] = {
	{ "simnet", SCHEMA_CUSTOM, .required = true, .read = check_version, .form = &version_form,
		.doc = "version of the format" },
	{ "name", SCHEMA_STRING, AT(s.name), .required = true, .read = check_title,
		.doc = "small letters, digits, `-`; at most 64. `run -k` looks for it" },
	{ "about", SCHEMA_STRING, AT(s.about), .doc = "one sentence, printed first" },
	{ "tags", SCHEMA_STRINGS, AT(s.tags), .read = count_tags, .doc = "`run --tag` chooses by them" },
	{ "needs", SCHEMA_STRINGS, AT(s.needs),
		.doc = "what the machine must have, else exit code 3: programs, and files that can be read "
		       "and written, as `/dev/net/tun`. What a `run` or `argv` names with a folder, as "
		       "`coturn/run`, need not be listed" },
	{ "seed", SCHEMA_U64, AT(s.seed), .def = "chosen, and printed",
		.doc = "of the run's random choices" },
	{ "start-within", SCHEMA_DURATION, AT(s.start_within_ms), .def = "20s",
		.doc = "how soon programs must be ready, services and then nodes; of a later start the "
		       "`spawn` step's `within`" },
	{ "timeout", SCHEMA_DURATION, AT(s.timeout_ms), .def = "none",
		.doc = "of starting the programs and all steps together; `run --timeout` says another" },
	{ "todo", SCHEMA_STRING, AT(s.todo),
		.doc = "why it cannot pass yet: it is checked and listed, and skipped by `run`, unless with "
		       "`--todo`" },
	{ "ipv6", SCHEMA_BOOL, AT(s.ipv6), .def = "false",
		.doc = "IPv6 on the internet and behind every router" },
	{ "use", SCHEMA_CUSTOM, .read = skip_expanded, .form = &use_form,
		.doc = "parts of scenarios that are taken in" },
	{ "matrix", SCHEMA_CUSTOM, .read = skip_expanded, .form = &matrix_form,
		.doc = "the file is run once for every combination, see below" },
	{ "regions", SCHEMA_KEEP, AT(regions), .form = &regions_form,
		.doc = "parts of the internet, each with its distances to others, as `{eu: {us: 40ms}, us: "
		       "{}}`: one way, "
		       "said once of each pair" },
	{ "routers", SCHEMA_KEEP, AT(routers), .form = &routers_form,
		.doc = "names: small letters, digits, `-`; at most 32" },
	{ "services", SCHEMA_KEEP, AT(services), .form = &services_form, .doc = "started first" },
	{ "nodes", SCHEMA_KEEP, AT(nodes), .required = true, .form = &nodes_form, .doc = "what it is about" },
	{ "steps", SCHEMA_KEEP, AT(steps), .form = &steps_form, .doc = "in order" },
	{ 0 },
};
#undef AT
const struct schema_table scenario_table = { .name = "scenario", .rows = top_rows };

static int read_document(struct yaml_reader *y, const struct scn_text *in, struct document *d)
{
	struct yaml_value *root = NULL;

	int err = yaml_parse(y, in->text, in->len, &root);
	if (!err && root->type != YAML_MAP)
		err = yaml_error(y, root->at, "a scenario must be a map, not %s", yaml_type_name(root));
	if (!err)
		err = use_expand(y, root);
	if (!err)
		err = matrix_expand(y, root, in->variant, &d->s);
	if (!err)
		err = count_expand(y, root);
	if (err)
		return err;
	/* From here every part is read, whatever was wrong with the one before. */
	int errors[] = { schema_read_map(y, root, "the scenario", top_rows, d),
		regions_read(y, d->regions, &d->s), routers_read(y, d->routers, &d->s),
		nodes_read(y, d->services, d->nodes, &d->s), 0 };
	errors[4] = d->s.nodes ? steps_read(y, d->steps, &d->s) : 0;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		err = err ? err : errors[i];
	return err;
}

int scenario_parse(const char *file, const char *text, size_t len, size_t variant, struct scenario *out,
	struct errbuf *eb)
{
	return scenario_parse_all(file, text, len, variant, out, NULL, eb);
}

int scenario_parse_all(const char *file, const char *text, size_t len, size_t variant, struct scenario *out,
	struct scn_errors *all, struct errbuf *eb)
{
	const struct scn_text in = { .file = file, .text = text, .len = len, .variant = variant };
	return scenario_read(&in, out, all, eb);
}

int scenario_read(const struct scn_text *in, struct scenario *out, struct scn_errors *all, struct errbuf *eb)
{
	struct document d = { 0 };
	struct yaml_files files = { .read = in->read, .owner = in->owner };
	struct yaml_reader y = {
		.file = in->file, .arena = &d.s.arena, .eb = eb, .all = all, .files = in->read ? &files : NULL
	};

	int err = read_document(&y, in, &d);
	if (!err && !(d.s.file = arena_strdup(&d.s.arena, in->file)))
		err = err_say(eb, ERR_TOO_LARGE, "%s: too large to hold in memory", in->file);
	if (!err)
		err = topology_plan_all(&d.s, all, eb);
	if (err && all && !all->n) /* memory */
		scenario_error(all, "%s", eb->text);
	if (err) {
		arena_free(&d.s.arena);
		return err;
	}
	*out = d.s;
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
