#include "resolver/name.h"

#include "mesh/base/addr.h"
#include "mesh/base/buf.h"
#include <stdio.h>
#include <string.h>

enum { HOPS_MAX = DNS_LABELS_MAX };

int dns_text_byte(const char **at)
{
	const char *p = *at;
	*at = p + 1;
	if (*p != '\\')
		return (uint8_t)*p;
	if (!p[1])
		return -1;
	if (p[1] < '0' || p[1] > '9') {
		*at = p + 2;
		return (uint8_t)p[1];
	}
	int v = 0;
	for (int i = 1; i <= 3; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	*at = p + 4;
	return v > 255 ? -1 : v;
}

bool dns_name_parse(const char *text, struct dns_name *out)
{
	struct dns_name n;
	size_t label = 0, len = 1;
	if (!*text)
		return false;
	if (text[0] == '.' && !text[1])
		text++;
	while (*text) {
		bool dot = *text == '.';
		int c = dns_text_byte(&text);
		size_t label_len = len - label - 1;
		if (c < 0 || (dot && !label_len))
			return false;
		if (!dot && (label_len == DNS_LABEL_MAX || len >= DNS_NAME_MAX - 1))
			return false;
		if (!dot) {
			n.b[len++] = (uint8_t)c;
			continue;
		}
		n.b[label] = (uint8_t)label_len;
		label = len++;
	}
	if (len - label - 1) {
		n.b[label] = (uint8_t)(len - label - 1);
		label = len++;
	}
	if (len > DNS_NAME_MAX)
		return false;
	n.b[label] = 0;
	n.len = (uint8_t)len;
	out->len = n.len;
	memcpy(out->b, n.b, n.len);
	return true;
}

char *dns_name_format(const struct dns_name *n, char *buf)
{
	char *o = buf;
	if (n->len == 1)
		*o++ = '.';
	for (size_t at = 0; n->b[at]; at += n->b[at] + 1u) {
		if (at)
			*o++ = '.';
		for (size_t i = 1; i <= n->b[at]; i++) {
			uint8_t c = n->b[at + i];
			if (c == '.' || c == '\\' || c == '"' || c == ';' || c == '(' || c == ')' ||
				c == '@' || c == '$')
				o += sprintf(o, "\\%c", c);
			else if (c > ' ' && c < 127)
				*o++ = (char)c;
			else
				o += sprintf(o, "\\%03u", c);
		}
	}
	*o = 0;
	return buf;
}

static uint64_t word_get(const uint8_t *p)
{
	uint64_t w;
	memcpy(&w, p, sizeof(w));
	return w;
}

/* The top bit of each byte that is a letter from 'first' to 'last'. Seven bits of each are added to, so that no carry
 * leaves its byte. */
static uint64_t word_has(uint64_t w, uint8_t first, uint8_t last)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t low = w & each * 0x7f;
	uint64_t from_first = low + each * (0x80U - first), beyond_last = low + each * (0x7fU - last);
	return from_first & ~beyond_last & ~w & each * 0x80;
}

/* dns_lower of each byte. */
static uint64_t word_lower(uint64_t w)
{
	return w | word_has(w, 'A', 'Z') >> 2;
}

static bool word_equal(uint64_t a, uint64_t b)
{
	return a == b || word_lower(a) == word_lower(b);
}

/* 4 to 7 bytes as one word: the first four of them, and the last four. */
static uint64_t half_get(const uint8_t *p, size_t n)
{
	uint32_t first, last;
	memcpy(&first, p, sizeof(first));
	memcpy(&last, p + n - sizeof(last), sizeof(last));
	return (uint64_t)last << 32 | first;
}

/* What is left after whole words is done with the last whole word: what is folded twice stays as it is. */
void dns_fold(uint8_t *to, const uint8_t *from, size_t len)
{
	size_t at = 0;
	uint64_t w;
	for (; len - at >= sizeof(w); at += sizeof(w)) {
		w = word_lower(word_get(from + at));
		memcpy(to + at, &w, sizeof(w));
	}
	if (len >= sizeof(w) && at < len) {
		w = word_lower(word_get(from + len - sizeof(w)));
		memcpy(to + len - sizeof(w), &w, sizeof(w));
		return;
	}
	for (; at < len; at++)
		to[at] = dns_lower(from[at]);
}

void dns_name_fold(struct dns_name *n)
{
	dns_fold(n->b, n->b, n->len);
}

/* A label with its length. Most are short, and are copied with what lies behind them: a length that is known needs no call. */
static void label_copy(uint8_t *to, size_t room, const uint8_t *from, size_t left, size_t n)
{
	enum { SHORT = 16 };
	if (n <= SHORT && room >= SHORT && left >= SHORT)
		memcpy(to, from, SHORT);
	else
		memcpy(to, from, n);
}

bool dns_name_expand(const uint8_t *msg, size_t len, size_t at, struct dns_name *out, size_t *next)
{
	size_t used = 0, end = 0, limit = at;
	for (unsigned hops = 0; at < len;) {
		uint8_t c = msg[at];
		if ((c & 0xc0) == 0xc0) {
			if (len - at < 2 || ++hops > HOPS_MAX)
				return false;
			size_t to = (size_t)(c & 0x3f) << 8 | msg[at + 1];
			if (!end)
				end = at + 2;
			if (to >= limit) /* only ever further back: no loop can form */
				return false;
			at = limit = to;
			continue;
		}
		if (c > DNS_LABEL_MAX || len - at < c + 1u || used + c + 1u > DNS_NAME_MAX)
			return false;
		label_copy(out->b + used, DNS_NAME_MAX - used, msg + at, len - at, c + 1u);
		used += c + 1u;
		at += c + 1u;
		if (!c) {
			out->len = (uint8_t)used;
			*next = end ? end : at;
			return true;
		}
		if (used == DNS_NAME_MAX)
			return false;
	}
	return false;
}

