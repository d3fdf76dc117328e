#include "simnet/service/http_head.h"

#include "mesh/base/text.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The line's end: past "\n" or "\r\n"; NULL: there is none yet. *len without it. */
static const char *next_line(const char *at, const char *end, size_t *len)
{
	const char *nl = memchr(at, '\n', (size_t)(end - at));

	if (!nl)
		return NULL;
	*len = (size_t)(nl - at);
	if (*len && at[*len - 1] == '\r')
		--*len;
	return nl + 1;
}

static bool is_printable(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)p[i] < ' ' && p[i] != '\t') || p[i] == 0x7f)
			return false;
	return true;
}

static bool copy_word(const char *p, size_t len, char *out, size_t cap)
{
	if (!len || len >= cap || memchr(p, ' ', len))
		return false;
	memcpy(out, p, len);
	out[len] = '\0';
	return true;
}

/* METHOD SP TARGET SP HTTP/1.x */
static bool read_request_line(const char *p, size_t len, struct http_head *h)
{
	const char *first = memchr(p, ' ', len);
	const char *last = len > 9 ? p + len - 9 : p;

	if (!first || len < 14 || last <= first || strncmp(last, " HTTP/1.", 8) != 0 ||
		(last[8] != '0' && last[8] != '1'))
		return false;
	return copy_word(p, (size_t)(first - p), h->method, sizeof(h->method)) &&
	       copy_word(first + 1, (size_t)(last - first - 1), h->target, sizeof(h->target));
}

static bool is_name(const char *p, size_t len, const char *name)
{
	return len == strlen(name) && !strncasecmp(p, name, len);
}

static bool copy_value(const char *p, size_t len, char *out, size_t cap)
{
	if (len >= cap)
		return false;
	memcpy(out, p, len);
	out[len] = '\0';
	return true;
}

static bool read_length(const char *p, size_t len, uint32_t *out)
{
	char text[16];
	uint64_t n;

	if (!copy_value(p, len, text, sizeof(text)) || !text_u64(text, 0, UINT32_MAX, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool read_field(const char *p, size_t len, struct http_head *h)
{
	const char *colon = memchr(p, ':', len);

	if (!colon || colon == p || memchr(p, ' ', (size_t)(colon - p)))
		return false;
	const char *value = colon + 1;
	size_t n_name = (size_t)(colon - p), n = len - n_name - 1;
	while (n && *value == ' ')
		value++, n--;
	if (is_name(p, n_name, "proxy-authorization"))
		return copy_value(value, n, h->proxy_auth, sizeof(h->proxy_auth));
	if (is_name(p, n_name, "soapaction"))
		return copy_value(value, n, h->action, sizeof(h->action));
	if (is_name(p, n_name, "content-length"))
		return read_length(value, n, &h->body_len);
	return true;
}

enum http_head_state http_head_read(const char *text, size_t len, struct http_head *out)
{
	struct http_head h = { 0 };
	const char *at = text, *end, *next;
	size_t n;
	bool first = true;

	if (!len) /* who ends without a word: text may be NULL */
		return HTTP_HEAD_MORE;
	end = text + (len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX);
	while ((next = next_line(at, end, &n))) {
		if (!is_printable(at, n))
			return HTTP_HEAD_BAD;
		if (!first && !n) {
			h.len = (size_t)(next - text);
			*out = h;
			return HTTP_HEAD_DONE;
		}
		if (first ? !read_request_line(at, n, &h) : !read_field(at, n, &h))
			return HTTP_HEAD_BAD;
		first = false;
		at = next;
	}
	return len < HTTP_HEAD_MAX ? HTTP_HEAD_MORE : HTTP_HEAD_BAD;
}

bool http_authority(const char *target, char *host, size_t cap, unsigned *port)
{
	const char *colon = strrchr(target, ':');
	size_t len = colon ? (size_t)(colon - target) : 0;
	uint64_t n;

	if (!len || !text_u64(colon + 1, 1, 65535, &n))
		return false;
	if (target[0] == '[') {
		if (len < 3 || target[len - 1] != ']')
			return false;
		target++, len -= 2;
	} else if (memchr(target, ':', len)) {
		return false;
	}
	if (len >= cap || memchr(target, '/', len))
		return false;
	memcpy(host, target, len);
	host[len] = '\0';
	*port = (unsigned)n;
	return true;
}

/* RFC 4648 section 4. */
static void encode_base64(const char *in, char *out, size_t cap)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strlen(in), at = 0;

	for (size_t i = 0; i < len && at + 5 <= cap; i += 3) {
		uint32_t v = (uint32_t)(unsigned char)in[i] << 16;
		v |= i + 1 < len ? (uint32_t)(unsigned char)in[i + 1] << 8 : 0;
		v |= i + 2 < len ? (unsigned char)in[i + 2] : 0;
		out[at++] = digits[v >> 18 & 63];
		out[at++] = digits[v >> 12 & 63];
		out[at++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
		out[at++] = i + 2 < len ? digits[v & 63] : '=';
	}
	out[at] = '\0';
}

bool http_basic_is(const char *value, const char *user_password)
{
	char want[HTTP_AUTH_MAX];

	if (strncasecmp(value, "basic ", 6) != 0)
		return false;
	encode_base64(user_password, want, sizeof(want));
	return !strcmp(value + 6, want);
}
