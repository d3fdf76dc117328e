#include "simnet/scenario/jsonpath.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 16, FOUND_MAX = 4096, NAME_MAX_BYTES = 128 };

struct selection {
	struct buf *out;
	int count;
	struct errbuf *eb;
	const char *path;
};

static int select_in(struct selection *s, const json_t *v, const char *path, unsigned depth);

static int bad_path(struct selection *s)
{
	return err_say(
		s->eb, ERR_MALFORMED, "'%s' is not a JSON path, as Peer.*[HostName=bob].CurAddr", s->path);
}

static int found(struct selection *s, const json_t *v)
{
	char *text = NULL;

	if (json_is_null(v) || s->count >= FOUND_MAX || (json_is_string(v) && !*json_string_value(v)))
		return 0;
	if (!json_is_string(v) && !(text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT)))
		return err_say(s->eb, ERR_TOO_LARGE, "out of memory");
	bool fits = buf_printf(s->out, "%s\n", text ? text : json_string_value(v));
	free(text);
	s->count++;
	return fits ? 0 : err_say(s->eb, ERR_TOO_LARGE, "'%s' selects too much", s->path);
}

static bool member_is(const json_t *v, const char *key, size_t key_len, const char *want, size_t want_len)
{
	const char *name;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)v, name, member)
	{
		if (strlen(name) != key_len || memcmp(name, key, key_len) != 0)
			continue;
		if (json_is_string(member)) {
			const char *have = json_string_value(member);
			return strlen(have) == want_len && !memcmp(have, want, want_len);
		}
		return (json_is_true(member) && want_len == 4 && !memcmp(want, "true", 4)) ||
		       (json_is_false(member) && want_len == 5 && !memcmp(want, "false", 5));
	}
	return false;
}

/* path begins at '['. */
static int select_bracket(struct selection *s, const json_t *v, const char *path, unsigned depth)
{
	const char *end = strchr(path, ']'), *eq = end ? memchr(path, '=', (size_t)(end - path)) : NULL;

	if (!end)
		return bad_path(s);
	if (eq) {
		bool keep = member_is(v, path + 1, (size_t)(eq - path - 1), eq + 1, (size_t)(end - eq - 1));
		return keep ? select_in(s, v, end + 1, depth + 1) : 0;
	}
	char *stop = NULL;
	unsigned long n = strtoul(path + 1, &stop, 10);
	if (stop != end || stop == path + 1)
		return bad_path(s);
	const json_t *item = json_array_get(v, n);
	return item ? select_in(s, item, end + 1, depth + 1) : 0;
}

static int select_all(struct selection *s, const json_t *v, const char *rest, unsigned depth)
{
	const char *key;
	json_t *item;
	size_t i;
	int err = 0;

	json_object_foreach((json_t *)(uintptr_t)v, key, item) if (!err) err =
		select_in(s, item, rest, depth + 1);
	json_array_foreach(v, i, item) if (!err) err = select_in(s, item, rest, depth + 1);
	return err;
}

static int select_in(struct selection *s, const json_t *v, const char *path, unsigned depth)
{
	char name[NAME_MAX_BYTES];

	if (depth > DEPTH_MAX)
		return bad_path(s);
	if (!*path)
		return found(s, v);
	if (*path == '[')
		return select_bracket(s, v, path, depth);
	if (*path == '.')
		path++;
	size_t n = strcspn(path, ".[");
	if (!n || n >= sizeof(name))
		return bad_path(s);
	if (n == 1 && *path == '*')
		return select_all(s, v, path + 1, depth);
	memcpy(name, path, n);
	name[n] = '\0';
	const json_t *member = json_object_get(v, name);
	return member ? select_in(s, member, path + n, depth + 1) : 0;
}

int jsonpath_select(const json_t *root, const char *path, struct buf *out, struct errbuf *eb)
{
	struct selection s = { .out = out, .eb = eb, .path = path };
	if (*path == '.')
		return bad_path(&s);
	int err = select_in(&s, root, path, 0);
	return err ? err : s.count;
}

/* Behind '['; NULL when it is not closed or selects nothing. */
static const char *skip_bracket(const char *path)
{
	const char *end = strchr(path, ']');
	bool equals = end && memchr(path, '=', (size_t)(end - path));
	size_t digits = strspn(path, "0123456789");

	return end && (equals || (digits && path + digits == end)) ? end + 1 : NULL;
}

bool jsonpath_good(const char *path)
{
	const char *at = *path && *path != '.' ? path : NULL;

	for (unsigned depth = 0; at && *at; depth++) {
		if (depth >= DEPTH_MAX)
			return false;
		if (*at == '[') {
			at = skip_bracket(at + 1);
			continue;
		}
		at += *at == '.';
		size_t n = strcspn(at, ".[");
		at = n && n < NAME_MAX_BYTES ? at + n : NULL;
	}
	return at;
}
