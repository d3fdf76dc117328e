#include "mesh/proto/control.h"
#include "mesh/proto/json.h"
#include <string.h>

/* Every list in the messages is a pointer followed by its count, whatever it points to. */
struct list {
	void *v;
	size_t n;
};
_Static_assert(offsetof(struct ctl_strings, n) == offsetof(struct list, n) &&
		       offsetof(struct ctl_prefixes, n) == offsetof(struct list, n) &&
		       offsetof(struct ctl_endpoints, types) == sizeof(void *),
	"list layout");

static struct list list_get(const void *field)
{
	struct list l;
	memcpy(&l, field, sizeof(l));
	return l;
}

static bool list_empty(const void *field)
{
	return list_get(field).n == 0;
}

typedef bool element_read(struct json_in *in, const json_t *v, void *out, const void *arg);
typedef void element_write(struct json_out *out, const void *element, const void *arg);

static bool read_list(
	struct json_in *in, const json_t *v, void *field, size_t size, element_read *read, const void *arg)
{
	if (!json_is_array(v))
		return json_fail(in, "not an array");
	size_t n = json_array_size(v);
	if (n > JSON_LIST_MAX)
		return json_fail(in, "too many elements");
	struct list l = { .v = arena_array(in->arena, n, size) };
	if (!l.v)
		return false;
	struct json_at here = { .up = in->at, .delta = in->at && in->at->delta };
	in->at = &here;
	for (; here.index < n; here.index++) {
		void *e = (char *)l.v + l.n * size;
		here.of = json_array_get(v, here.index);
		if (json_is_null(here.of))
			continue;
		if (read(in, here.of, e, arg))
			l.n++;
		else if (json_leave_out(in))
			memset(e, 0, size);
		else
			break;
	}
	in->at = here.up;
	if (here.index < n)
		return false;
	memcpy(field, &l, sizeof(l));
	return true;
}

static void write_list(
	struct json_out *out, const void *field, size_t size, element_write *write, const void *arg)
{
	struct list l = list_get(field);
	json_put_bytes(out, "[", 1);
	for (size_t i = 0; i < l.n; i++) {
		if (i)
			json_put_bytes(out, ",", 1);
		write(out, (const char *)l.v + i * size, arg);
	}
	json_put_bytes(out, "]", 1);
}

/* --- strings and numbers --- */
static bool string_read(struct json_in *in, const json_t *v, void *out, const void *arg)
{
	(void)arg;
	if (!json_is_string(v))
		return json_fail(in, "not a string");
	*(const char **)out = arena_strdup(in->arena, json_string_value(v));
	return *(const char **)out != NULL;
}

static void string_write(struct json_out *out, const void *element, const void *arg)
{
	(void)arg;
	json_put_string(out, *(const char *const *)element);
}

static bool read_strings(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	return read_list(in, v, field, sizeof(char *), string_read, NULL);
}

static void write_strings(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	write_list(out, field, sizeof(char *), string_write, NULL);
}

const struct json_codec json_strings = { NULL, read_strings, write_strings, list_empty };

static bool number_read(struct json_in *in, const json_t *v, void *out, const void *arg)
{
	(void)arg;
	if (!json_is_integer(v))
		return json_fail(in, "not an integer");
	*(int64_t *)out = json_integer_value(v);
	return true;
}

static void number_write(struct json_out *out, const void *element, const void *arg)
{
	(void)arg;
	json_put_i64(out, *(const int64_t *)element);
}

static bool read_numbers(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	return read_list(in, v, field, sizeof(int64_t), number_read, NULL);
}

static void write_numbers(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	write_list(out, field, sizeof(int64_t), number_write, NULL);
}

const struct json_codec json_numbers = { NULL, read_numbers, write_numbers, list_empty };

/* --- addresses --- */
static bool prefix_read(struct json_in *in, const json_t *v, void *out, const void *arg)
{
	(void)arg;
	if (!json_is_string(v) || !prefix_parse(json_string_value(v), out))
		return json_fail(in, "not an address prefix");
	return true;
}

static void prefix_write(struct json_out *out, const void *element, const void *arg)
{
	(void)arg;
	char text[PREFIX_TEXT];
	json_put_string(out, prefix_format(element, text));
}

static bool read_prefixes(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	return read_list(in, v, field, sizeof(struct prefix), prefix_read, NULL);
}

static void write_prefixes(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	write_list(out, field, sizeof(struct prefix), prefix_write, NULL);
}

const struct json_codec json_prefixes = { NULL, read_prefixes, write_prefixes, list_empty };

static bool endpoint_read(struct json_in *in, const json_t *v, void *out, const void *arg)
{
	(void)arg;
	if (!json_is_string(v) || !endpoint_parse(json_string_value(v), out))
		return json_fail(in, "not an ip:port");
	return true;
}

static void endpoint_write(struct json_out *out, const void *element, const void *arg)
{
	(void)arg;
	char text[ENDPOINT_TEXT];
	json_put_string(out, endpoint_format(element, text));
}

