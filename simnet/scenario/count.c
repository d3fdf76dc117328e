#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include <string.h>

/* `count: 3` of a router, service or node called x makes x-1, x-2 and x-3 of it, with {count} the number. Done on the tree,
 * before anything is read, so that whatever reads a node knows nothing of it. */
const struct schema_form count_form = { .number = true };

int count_skip(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)y, (void)v, (void)base;
	return 0;
}

enum { COUNT_MAX = 500, TEXT_MAX = 1 << 16 };

static const char *with_number(struct yaml_reader *y, const char *text, const char *number)
{
	struct buf out = { .cap = TEXT_MAX };
	const char *hit;
	bool ok = true;

	for (; ok && (hit = strstr(text, "{count}")); text = hit + strlen("{count}"))
		ok = buf_append(&out, text, (size_t)(hit - text)) && buf_append(&out, number, strlen(number));
	ok = ok && buf_append(&out, text, strlen(text));
	const char *copy = ok ? arena_strndup(y->arena, (const char *)buf_data(&out), out.len) : NULL;
	buf_free(&out);
	return copy;
}

/* v is a copy that nobody else has. */
static bool number_texts(struct yaml_reader *y, struct yaml_value *v, const char *number)
{
	bool ok = true;

	if (v->type == YAML_SCALAR && strstr(v->text, "{count}"))
		ok = (v->text = with_number(y, v->text, number));
	for (size_t i = 0; ok && v->type == YAML_LIST && i < v->n; i++)
		ok = number_texts(y, v->items[i], number);
	for (size_t i = 0; ok && v->type == YAML_MAP && i < v->n; i++)
		ok = number_texts(y, v->pairs[i].value, number);
	return ok;
}

static void drop_count(struct yaml_value *map)
{
	for (size_t i = 0; i < map->n; i++)
		if (!strcmp(map->pairs[i].key->text, "count")) {
			memmove(&map->pairs[i], &map->pairs[i + 1], (map->n - i - 1) * sizeof(*map->pairs));
			map->n--;
			return;
		}
}

static int add_copy(
	struct yaml_reader *y, const struct yaml_pair *p, uint64_t i, struct yaml_value *to, size_t *n_values)
{
	const char *number = arena_printf(y->arena, "%llu", (unsigned long long)i);
	struct yaml_value *key = arena_alloc(y->arena, sizeof(*key)),
			  *value = yaml_copy(y, p->value, n_values);

	if (!value)
		return ERR_MALFORMED;
	if (!number || !key || !number_texts(y, value, number))
		return yaml_no_memory(y);
	*key = *p->key;
	key->text = arena_printf(y->arena, "%s-%s", p->key->text, number);
	drop_count(value);
	return key->text ? yaml_add(y, to, &(struct yaml_pair) { key, value }) : yaml_no_memory(y);
}

static int expand_pair(
	struct yaml_reader *y, const struct yaml_pair *p, struct yaml_value *to, size_t *n_values)
{
	const struct yaml_value *count = yaml_get(p->value, "count");
	uint64_t n = 0;
	int err = 0;

	if (!count)
		return yaml_add(y, to, p);
	if (count->type != YAML_SCALAR || !text_u64(count->text, 1, COUNT_MAX, &n))
		return yaml_error(y, count->at, "'count' must be a number from 1 to %d, not %s%s%s",
			COUNT_MAX, count->type == YAML_SCALAR ? "'" : "",
			count->type == YAML_SCALAR ? count->text : yaml_type_name(count),
			count->type == YAML_SCALAR ? "'" : "");
	for (uint64_t i = 1; i <= n && !err; i++)
		err = add_copy(y, p, i, to, n_values);
	return err;
}

int count_expand(struct yaml_reader *y, struct yaml_value *root)
{
	static const char *const parts[] = { "routers", "services", "nodes" };
	size_t n_values = 0;
	int first = 0;

	for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
		struct yaml_value *map = yaml_get(root, parts[k]), old;
		if (!map || map->type != YAML_MAP)
			continue;
		old = *map;
		map->n = 0;
		map->pairs = NULL;
		for (size_t i = 0; i < old.n; i++) {
			int err = expand_pair(y, &old.pairs[i], map, &n_values);
			first = first ? first : err;
		}
	}
	return first;
}
