#include "mesh/transport/http.h"
#include "mesh/base/text.h"
#include "mesh/base/wire.h"

#include <http_parser.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *http_header(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_headers; i++)
		if (!strcasecmp(h->headers[i].name, name))
			return h->headers[i].value;
	return NULL;
}

const char *http_status_text(int status)
{
	switch (status) {
#define XX(num, name, text) \
	case num: return #text;
		HTTP_STATUS_MAP(XX)
#undef XX
	}
	return "Unknown";
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character at text[*i], percent-decoded; *i moves to its end. 0: malformed, or a NUL, which no text of ours holds. */
static char decode_one(const char *text, size_t len, size_t *i, bool plus)
{
	char c = text[*i];
	if (c == '+' && plus)
		return ' ';
	if (c != '%')
		return c;
	int hi = len - *i > 2 ? hex_digit(text[*i + 1]) : -1;
	int lo = hi >= 0 ? hex_digit(text[*i + 2]) : -1;
	*i += 2;
	return lo < 0 ? '\0' : (char)(hi << 4 | lo);
}

/* Percent-decodes text[0..len) as a C string; plus: '+' is a space. What is malformed or too long is not begun: out stays
 * as it was. */
static bool decode(const char *text, size_t len, bool plus, char *out, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++, n++)
		if (!decode_one(text, len, &i, plus))
			return false;
	if (n >= cap)
		return false;
	n = 0;
	for (size_t i = 0; i < len; i++)
		out[n++] = decode_one(text, len, &i, plus);
	out[n] = '\0';
	return true;
}

void http_escape(const char *text, char *out, size_t cap)
{
	size_t at = 0;
	out[0] = '\0';
	for (const unsigned char *p = (const unsigned char *)text; *p && at + 4 <= cap; p++) {
		bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
			     (*p >= 'A' && *p <= 'Z') || strchr("-._~:", *p);
		at += (size_t)snprintf(out + at, cap - at, plain ? "%c" : "%%%02X", *p);
	}
}

bool http_unescape(const char *text, size_t len, char *out, size_t cap)
{
	return decode(text, len, false, out, cap);
}

/* The target from its path on: an absolute form loses scheme and host. */
static const char *path_of(const char *target)
{
	const char *after = strstr(target, "://");
	if (target[0] == '/' || !after)
		return target;
	const char *slash = strchr(after + 3, '/');
	return slash ? slash : "/";
}

bool http_target_path(const struct http_head *h, char *out, size_t cap)
{
	const char *path = path_of(h->target ? h->target : "");
	return decode(path, strcspn(path, "?#"), false, out, cap);
}

enum http_value http_form_find(const void *form, size_t form_len, const char *name, char *out, size_t cap)
{
	const char *at = form, *end = form_len ? at + form_len : at;
	char key[128];
	while (at < end) {
		const char *next = memchr(at, '&', (size_t)(end - at));
		size_t len = (size_t)((next ? next : end) - at), eq = 0;
		while (eq < len && at[eq] != '=')
			eq++;
		if (decode(at, eq, true, key, sizeof(key)) && !strcmp(key, name))
			return decode(at + (eq < len ? eq + 1 : len), eq < len ? len - eq - 1 : 0, true, out,
				       cap)
				       ? HTTP_VALUE_GOOD
				       : HTTP_VALUE_BAD;
		if (!next)
			return HTTP_VALUE_NONE;
		at = next + 1;
	}
	return HTTP_VALUE_NONE;
}

enum http_value http_target_find(const struct http_head *h, const char *name, char *out, size_t cap)
{
	const char *path = path_of(h->target ? h->target : "");
	const char *at = path + strcspn(path, "?#");
	return *at == '?' ? http_form_find(at + 1, strcspn(at + 1, "#"), name, out, cap) : HTTP_VALUE_NONE;
}

enum http_value http_target_nth(
	const struct http_head *h, size_t nth, char *name, size_t name_cap, char *out, size_t cap)
{
	const char *path = path_of(h->target ? h->target : "");
	const char *at = path + strcspn(path, "?#");
	size_t len;
	if (*at != '?')
		return HTTP_VALUE_NONE;
	for (at++;; at += len + 1) {
		len = strcspn(at, "&#");
		if (len && !nth--)
			break;
		if (at[len] != '&')
			return HTTP_VALUE_NONE;
	}
	size_t eq = strcspn(at, "=&#"), rest = eq < len ? eq + 1 : len;
	return decode(at, eq, true, name, name_cap) && decode(at + rest, len - rest, true, out, cap)
		       ? HTTP_VALUE_GOOD
		       : HTTP_VALUE_BAD;
}

bool http_form_value(const void *form, size_t len, const char *name, char *out, size_t cap)
{
	return http_form_find(form, len, name, out, cap) == HTTP_VALUE_GOOD;
}

bool http_target_query(const struct http_head *h, const char *name, char *out, size_t cap)
{
	return http_target_find(h, name, out, cap) == HTTP_VALUE_GOOD;
}

