/* Lists of strangers, of which the first byte says how they are read (below): read whole and in two pieces they say the same, and what they say goes into a set and is
 * found there. An expression that is taken matches or not, in bounded time. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/key.h"
#include "resolver/block.h"
#include "resolver/block_list.h"
#include "resolver/block_regex.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALLOWS = 1, CROWD = 0xfe /* rarely: it takes long */, CROWD_SIZE = 1600 };

struct heard {
	struct block *b;
	uint64_t sum, n;
};

static int item(void *arg, const struct block_item *i)
{
	static const char name[] = "a.very-long.name_of.some.example";
	struct heard *h = arg;
	struct dns_name below;
	h->n++;
	h->sum = h->sum * 31 + i->line + i->reach + i->name.len + (i->name.len ? i->name.b[1] : i->regex_len);
	if (!i->name.len) {
		struct block_regex *x = block_regex_new(i->regex, i->regex_len, NULL);
		if (x) {
			(void)block_regex_matches(x, name, sizeof(name) - 1);
			(void)block_regex_matches(x, i->regex, i->regex_len < 253 ? i->regex_len : 253);
		}
		block_regex_free(x);
		return 0;
	}
	if (!h->b)
		return 0;
	int err = block_add(h->b, 0, &i->name, i->reach);
	if (err && trouble_happened())
		return err;
	if (err)
		abort();
	if (i->reach & BLOCK_NAME && block_judge(h->b, 1, &i->name, NULL) != BLOCK_BLOCKED)
		abort();
	if (!(i->reach & BLOCK_BELOW) || i->name.len > DNS_NAME_MAX - 2)
		return 0;
	below.len = (uint8_t)(i->name.len + 2);
	below.b[0] = 1;
	below.b[1] = 'x';
	memcpy(below.b + 2, i->name.b, i->name.len);
	if (block_judge(h->b, 1, &below, NULL) != BLOCK_BLOCKED)
		abort();
	return 0;
}

/* More names, lists and expressions than a set begins with, or has room for. */
static void crowd_come(struct block *b)
{
	struct dns_name name;
	struct errbuf eb = { 0 };
	char text[32];
	unsigned list, lists = 1;
	size_t n, before = block_bytes(b);
	int err = 0;
	for (n = 0; !err && n < CROWD_SIZE; n++) {
		snprintf(text, sizeof(text), "n%zu.test", n);
		must(dns_name_parse(text, &name));
		err = block_add(b, 0, &name, BLOCK_NAME);
		must(err ? trouble_happened() : block_judge(b, 1, &name, NULL) == BLOCK_BLOCKED);
	}
	must(block_names(b) == n - (err != 0) && block_bytes(b) >= before);
	for (; !err && n--;) { /* wherever they are by now */
		snprintf(text, sizeof(text), "n%zu.test", n);
		must(dns_name_parse(text, &name) && block_judge(b, 1, &name, NULL) == BLOCK_BLOCKED);
	}
	while (block_list_add(b, text, false, &list) == 0)
		must(list == lists++ && strcmp(block_list_name(b, list), text) == 0);
	must(lists == BLOCK_LISTS_MAX);
	for (n = 0; (err = block_add_regex(b, 1, "^r", 2, &eb)) == 0; n++)
		;
	must(trouble_happened() || (err == ERR_TOO_LARGE && n == BLOCK_REGEXES_MAX && eb.text[0]));
	must(trouble_happened() || block_bytes(b) > before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
static void block_target(const uint8_t *data, size_t len)
{
	static const uint64_t seed[2] = { 1, 2 };
	trouble_begin();
	struct heard whole = { .b = block_new(seed) }, pieces = { 0 };
	struct block_list_ops to_whole = { item, &whole }, to_pieces = { item, &pieces };
	static struct block_list a, b;
	unsigned list;
	bool allows = len && data[0] & ALLOWS;
	if (!whole.b || block_list_add(whole.b, "fuzz", false, &list)) {
		if (!trouble_happened())
			abort();
		block_put(whole.b);
		return;
	}
	if (len && (data[0] & CROWD) == CROWD)
		crowd_come(whole.b);
	block_list_begin(&a, allows, &to_whole);
	block_list_begin(&b, allows, &to_pieces);
	size_t half = len ? data[len - 1] % len : 0;
	bool ok = !block_list_read(&a, (const char *)data, len) && !block_list_end(&a);
	bool short_of_memory = trouble_happened();
	trouble_end();
	bool same = !block_list_read(&b, (const char *)data, half) &&
		    !block_list_read(&b, (const char *)data + half, len - half) && !block_list_end(&b) &&
		    whole.sum == pieces.sum && whole.n == pieces.n && a.skipped == b.skipped &&
		    a.line == b.line;
	if (!short_of_memory && (!ok || !same))
		abort();
	block_put(whole.b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(block_target, data, len);
}
