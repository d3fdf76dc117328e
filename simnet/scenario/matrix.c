#include "simnet/scenario/scenario_read.h"

#include "mesh/base/buf.h"
#include <string.h>

enum { VARIABLES_MAX = 8, VARIANTS_MAX = 1024 };

/* The chosen word of each variable. */
struct choice {
	size_t n;
	const char *key[VARIABLES_MAX], *value[VARIABLES_MAX];
};

static int check_variable(struct yaml_reader *y, const struct yaml_pair *p)
{
	const struct yaml_value *list = p->value;

	if (strpbrk(p->key->text, "{}"))
		return yaml_error(y, p->key->at, "'%s' cannot be named in a template", p->key->text);
	if (list->type != YAML_LIST || !list->n)
		return yaml_error(y, list->at, "'matrix.%s' must be a list of words, not %s", p->key->text,
			list->type == YAML_LIST ? "an empty one" : yaml_type_name(list));
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i]->type != YAML_SCALAR)
			return yaml_error(y, list->items[i]->at,
				"'matrix.%s' must be a list of words; this is %s", p->key->text,
				yaml_type_name(list->items[i]));
	return 0;
}

/* The last variable turns fastest, as nested loops would. */
static int choose(struct yaml_reader *y, const struct yaml_value *m, size_t variant, struct choice *c,
	size_t *n_variants)
{
	size_t total = 1;

	if (m->type != YAML_MAP || !m->n)
		return yaml_error(y, m->at, "'matrix' must be a map of lists, not %s", yaml_type_name(m));
	if (m->n > VARIABLES_MAX)
		return yaml_error(y, m->at, "a matrix of %zu variables; at most %d", m->n, VARIABLES_MAX);
	for (size_t i = 0; i < m->n; i++) {
		int err = check_variable(y, &m->pairs[i]);
		if (err)
			return err;
		total *= m->pairs[i].value->n;
		if (total > VARIANTS_MAX)
			return yaml_error(y, m->at, "the matrix has more than %d combinations", VARIANTS_MAX);
	}
	if (variant >= total)
		return yaml_error(
			y, m->at, "the matrix has %zu combinations; there is no number %zu", total, variant);
	c->n = m->n;
	for (size_t i = m->n; i-- > 0;) {
		const struct yaml_value *list = m->pairs[i].value;
		c->key[i] = m->pairs[i].key->text;
		c->value[i] = list->items[variant % list->n]->text;
		variant /= list->n;
	}
	*n_variants = total;
	return 0;
}

static const char *value_of(const struct choice *c, const char *key, size_t len)
{
	for (size_t i = 0; i < c->n; i++)
		if (strlen(c->key[i]) == len && !memcmp(c->key[i], key, len))
			return c->value[i];
	return NULL;
}

static int expand_text(struct yaml_reader *y, const struct choice *c, struct yaml_value *v)
{
	static const char open[] = "{matrix.";
	struct buf out = { .cap = 1 << 16 };
	const char *at = v->text, *hit;
	int err = 0;

	while (!err && (hit = strstr(at, open))) {
		const char *key = hit + sizeof(open) - 1, *end = strchr(key, '}');
		const char *value = end ? value_of(c, key, (size_t)(end - key)) : NULL;
		if (!value)
			err = yaml_error(y, v->at, "no such matrix variable in '%s'", v->text);
		else if (!buf_append(&out, at, (size_t)(hit - at)) || !buf_append(&out, value, strlen(value)))
			err = yaml_error(y, v->at, "a text grows too large");
		else
			at = end + 1;
	}
	if (!err && at != v->text) {
		if (!buf_append(&out, at, strlen(at)))
			err = yaml_error(y, v->at, "a text grows too large");
		else
			v->text = arena_strndup(y->arena, (const char *)buf_data(&out), out.len);
	}
	buf_free(&out);
	return err	 ? err
	       : v->text ? 0
			 : err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
}

static int expand(struct yaml_reader *y, const struct choice *c, struct yaml_value *v)
{
	int err = 0;

	if (v->visited == y->walk)
		return 0;
	v->visited = y->walk;
	if (v->type == YAML_SCALAR)
		return expand_text(y, c, v);
	for (size_t i = 0; !err && v->type == YAML_LIST && i < v->n; i++)
		err = expand(y, c, v->items[i]);
	for (size_t i = 0; !err && v->type == YAML_MAP && i < v->n; i++)
		err = expand(y, c, v->pairs[i].value);
	return err;
}

static const char *name_of(struct yaml_reader *y, const struct choice *c)
{
	const char *name = c->value[0];
	for (size_t i = 1; i < c->n && name; i++)
		name = arena_printf(y->arena, "%s/%s", name, c->value[i]);
	return name;
}

int matrix_expand(struct yaml_reader *y, struct yaml_value *root, size_t variant, struct scenario *s)
{
	const struct yaml_value *m = yaml_get(root, "matrix");
	struct choice c = { 0 };

	s->n_variants = 1;
	if (!m && variant)
		return yaml_error(y, root->at, "there is no matrix, so no combination %zu", variant);
	if (m) {
		int err = choose(y, m, variant, &c, &s->n_variants);
		if (err)
			return err;
		s->variant = variant;
		s->variant_name = name_of(y, &c);
	}
	y->walk++;
	return expand(y, &c, root);
}
