/* An upstream's message: taken whole or not at all; what is taken can be read, aged, cut and read again. */
#include "resolver/answer.h"
#include <stdlib.h>

static void walk(const uint8_t *msg, size_t len)
{
	size_t at = dns_name_skip(msg, len, DNS_HEADER) + 4, next;
	unsigned total = (unsigned)(be_get(msg + 6, 2) + be_get(msg + 8, 2) + be_get(msg + 10, 2));
	struct dns_name owner;
	for (struct dns_rr rr; total; total--) {
		size_t from = at;
		if (!dns_rr_next(msg, len, &at, &rr) || !dns_name_expand(msg, len, from, &owner, &next) ||
			!dns_rdata_fits(msg, &rr))
			abort();
	}
	if (at != len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct answer_work work;
	static const struct nat64_set translators = { .n = 1,
		.v = { { .prefix = { { 0x20, 0x01, 0x0d, 0xb8 } }, .bits = 32 } } };
	static uint8_t clean[DNS_MESSAGE_MAX + DNS_OPT_LEN], out[DNS_MESSAGE_MAX + DNS_OPT_LEN];
	struct dns_ask ask = { .edns = true };
	struct dns_query q = { .rd = true, .edns = true, .size = DNS_UDP_PLAIN };
	struct dns_name name;
	struct answer a;
	size_t next;
	/* the question is what the message says it is, so that the rest is reached */
	if (len < DNS_HEADER || !dns_name_expand(data, len, DNS_HEADER, &name, &next) || len - next < 4)
		return 0;
	dns_name_fold(&name);
	ask.id = (uint16_t)be_get(data, 2);
	ask.type = (uint16_t)be_get(data + next, 2);
	ask.name = &name;
	ask.dnssec_ok = ask.id & 1;
	if (answer_read(&work, data, len, &ask, true, &a, clean) != ANSWER_OK || !a.len)
		return 0;
	walk(clean, a.len);
	(void)answer_has_private(clean, a.len, &translators);
	q.name = name;
	q.question_len = (uint16_t)(name.len + 4);
	memcpy(q.question, clean + DNS_HEADER, q.question_len);
	size_t n = answer_reply(
		out, sizeof(out), &q, &(struct cache_item) { .msg = clean, .len = a.len, .age_s = 7 });
	if (n > q.size)
		abort();
	walk(out, n);
	return 0;
}
