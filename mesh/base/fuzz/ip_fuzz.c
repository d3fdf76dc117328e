#include "mesh/base/ip_translate.h"
#include "mesh/base/via6.h"
#include <stdlib.h>
#include <string.h>

enum { LEN_MAX = 1500 };

/* Both are good packets, and the first says that there is more. */
static void cut(uint8_t *p, size_t len)
{
	uint8_t rest[IP6_MTU_MIN];
	struct ip_view v;
	size_t out = ip6_cut(p, len, 7, rest);
	if (out && (!ip_parse(p, IP6_MTU_MIN, &v) || v.total_len != IP6_MTU_MIN || !ip_parse(rest, out, &v) ||
			   v.total_len != out || !v.later_fragment))
		abort();
}

/* What was translated is a good packet, and can be translated back. */
static void translate(const uint8_t *data, size_t len, const struct ip_view *v)
{
	static const struct ip_ends four = { .src = { { [10] = 0xff, [11] = 0xff, [12] = 100, 64, 0, 7 } },
		.dst = { { [10] = 0xff, [11] = 0xff, [12] = 10, 1, 1, 16 } },
		.id = 7 },
				    six = { .src = { { 0xfd, 1 } }, .dst = { { 0xfd, 2 } } };
	const struct ip_ends *to = v->version == 4 ? &six : &four, *back = v->version == 4 ? &four : &six;
	uint8_t *p = malloc(len + 2 * IP_TRANSLATE_GROWS);
	struct ip_view q;
	if (!p)
		return;
	memcpy(p, data, len);
	bool error = ip_quoted(p, v, &q);
	size_t out = ip_translate(p, len + 2 * IP_TRANSLATE_GROWS, v, to, error ? to : NULL);
	if (out && (out > len + 2 * IP_TRANSLATE_GROWS || !ip_parse(p, out, &q) || q.total_len != out))
		abort();
	if (!out && memcmp(p, data, len) != 0)
		abort();
	if (out > IP6_MTU_MIN && v->version == 4)
		cut(p, out);
	else if (out && !error && !ip_translate(p, len + 2 * IP_TRANSLATE_GROWS, &q, back, NULL))
		abort();
	free(p);
}

/* What is taken for one more of a flow is one, read as ip_parse reads it: the same packet with each of its first bytes changed. */
static void read_next(const uint8_t *data, size_t len, const struct ip_view *v)
{
	enum { CHANGED = 64 };
	uint8_t p[LEN_MAX];
	memcpy(p, data, len);
	for (size_t at = 0; at <= CHANGED && at <= len; at++) {
		uint8_t change = at < len && at < CHANGED ? (uint8_t)(data[len - 1] | 1) : 0;
		struct ip_view next = *v, whole;
		p[at < len ? at : 0] ^= change;
		if (ip_parse_next(p, len, &next) &&
			(!ip_parse(p, len, &whole) || !addr_equal(&whole.src, &v->src) ||
				!addr_equal(&whole.dst, &v->dst) || whole.proto != v->proto ||
				whole.sport != v->sport || whole.dport != v->dport || whole.later_fragment ||
				next.total_len != whole.total_len || next.payload_at != whole.payload_at ||
				next.l4_at != whole.l4_at || next.tcp_flags != whole.tcp_flags))
			abort();
		p[at < len ? at : 0] ^= change;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ip_view v;
	struct addr a;
	(void)via6_name_parse((const char *)data, len, &a);
	if (!ip_parse(data, len, &v))
		return 0;
	if (v.total_len > len || v.payload_at > v.total_len || v.l4_at > v.payload_at)
		abort();
	if (len <= LEN_MAX) {
		read_next(data, len, &v);
		translate(data, len, &v);
	}
	return 0;
}
