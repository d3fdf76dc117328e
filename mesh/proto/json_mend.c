/* What Go's decoder takes and jansson does not, made acceptable in place. A server passes on what its nodes
 * say: one node's odd text must not cost all others their map. */
#include "mesh/proto/json.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ESCAPE = 6 /* \uXXXX */, SURROGATE = 0xd800, LOW_SURROGATE = 0xdc00, SURROGATE_END = 0xe000 };
static const char replacement[] = "\\ufffd"; /* what Go puts for text that is none */

static size_t number_len(const char *p)
{
	return strspn(p, "0123456789+-.eE");
}

/* Of a number that fits neither 64 bits nor a double. p is followed by something that ends a number. */
static bool is_huge(const char *p, size_t len)
{
	bool real = memchr(p, '.', len) || memchr(p, 'e', len) || memchr(p, 'E', len);
	if (real)
		return isinf(strtod(p, NULL));
	errno = 0;
	(void)strtoll(p, NULL, 10);
	return errno == ERANGE;
}

static size_t mend_number(char *p, bool *changed)
{
	static const char null[] = "null";
	size_t len = number_len(p);
	if (len >= sizeof(null) && is_huge(p, len)) {
		memset(p, ' ', len);
		memcpy(p, null, sizeof(null) - 1);
		*changed = true;
	}
	return len;
}

/* The value of \uXXXX at p, or -1. */
static int escape_value(const char *p, size_t left)
{
	char digits[5] = "", *end;
	if (left < ESCAPE || p[0] != '\\' || p[1] != 'u')
		return -1;
	memcpy(digits, p + 2, 4);
	long v = strtol(digits, &end, 16);
	return end == digits + 4 && digits[0] != '-' && digits[0] != '+' && digits[0] != ' ' ? (int)v : -1;
}

/* A NUL, or half of a pair, stands for nothing that C text or UTF-8 can hold. */
static size_t mend_escape(char *p, size_t left, bool *changed)
{
	int v = escape_value(p, left);
	if (v < 0)
		return 2;
	if (v >= SURROGATE && v < LOW_SURROGATE) {
		int low = escape_value(p + ESCAPE, left - ESCAPE);
		if (low >= LOW_SURROGATE && low < SURROGATE_END)
			return 2 * (size_t)ESCAPE;
	}
	if (v == 0 || (v >= SURROGATE && v < SURROGATE_END)) {
		memcpy(p, replacement, ESCAPE);
		*changed = true;
	}
	return ESCAPE;
}

/* Bytes of the character at p, 0 when it is not UTF-8 (RFC 3629 4). */
static size_t utf8_len(const char *text, size_t left)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	if (!n || n > left)
		return 0;
	unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
	for (size_t i = 1; i < n; i++) {
		if (p[i] < low || p[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

static size_t mend_character(char *p, size_t left, bool *changed)
{
	if (*p == '\\')
		return mend_escape(p, left, changed);
	if (!((unsigned char)*p & 0x80))
		return 1;
	size_t n = utf8_len(p, left);
	if (!n) {
		*p = '?';
		*changed = true;
	}
	return n ? n : 1;
}

bool json_mend(char *text, size_t len)
{
	bool changed = false, quoted = false;
	for (size_t i = 0; i < len;) {
		char *p = text + i;
		if (*p == '"') {
			quoted = !quoted;
			i++;
		} else if (quoted) {
			i += mend_character(p, len - i, &changed);
		} else {
			size_t n = (*p >= '0' && *p <= '9') || *p == '-' ? mend_number(p, &changed) : 0;
			i += n ? n : 1;
		}
	}
	return changed;
}