/* Most names of an answer are a pointer to the question, and what is pointed to says the rest. */
bool dns_name_is_at(const uint8_t *msg, size_t len, size_t at, const struct dns_name *n)
{
	struct dns_name whole BUF_UNSET;
	size_t to = at, next;
	if (len - at >= 2 && (msg[at] & 0xc0) == 0xc0)
		to = (size_t)(msg[at] & 0x3f) << 8 | msg[at + 1];
	if (to <= at && len - to >= n->len && dns_bytes_equal(msg + to, n->b, n->len))
		return true;
	return dns_name_expand(msg, len, at, &whole, &next) && dns_name_equal(&whole, n);
}

size_t dns_name_skip(const uint8_t *msg, size_t len, size_t at)
{
	for (size_t from = at; at < len;) {
		uint8_t c = msg[at];
		if ((c & 0xc0) == 0xc0)
			return len - at >= 2 ? at + 2 : 0;
		if (c > DNS_LABEL_MAX || at - from + c + 1u > DNS_NAME_MAX || len - at < c + 1u)
			return 0;
		at += c + 1u;
		if (!c)
			return at;
	}
	return 0;
}

/* Where letters stand is no pattern that a processor could learn: nothing in here depends on it but numbers. */
static unsigned is_lower(uint8_t c)
{
	return (uint8_t)(c - 'a') < 26;
}

uint64_t dns_name_letters(const struct dns_name *n)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	unsigned letters = 0, at = 0;
	for (; at + 8 <= n->len; at += 8)
		letters +=
			(unsigned)((word_has(word_get(n->b + at) | each * 0x20, 'a', 'z') >> 7) * each >> 56);
	for (; at < n->len; at++)
		letters += is_lower(n->b[at] | 0x20);
	return letters < 64 ? (UINT64_C(1) << letters) - 1 : UINT64_MAX;
}

void dns_name_mix(uint8_t *b, size_t len, uint64_t upper)
{
	for (size_t i = 0; upper && i < len; i++) {
		unsigned letter = is_lower(b[i]);
		b[i] = (uint8_t)(b[i] - ((upper & letter) << 5));
		upper >>= letter;
	}
}

bool dns_bytes_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
	const size_t word = sizeof(uint64_t);
	size_t at = 0;
	if (n >= word / 2 && n < word)
		return word_equal(half_get(a, n), half_get(b, n));
	for (; n - at >= word; at += word)
		if (!word_equal(word_get(a + at), word_get(b + at)))
			return false;
	if (at && at < n)
		return word_equal(word_get(a + n - word), word_get(b + n - word));
	for (; at < n; at++)
		if (dns_lower(a[at]) != dns_lower(b[at]))
			return false;
	return true;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && dns_bytes_equal(a->b, b->b, a->len);
}

bool dns_name_within(const struct dns_name *name, const struct dns_name *parent)
{
	if (name->len < parent->len)
		return false;
	size_t at = 0, from = (size_t)name->len - parent->len;
	while (at < from)
		at += name->b[at] + 1u;
	return at == from && dns_bytes_equal(name->b + at, parent->b, parent->len);
}

unsigned dns_name_labels(const struct dns_name *n)
{
	unsigned count = 0;
	for (size_t at = 0; n->b[at]; at += n->b[at] + 1u)
		count++;
	return count;
}

void dns_name_reverse(const struct addr *ip, struct dns_name *out)
{
	char text[128], *o = text;
	if (addr_is_v4(ip)) {
		for (int i = 15; i >= 12; i--)
			o += sprintf(o, "%u.", ip->b[i]);
		strcpy(o, "in-addr.arpa");
	} else {
		for (int i = 15; i >= 0; i--)
			o += sprintf(o, "%x.%x.", ip->b[i] & 15u, ip->b[i] >> 4);
		strcpy(o, "ip6.arpa");
	}
	(void)dns_name_parse(text, out);
}

/* Labels stand for eight bits of IPv4, four of IPv6; a prefix ends at one of those borders or covers several.
 */
static unsigned label_bits(const struct prefix *p)
{
	return addr_is_v4(&p->ip) ? 8 : 4;
}

unsigned dns_reverse_zones(const struct prefix *p)
{
	unsigned step = label_bits(p), over = p->bits % step;
	return over ? 1u << (step - over) : 1;
}

void dns_reverse_zone(const struct prefix *p, unsigned i, struct dns_name *out)
{
	struct prefix zone = *p;
	unsigned step = label_bits(p), labels = (p->bits + step - 1) / step, all = step == 8 ? 4 : 32;
	prefix_mask(&zone);
	if (labels) { /* i counts in the last label that the prefix reaches */
		unsigned at = step == 8 ? 12 + labels - 1 : (labels - 1) / 2;
		bool high = step == 4 && labels % 2;
		zone.ip.b[at] = (uint8_t)(zone.ip.b[at] | i << (high ? 4 : 0));
	}
	dns_name_reverse(&zone.ip, out);
	size_t skip = 0;
	for (unsigned k = labels; k < all; k++)
		skip += out->b[skip] + 1u;
	memmove(out->b, out->b + skip, out->len - skip);
	out->len = (uint8_t)(out->len - skip);
}

bool dns_text_is_ascii(const char *text)
{
	while (*text > 0)
		text++;
	return !*text;
}

bool dns_name_is_domain(const struct dns_name *n)
{
	for (size_t at = 0; n->b[at]; at += n->b[at] + 1u)
		for (size_t i = 1; i <= n->b[at]; i++) {
			uint8_t c = n->b[at + i];
			if (c == ' ' || c == '\t' || c == '#')
				return false;
		}
	return true;
}
