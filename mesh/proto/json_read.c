#include "mesh/proto/json.h"
#include "mesh/base/key.h"
#include "mesh/proto/json_memory.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct json_caps json_of_stranger = {
	.bytes = 16 << 20, .containers = 200000, .depth = 32, .string = JSON_STRING_MAX
};
const struct json_caps json_of_admin = {
	.bytes = 16 << 20, .containers = 200000, .depth = 32, .string = 8 << 20
};
const struct json_caps json_of_own_daemon = {
	.bytes = 128 << 20, .containers = 2000000, .depth = 32, .string = 4 << 20
};

/* What jansson would build is bounded before it starts. */
static bool is_bounded(const char *p, size_t len, const struct json_caps *caps)
{
	if (len > caps->bytes)
		return false;
	size_t depth = 0, containers = 0, string = 0;
	bool quoted = false;
	for (size_t i = 0; i < len; i++) {
		char c = p[i];
		if (quoted) {
			if (c != '"' && ++string > caps->string)
				return false;
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
			continue;
		}
		if (c == '"') {
			quoted = true;
			string = 0;
		} else if ((c == '{' || c == '[') &&
			   (++depth > caps->depth || ++containers > caps->containers))
			return false;
		else if ((c == '}' || c == ']') && depth)
			depth--;
	}
	return true;
}

/* A second try with what is odd in it mended; the text may hold secrets. */
static json_t *load_mended(const char *text, size_t len, bool *short_of_memory)
{
	char *copy = malloc(len + 1);
	json_t *doc = NULL;
	*short_of_memory = !copy;
	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, text, len);
	copy[len] = 0;
	if (json_mend(copy, len))
		doc = json_memory_load(copy, len, 0, &(json_error_t) { .line = 0 }, short_of_memory);
	key_wipe(copy, len);
	free(copy);
	return doc;
}

json_t *json_open(const char *text, size_t len, const struct json_caps *caps, struct errbuf *eb)
{
	if (!is_bounded(text, len, caps)) {
		err_say(eb, ERR_TOO_LARGE, "JSON text too large, too deep, or with too long a string");
		return NULL;
	}
	json_error_t e = { .line = 0 };
	bool short_of_memory;
	json_t *doc = json_memory_load(text, len, 0, &e, &short_of_memory);
	if (!doc && !short_of_memory)
		doc = load_mended(text, len, &short_of_memory);
	if (short_of_memory)
		err_set(eb, -ENOMEM, "read JSON");
	else if (!doc)
		err_say(eb, ERR_MALFORMED, "not JSON: %s at byte %d", e.text, e.position);
	return doc;
}

static json_t *member_any_case(const json_t *obj, const char *name)
{
	const char *key;
	json_t *v, *found = NULL;
	json_object_foreach((json_t *)obj, key, v)
	{
		if (strcasecmp(key, name) == 0)
			found = v;
	}
	return found;
}

json_t *json_member(const json_t *obj, const char *name)
{
	json_t *v = json_object_get(obj, name);
	return v ? v : member_any_case(obj, name);
}

/* An element with a name of its own is known by it: people do not count peers. */
static size_t format_path(const struct json_at *at, char *buf, size_t cap)
{
	size_t len = at->up ? format_path(at->up, buf, cap) : 0;
	if (len >= cap - 1)
		return cap - 1;
	const char *own = at->name ? NULL : json_string_value(json_object_get(at->of, "Name"));
	int n = at->name      ? snprintf(buf + len, cap - len, len ? ".%s" : "%s", at->name)
		: own && *own ? snprintf(buf + len, cap - len, "[%s]", own)
			      : snprintf(buf + len, cap - len, "[%zu]", at->index);
	return len + (n > 0 ? (size_t)n : 0);
}

bool json_fail(struct json_in *in, const char *want)
{
	char path[160] = "";
	if (in->at)
		format_path(in->at, path, sizeof(path));
	err_say(in->eb, ERR_MALFORMED, "%s: %s", path[0] ? path : "message", want);
	return false;
}

/* The entry of a node that `at` is in, or 0: Node, or an element of a list of nodes or patches. */
static int64_t node_of(const struct json_at *at)
{
	for (int64_t id; at; at = at->up) {
		const json_t *v = json_object_get(at->of, "ID");
		id = json_integer_value(v ? v : json_object_get(at->of, "NodeID"));
		if (id > 0)
			return id;
	}
	return 0;
}

