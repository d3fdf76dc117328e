#include "simnet/scenario/scenario_read.h"

#include "mesh/base/buf.h"
#include <string.h>

/* `use:` takes in parts: files that say routers, services, nodes and steps as a scenario does, and whose {use.KEY} are
 * parameters. Done on the tree, before anything is read: what a part says is added to what the scenario says, its
 * steps before the scenario's own. A name that both have is an error; a place in a part names the part's file. */
enum { PARTS_MAX = 32, TEXT_MAX = 1 << 16 };

/* One entry of `use`. */
struct part {
	const char *path;			   /* as written */
	const struct yaml_value *given, *defaults; /* parameters; NULL = none */
	struct scn_at at;
};

static const char *param_of(const struct part *p, const char *key, size_t len)
{
	const struct yaml_value *maps[] = { p->given, p->defaults };

	for (size_t m = 0; m < 2; m++)
		for (size_t i = 0; maps[m] && i < maps[m]->n; i++) {
			const struct yaml_pair *pair = &maps[m]->pairs[i];
			if (strlen(pair->key->text) == len && !memcmp(pair->key->text, key, len) &&
				(*pair->value->text || pair->value->quoted))
				return pair->value->text;
		}
	return NULL;
}

static int fill_text(struct yaml_reader *y, const struct part *p, struct yaml_value *v)
{
	static const char open[] = "{use.";
	struct buf out = { .cap = TEXT_MAX };
	const char *at = v->text, *hit;
	int err = 0;

	while (!err && (hit = strstr(at, open))) {
		const char *key = hit + sizeof(open) - 1, *end = strchr(key, '}');
		const char *value = end ? param_of(p, key, (size_t)(end - key)) : NULL;
		if (!value)
			err = yaml_error(y, v->at,
				"no value for '%.*s': 'with' of %s gives none, and it has no default",
				end ? (int)(end - hit + 1) : 20, hit, p->path);
		else if (!buf_append(&out, at, (size_t)(hit - at)) || !buf_append(&out, value, strlen(value)))
			err = yaml_error(y, v->at, "a text grows too large");
		else
			at = end + 1;
	}
	if (!err && at != v->text) {
		if (buf_append(&out, at, strlen(at)))
			v->text = arena_strndup(y->arena, (const char *)buf_data(&out), out.len);
		err = v->text ? err : yaml_no_memory(y);
	}
	buf_free(&out);
	return err;
}

static int fill_params(struct yaml_reader *y, const struct part *p, struct yaml_value *v)
{
	int first = 0;

	if (v->visited == y->walk)
		return 0;
	v->visited = y->walk;
	if (v->type == YAML_SCALAR)
		first = fill_text(y, p, v);
	for (size_t i = 0; v->type == YAML_LIST && i < v->n; i++) {
		int err = fill_params(y, p, v->items[i]);
		first = first ? first : err;
	}
	for (size_t i = 0; v->type == YAML_MAP && i < v->n; i++) {
		int err = fill_text(y, p, v->pairs[i].key), more = fill_params(y, p, v->pairs[i].value);
		first = first ? first : err ? err : more;
	}
	return first;
}

static int check_params(struct yaml_reader *y, const struct yaml_value *v, const char *what)
{
	if (v && v->type != YAML_MAP)
		return yaml_error(y, v->at, "'%s' must be a map of words, not %s", what, yaml_type_name(v));
	for (size_t i = 0; v && i < v->n; i++)
		if (v->pairs[i].value->type != YAML_SCALAR)
			return yaml_error(y, v->pairs[i].value->at, "'%s.%s' must be a word, not %s", what,
				v->pairs[i].key->text, yaml_type_name(v->pairs[i].value));
	return 0;
}

/* Nobody would see the value. */
static int check_given(struct yaml_reader *y, const struct part *p)
{
	const char *names[64] = { NULL };
	size_t n = 0;

	for (size_t i = 0; p->defaults && i < p->defaults->n && n < ARRAY_LEN(names) - 1; i++)
		names[n++] = p->defaults->pairs[i].key->text;
	for (size_t i = 0; p->given && i < p->given->n; i++)
		if (!p->defaults || !yaml_get(p->defaults, p->given->pairs[i].key->text))
			return yaml_error_near(y, p->given->pairs[i].key->at, p->given->pairs[i].key->text,
				names, "%s knows no parameter '%s'", p->path, p->given->pairs[i].key->text);
	return 0;
}

/* Maps grow by the part's names, lists begin with the part's items, a word may be said once. */
static int merge_pair(
	struct yaml_reader *y, struct yaml_value *root, const struct yaml_pair *p, size_t *at_list)
{
	struct yaml_value *have = yaml_get(root, p->key->text);
	int first = 0;

	if (!have && p->value->type == YAML_MAP) { /* names from parameters may be there twice */
		if (!(have = arena_alloc(y->arena, sizeof(*have))))
			return yaml_no_memory(y);
		*have = (struct yaml_value) { .type = YAML_MAP, .at = p->value->at };
		first = yaml_add(y, root, &(struct yaml_pair) { p->key, have });
	}
	if (!have || have->type == YAML_SCALAR || p->value->type == YAML_SCALAR)
		return yaml_add(y, root, p);
	if (have->type != p->value->type)
		return yaml_error(y, p->value->at, "'%s' must be %s, not %s", p->key->text,
			yaml_type_name(have), yaml_type_name(p->value));
	for (size_t i = 0; have->type == YAML_MAP && i < p->value->n; i++) {
		int err = yaml_add(y, have, &p->value->pairs[i]);
		first = first ? first : err;
	}
	for (size_t i = 0; have->type == YAML_LIST && i < p->value->n && !first; i++) {
		struct yaml_value *item = p->value->items[i];
		if ((first = yaml_append(y, have, item)))
			break;
		/* Behind the items of the parts before it. */
		memmove(&have->items[*at_list + 1], &have->items[*at_list],
			(have->n - 1 - *at_list) * sizeof(struct yaml_value *));
		have->items[(*at_list)++] = item;
	}
	return first;
}