/* "host", "host:port", "[v6]", "[v6]:port" of len bytes. */
static bool parse_authority(const char *p, size_t len, struct url *out)
{
	const char *host = p, *end = p + len, *colon;
	size_t host_len;
	if (len && p[0] == '[') {
		const char *close = memchr(p, ']', len);
		if (!close)
			return false;
		host = p + 1;
		host_len = (size_t)(close - host);
		if (!memchr(host, ':', host_len)) /* a name, which stands in none */
			return false;
		colon = close + 1 < end ? close + 1 : NULL;
		if (colon && *colon != ':')
			return false;
	} else {
		colon = memchr(p, ':', len);
		host_len = colon ? (size_t)(colon - p) : len;
	}
	if (!host_len || host_len >= sizeof(out->host))
		return false;
	for (size_t i = 0; i < host_len; i++)
		if (host[i] <= ' ' || host[i] >= 0x7f || strchr("@<>[]\"\\^`{|}%", host[i]))
			return false;
	memcpy(out->host, host, host_len);
	out->host[host_len] = '\0';
	out->port = out->https ? 443 : 80;
	if (colon && colon + 1 < end) {
		char digits[6];
		uint64_t port;
		size_t n = (size_t)(end - colon - 1);
		if (n >= sizeof(digits))
			return false;
		memcpy(digits, colon + 1, n);
		digits[n] = '\0';
		if (!text_u64(digits, 1, 65535, &port))
			return false;
		out->port = (uint16_t)port;
	}
	return true;
}

/* text, up to its fragment, behind the first `at` bytes of the path. */
static bool put_path(struct url *u, size_t at, const char *text)
{
	size_t len = strcspn(text, "#");
	if (at + len >= sizeof(u->path))
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	memcpy(u->path + at, text, len);
	u->path[at + len] = '\0';
	return true;
}

/* What stands behind "//". */
static bool parse_place(const char *text, bool https, struct url *out)
{
	struct url u = { .https = https, .path = "/" };
	size_t len = strcspn(text, "/?#");
	if (!parse_authority(text, len, &u) || !put_path(&u, text[len] != '/', text + len))
		return false;
	*out = u;
	return true;
}

bool url_parse(const char *text, struct url *out)
{
	if (!strncasecmp(text, "https://", 8))
		return parse_place(text + 8, true, out);
	return !strncasecmp(text, "http://", 7) && parse_place(text + 7, false, out);
}

/* "." and ".." of a path, in place; what stands behind '?' stays (RFC 3986 5.2.4). */
static void remove_dots(char *path)
{
	size_t len = strcspn(path, "?"), to = 0;
	for (size_t at = 0; at < len;) {
		size_t part = 1 + strcspn(path + at + 1, "/?"); /* with its slash */
		bool one = part == 2 && path[at + 1] == '.';
		bool two = part == 3 && path[at + 1] == '.' && path[at + 2] == '.';
		if (two)
			while (to && path[--to] != '/')
				;
		if (!one && !two) {
			memmove(path + to, path + at, part);
			to += part;
		} else if (at + part == len) {
			path[to++] = '/'; /* a folder ends in a slash */
		}
		at += part;
	}
	memmove(path + to, path + len, strlen(path + len) + 1);
}

bool url_join(const struct url *base, const char *text, struct url *out)
{
	struct url u = *base;
	size_t word = strcspn(text, ":/?#"), keep = strcspn(u.path, "?");
	if (text[word] == ':')
		return url_parse(text, out);
	if (text[0] == '/' && text[1] == '/')
		return parse_place(text + 2, base->https, out);
	if (text[0] == '/')
		keep = 0;
	else if (!text[0] || text[0] == '#')
		keep = strlen(u.path);
	else if (text[0] != '?')
		while (u.path[keep - 1] != '/')
			keep--;
	if (!put_path(&u, keep, text))
		return false;
	remove_dots(u.path);
	*out = u;
	return true;
}

char *url_host(const struct url *u, char out[static URL_HOST_TEXT])
{
	bool v6 = strchr(u->host, ':') != NULL;
	int n = snprintf(out, URL_HOST_TEXT, "%s%s%s", v6 ? "[" : "", u->host, v6 ? "]" : "");
	if (u->port != (u->https ? 443 : 80))
		snprintf(out + n, URL_HOST_TEXT - (size_t)n, ":%u", u->port);
	return out;
}

static size_t path_len(const struct url *u)
{
	size_t n = strlen(u->path);
	return n && u->path[n - 1] == '/' ? n - 1 : n;
}

bool url_same(const char *a, const char *b)
{
	struct url x, y;
	if (strcmp(a, b) == 0)
		return true;
	return url_parse(a, &x) && url_parse(b, &y) && x.https == y.https && x.port == y.port &&
	       strcasecmp(x.host, y.host) == 0 && path_len(&x) == path_len(&y) &&
	       memcmp(x.path, y.path, path_len(&x)) == 0;
}