bool json_leave_out(struct json_in *in)
{
	struct json_gaps *g = in->gaps;
	const struct json_at *top = in->at;
	if (!g || !top || in->arena->failed)
		return false;
	g->delta = g->delta || top->delta;
	while (top->up)
		top = top->up;
	if (g->n == CTL_PROBLEMS_MAX) {
		g->more++;
		return true;
	}
	struct ctl_problem p = { .member = arena_strdup(in->arena, top->name),
		.node = node_of(in->at),
		.text = arena_strdup(in->arena, in->eb->text) };
	if (!p.member || !p.text)
		return false;
	g->v[g->n++] = p;
	return true;
}

void json_init(const struct json_shape *shape, void *out)
{
	for (const struct json_row *r = shape->rows; r->name; r++)
		if (r->codec->init)
			r->codec->init((char *)out + r->at, r);
}

static bool read_row(struct json_in *in, const json_t *v, const struct json_row *row, void *out)
{
	if (json_is_null(v))
		return true;
	struct json_at here = { .up = in->at, .name = row->name, .of = v, .delta = row->flags & JSON_DELTA };
	in->at = &here;
	bool ok = row->codec->read(in, v, (char *)out + row->at, row);
	bool skip = !ok && !(row->flags & JSON_MUST) && json_leave_out(in);
	in->at = here.up;
	if (ok && row->has)
		*((bool *)out + row->has) = true;
	return ok || skip;
}

bool json_read_object(struct json_in *in, const json_t *v, const struct json_shape *shape, void *out)
{
	if (!json_is_object(v))
		return json_fail(in, "not an object");
	size_t exact = 0;
	for (const struct json_row *r = shape->rows; r->name; r++)
		exact += json_object_get(v, r->name) != NULL;
	bool others = exact < json_object_size(v); /* only then can a name in another case be there */
	for (const struct json_row *r = shape->rows; r->name; r++) {
		const json_t *m = json_object_get(v, r->name);
		if (!m && others)
			m = member_any_case(v, r->name);
		if (m && !read_row(in, m, r, out))
			return false;
	}
	return !shape->finish || shape->finish(in, out);
}

struct json_source {
	const char *text;
	size_t len;
	const struct json_caps *caps;
};

static int read_source(struct json_in in, const struct json_source *from, const struct json_shape *shape,
	void *out, struct errbuf *eb)
{
	struct errbuf why = { 0 };
	json_t *doc = json_open(from->text, from->len, from->caps, eb);
	if (!doc)
		return ERR_MALFORMED;
	void *m = arena_alloc(in.arena, shape->size);
	bool ok = false;
	in.eb = &why;
	if (m) {
		json_init(shape, m);
		ok = json_read_object(&in, doc, shape, m);
	}
	json_decref(doc);
	if (in.arena->failed)
		return err_say(eb, ERR_TOO_LARGE, "message needs more memory than it may have");
	if (!ok)
		return err_say(eb, ERR_MALFORMED, "%s", why.text);
	memcpy(out, m, shape->size);
	return 0;
}

int json_read(struct arena *a, const char *text, size_t len, const struct json_shape *shape, void *out,
	struct errbuf *eb)
{
	struct json_in in = { .arena = a };
	return read_source(in, &(struct json_source) { text, len, &json_of_stranger }, shape, out, eb);
}

int json_read_own(struct arena *a, const char *text, size_t len, const struct json_shape *shape, void *out,
	struct errbuf *eb)
{
	struct json_in in = { .arena = a };
	return read_source(in, &(struct json_source) { text, len, &json_of_own_daemon }, shape, out, eb);
}

int json_read_items(struct arena *a, const char *text, size_t len, const struct json_shape *shape, void *out,
	struct json_gaps *gaps, struct errbuf *eb)
{
	struct json_in in = { .arena = a, .gaps = gaps };
	return read_source(in, &(struct json_source) { text, len, &json_of_stranger }, shape, out, eb);
}

bool json_text_i64(const char *text, int64_t *out)
{
	int64_t v = 0;
	bool minus = *text == '-';
	const char *p = text + minus;
	if (!*p)
		return false;
	for (; *p; p++) {
		if (*p < '0' || *p > '9' || __builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, *p - '0', &v))
			return false;
	}
	*out = minus ? -v : v;
	return true;
}
