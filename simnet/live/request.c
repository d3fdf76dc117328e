#include "simnet/live/request.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static bool copy_part(const char *p, size_t n, char *out, size_t cap)
{
	if (n >= cap)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] <= ' ' || (unsigned char)p[i] >= 0x7f)
			return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

/* "GET /path?query HTTP/1.1". 0 or a status. */
static int request_line(const char *p, size_t n, struct request *out)
{
	const char *sp = memchr(p, ' ', n), *end = p + n;
	const char *target = sp ? sp + 1 : end,
		   *sp2 = sp ? memchr(target, ' ', (size_t)(end - target)) : NULL;

	if (!sp2 || (size_t)(end - sp2) != strlen(" HTTP/1.1") || memcmp(sp2, " HTTP/1.", 8) != 0)
		return 400;
	out->post = sp - p == 4 && !memcmp(p, "POST", 4);
	if (!out->post && (sp - p != 3 || memcmp(p, "GET", 3) != 0))
		return 405;
	const char *mark = memchr(target, '?', (size_t)(sp2 - target)), *path_end = mark ? mark : sp2;
	if (*target != '/' || !copy_part(target, (size_t)(path_end - target), out->path, sizeof(out->path)))
		return 400;
	out->query[0] = '\0';
	return mark && !copy_part(mark + 1, (size_t)(sp2 - mark - 1), out->query, sizeof(out->query)) ? 400
												      : 0;
}

static bool read_length(const char *p, size_t n, size_t *out)
{
	size_t v = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9' || v > 1000000)
			return false;
		v = v * 10 + (size_t)(p[i] - '0');
	}
	*out = v;
	return n > 0;
}

struct head {
	bool host, length;
	size_t body_len;
};

/* One field. 0 or a status. */
static int request_field(const char *p, size_t n, struct request *out, struct head *h)
{
	const char *colon = memchr(p, ':', n);
	size_t name = colon ? (size_t)(colon - p) : 0;

	if (!name || isspace((unsigned char)colon[-1]))
		return 400;
	const char *v = colon + 1, *end = p + n;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	size_t len = (size_t)(end - v);
	if (name == 4 && !strncasecmp(p, "host", 4)) {
		if (h->host || !copy_part(v, len, out->host, sizeof(out->host)))
			return 400;
		h->host = true;
	} else if (name == 14 && !strncasecmp(p, "content-length", 14)) {
		if (h->length || !read_length(v, len, &h->body_len))
			return 400;
		h->length = true;
	} else if (name == 17 && !strncasecmp(p, "transfer-encoding", 17)) {
		return 400;
	}
	return 0;
}

int request_read(const char *p, size_t len, struct request *out)
{
	const char *end = memmem(p, len, "\r\n\r\n", 4);
	struct request r = { 0 };
	struct head h = { 0 };

	if (!end)
		return len >= REQUEST_HEAD ? -431 : 0;
	size_t head = (size_t)(end - p) + 4;
	if (head > REQUEST_HEAD)
		return -431;
	bool first = true;
	for (const char *at = p; at < end + 2;) {
		const char *nl = memmem(at, (size_t)(end + 2 - at), "\r\n", 2);
		size_t n = (size_t)(nl - at);
		int status = memchr(at, '\0', n) ? 400
			     : first		 ? request_line(at, n, &r)
						 : request_field(at, n, &r, &h);
		if (status)
			return -status;
		first = false;
		at = nl + 2;
	}
	if (!h.host)
		return -400;
	if (h.body_len > REQUEST_BODY)
		return -413;
	if (len - head < h.body_len)
		return 0;
	memcpy(r.body, p + head, h.body_len);
	for (char *c = r.host; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	*out = r;
	return (int)(head + h.body_len);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

bool request_query(const struct request *r, const char *key, char *out, size_t cap)
{
	size_t n = strlen(key);

	for (const char *at = r->query; *at; at += strcspn(at, "&"), at += *at == '&') {
		size_t len = strcspn(at, "&"), used = 0;
		if (len <= n || strncmp(at, key, n) != 0 || at[n] != '=')
			continue;
		for (const char *v = at + n + 1; v < at + len; v++) {
			int high = *v == '%' && at + len - v > 2 ? hex_digit(v[1]) : -1,
			    low = high >= 0 ? hex_digit(v[2]) : -1;
			if ((*v == '%' && low < 0) || used + 1 >= cap)
				return false;
			out[used] = low >= 0 ? (char)(high << 4 | low) : *v;
			if (!out[used++])
				return false;
			v += low >= 0 ? 2 : 0;
		}
		out[used] = '\0';
		return true;
	}
	return false;
}