static int check_part(struct yaml_reader *y, const struct yaml_value *root)
{
	const struct yaml_value *version = yaml_get(root, "part");
	static const char *const refused[] = { "simnet", "name", "matrix", "use", "todo" };

	if (!version || version->type != YAML_SCALAR || strcmp(version->text, "1") != 0)
		return yaml_error(y, version ? version->at : root->at, "a part begins with 'part: 1'");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (yaml_get(root, refused[i]))
			return yaml_error(y, yaml_get(root, refused[i])->at,
				"a part has no '%s': that is said by the scenario that uses it", refused[i]);
	return 0;
}

struct merge {
	size_t steps, tags, needs; /* items of parts that their lists begin with */
};

static int merge_part(struct yaml_reader *y, struct yaml_value *root, struct part *p, struct yaml_value *tree,
	struct merge *m)
{
	int first = 0;

	p->defaults = yaml_get(tree, "with");
	int err = check_params(y, p->defaults, "with");
	if (err || (err = check_given(y, p)))
		return err;
	for (size_t i = 0; i < tree->n; i++) {
		const struct yaml_pair *pair = &tree->pairs[i];
		const char *key = pair->key->text;
		size_t none = 0, *at = !strcmp(key, "steps")   ? &m->steps
				       : !strcmp(key, "tags")  ? &m->tags
				       : !strcmp(key, "needs") ? &m->needs
							       : &none;
		if (!strcmp(key, "part") || !strcmp(key, "with") || !strcmp(key, "about"))
			continue;
		err = fill_params(y, p, pair->value);
		if (!err && !yaml_get(root, key) && pair->value->type == YAML_LIST)
			*at += pair->value->n;
		if (!err)
			err = merge_pair(y, root, pair, at);
		first = first ? first : err;
	}
	return first;
}

static int take_part(struct yaml_reader *y, struct yaml_value *root, struct part *p, struct merge *m)
{
	struct buf text = { 0 };
	struct errbuf why = { 0 };
	struct yaml_value *tree = NULL;

	if (!y->files)
		return yaml_error(
			y, p->at, "this file cannot take in another one: it was not read from a folder");
	const char *slash = strrchr(y->file, '/');
	const char *path = arena_printf(y->arena, "%.*s%s",
		slash && p->path[0] != '/' ? (int)(slash + 1 - y->file) : 0, y->file, p->path);
	if (!path)
		return yaml_no_memory(y);
	int err = y->files->read(y->files->owner, path, &text, &why);
	if (err) {
		buf_free(&text);
		return yaml_error(y, p->at, "%.250s", why.text);
	}
	y->part = path;
	y->walk++;
	err = yaml_parse(y, (const char *)buf_data(&text), text.len, &tree);
	if (!err && tree->type != YAML_MAP)
		err = yaml_error(y, tree->at, "a part must be a map, not %s", yaml_type_name(tree));
	y->part = NULL;
	buf_free(&text);
	if (!err)
		err = check_part(y, tree);
	return err ? err : merge_part(y, root, p, tree, m);
}

struct use_words {
	const char *file;
	const struct yaml_value *with;
};
static const struct schema_form use_with_form = { .params = true };
static const struct schema_row use_rows[] = {
	{ "file", SCHEMA_STRING, offsetof(struct use_words, file), .required = true,
		.doc = "the part, from the folder of the scenario" },
	{ "with", SCHEMA_KEEP, offsetof(struct use_words, with), .form = &use_with_form,
		.doc = "its parameters, `{use.KEY}` in it" },
	{ 0 },
};
const struct schema_table use_table = { .name = "use",
	.about = "A part is a file that begins with `part: 1` and says `routers`, `services`, `nodes`, "
		 "`steps` and what else "
		 "a scenario says, `name`, `matrix` and `use` excepted; its own `with` names its parameters "
		 "and their "
		 "defaults (nothing: needed). Its steps come before those of the scenario.",
	.rows = use_rows,
	.short_key = "file" };

static int read_use(struct yaml_reader *y, const struct yaml_value *v, struct part *p)
{
	struct use_words w = { 0 };
	int err = v->type == YAML_SCALAR ? schema_read_scalar(y, v, "use", &use_rows[0], &w)
					 : schema_read_map(y, v, "use", use_rows, &w);

	if (!err)
		err = check_params(y, w.with, "with");
	*p = (struct part) { .path = w.file, .given = w.with, .at = v->at };
	return err;
}

int use_expand(struct yaml_reader *y, struct yaml_value *root)
{
	const struct yaml_value *list = yaml_get(root, "use");
	struct merge m = { 0 };
	int first = 0;

	if (list && list->type != YAML_LIST)
		return yaml_error(y, list->at, "'use' must be a list, not %s", yaml_type_name(list));
	if (list && list->n > PARTS_MAX)
		return yaml_error(y, list->at, "%zu parts; at most %d", list->n, PARTS_MAX);
	for (size_t i = 0; list && i < list->n; i++) {
		struct part p;
		int err = read_use(y, list->items[i], &p);
		if (!err)
			err = take_part(y, root, &p, &m);
		first = first ? first : err;
	}
	return first;
}
