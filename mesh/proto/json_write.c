#include "mesh/proto/json.h"
#include <stdio.h>
#include <string.h>

void json_put_bytes(struct json_out *out, const char *text, size_t len)
{
	if (!out->bad && !buf_append(out->to, text, len))
		out->bad = true;
}

void json_put(struct json_out *out, const char *text)
{
	json_put_bytes(out, text, strlen(text));
}

/* Bytes at the start of p that need no escape. */
static size_t plain_run(const char *p)
{
	size_t n = 0;
	while ((unsigned char)p[n] >= 0x20 && p[n] != '"' && p[n] != '\\')
		n++;
	return n;
}

void json_put_string(struct json_out *out, const char *text)
{
	json_put_bytes(out, "\"", 1);
	for (const char *p = text ? text : ""; *p;) {
		size_t n = plain_run(p);
		json_put_bytes(out, p, n);
		p += n;
		if (!*p)
			break;
		char esc[8];
		if (*p == '"' || *p == '\\')
			snprintf(esc, sizeof(esc), "\\%c", *p);
		else
			snprintf(esc, sizeof(esc), "\\u%04x", (unsigned)(unsigned char)*p);
		json_put(out, esc);
		p++;
	}
	json_put_bytes(out, "\"", 1);
}

void json_put_i64(struct json_out *out, int64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%lld", (long long)v);
	json_put_bytes(out, text, (size_t)n);
}

void json_put_name(struct json_out *out, const char *name, bool *first)
{
	if (!*first)
		json_put_bytes(out, ",", 1);
	*first = false;
	json_put_string(out, name);
	json_put_bytes(out, ":", 1);
}

static bool is_skipped(const struct json_row *row, const void *obj)
{
	const void *field = (const char *)obj + row->at;
	if (row->has)
		return !*((const bool *)obj + row->has);
	return (row->flags & JSON_OMIT) && row->codec->empty && row->codec->empty(field);
}

void json_put_rows(struct json_out *out, const struct json_shape *shape, const void *obj, bool *first)
{
	for (const struct json_row *r = shape->rows; r->name; r++) {
		if (is_skipped(r, obj))
			continue;
		json_put_name(out, r->name, first);
		r->codec->write(out, (const char *)obj + r->at, r);
	}
}

void json_put_object(struct json_out *out, const struct json_shape *shape, const void *obj)
{
	bool first = true;
	json_put_bytes(out, "{", 1);
	json_put_rows(out, shape, obj, &first);
	json_put_bytes(out, "}", 1);
}

bool json_write(struct buf *out, const struct json_shape *shape, const void *obj)
{
	size_t before = out->len;
	struct json_out o = { .to = out };
	json_put_object(&o, shape, obj);
	if (o.bad)
		out->len = before;
	return !o.bad;
}