static bool read_endpoint_list(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	return read_list(in, v, field, sizeof(struct endpoint), endpoint_read, NULL);
}

static void write_endpoint_list(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	write_list(out, field, sizeof(struct endpoint), endpoint_write, NULL);
}

const struct json_codec json_endpoint_list = { NULL, read_endpoint_list, write_endpoint_list, list_empty };

/* struct ctl_endpoints: the list, and the fact that it was there. */
static bool read_endpoints(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	struct list l;
	if (!read_endpoint_list(in, v, &l, row))
		return false;
	*(struct ctl_endpoints *)field = (struct ctl_endpoints) { .v = l.v, .n = l.n, .present = true };
	return true;
}

static void write_endpoints(struct json_out *out, const void *field, const struct json_row *row)
{
	const struct ctl_endpoints *e = field;
	struct list l = { .v = e->v, .n = e->n };
	write_endpoint_list(out, &l, row);
}

static bool endpoints_empty(const void *field)
{
	const struct ctl_endpoints *e = field;
	return !e->present && e->n == 0;
}

const struct json_codec json_endpoints = { NULL, read_endpoints, write_endpoints, endpoints_empty };

static bool addr_read(struct json_in *in, const json_t *v, void *out, const void *arg)
{
	(void)arg;
	if (!json_is_string(v) || !addr_parse(json_string_value(v), out))
		return json_fail(in, "not an address");
	return true;
}

static void addr_write(struct json_out *out, const void *element, const void *arg)
{
	(void)arg;
	char text[ADDR_TEXT];
	json_put_string(out, addr_format(element, text));
}

static bool read_addr_list(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	return read_list(in, v, field, sizeof(struct addr), addr_read, NULL);
}

static void write_addr_list(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	write_list(out, field, sizeof(struct addr), addr_write, NULL);
}

const struct json_codec json_addr_list = { NULL, read_addr_list, write_addr_list, list_empty };

/* --- structs: row->arg is the shape --- */
static bool shape_read(struct json_in *in, const json_t *v, void *out, const void *shape)
{
	json_init(shape, out);
	return json_read_object(in, v, shape, out);
}

static void shape_write(struct json_out *out, const void *element, const void *shape)
{
	json_put_object(out, shape, element);
}

static bool read_shapes(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	const struct json_shape *shape = row->arg;
	return read_list(in, v, field, shape->size, shape_read, shape);
}

static void write_shapes(struct json_out *out, const void *field, const struct json_row *row)
{
	const struct json_shape *shape = row->arg;
	write_list(out, field, shape->size, shape_write, shape);
}

const struct json_codec json_list = { NULL, read_shapes, write_shapes, list_empty };

static bool read_map(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	const struct json_map *map = row->arg;
	const char *key;
	json_t *member;
	if (!json_is_object(v))
		return json_fail(in, "not an object");
	if (json_object_size(v) > JSON_LIST_MAX)
		return json_fail(in, "too many members");
	struct list l = { .v = arena_array(in->arena, json_object_size(v), map->size) };
	struct json_at here = { .up = in->at, .delta = in->at && in->at->delta };
	bool ok = l.v != NULL;
	in->at = &here;
	json_object_foreach((json_t *)v, key, member)
	{
		here.name = key;
		here.of = member;
		if (!ok || (json_is_null(member) && !map->null_too))
			continue;
		void *e = (char *)l.v + l.n * map->size;
		if (map->read(in, key, member, e))
			l.n++;
		else if ((ok = json_leave_out(in)))
			memset(e, 0, map->size);
	}
	in->at = here.up;
	if (ok)
		memcpy(field, &l, sizeof(l));
	return ok;
}

static void write_map(struct json_out *out, const void *field, const struct json_row *row)
{
	const struct json_map *map = row->arg;
	struct list l = list_get(field);
	bool first = true;
	json_put_bytes(out, "{", 1);
	for (size_t i = 0; i < l.n; i++)
		map->write(out, (const char *)l.v + i * map->size, &first);
	json_put_bytes(out, "}", 1);
}

const struct json_codec json_map_list = { NULL, read_map, write_map, list_empty };

static void init_inside(void *field, const struct json_row *row)
{
	json_init(row->arg, field);
}

static bool read_inside(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	return json_read_object(in, v, row->arg, field);
}

static void write_inside(struct json_out *out, const void *field, const struct json_row *row)
{
	json_put_object(out, row->arg, field);
}

const struct json_codec json_inside = { init_inside, read_inside, write_inside, NULL };

static bool read_pointer(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	const struct json_shape *shape = row->arg;
	void *p = arena_alloc(in->arena, shape->size);
	if (!p || !shape_read(in, v, p, shape))
		return false;
	*(void **)field = p;
	return true;
}

static void write_pointer(struct json_out *out, const void *field, const struct json_row *row)
{
	json_put_object(out, row->arg, *(void *const *)field);
}

static bool pointer_empty(const void *field)
{
	return *(void *const *)field == NULL;
}

const struct json_codec json_pointer = { NULL, read_pointer, write_pointer, pointer_empty };
