#include "mesh/base/fuzz/trouble.h"
#include "resolver/conf.h"
#include "resolver/convert/convert.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void made_check(const struct buf *made)
{
	struct errbuf eb = { 0 };
	struct conf c;
	if (conf_read("made", (const char *)buf_data(made), made->len, &c, &eb))
		abort();
	struct zone *z = conf_zone("made", &c, &eb);
	if (!z)
		abort();
	zone_put(z);
	conf_free(&c);
}

/* What a file includes is its own second half, to a depth. */
struct half {
	const uint8_t *data;
	size_t len;
	unsigned depth;
};

static void include(void *arg, struct target *t, const struct target_include *i)
{
	enum { DEPTH_MAX = 3 };
	struct half *h = arg;
	const char *file = t->file;
	unsigned line = t->line;
	if (h->depth == DEPTH_MAX)
		return;
	h->depth++;
	i->take(i->arg, i->path[0] ? target_text(t, i->path, strlen(i->path)) : "i",
		(const char *)h->data + h->len / 2, h->len - h->len / 2);
	h->depth--;
	t->file = file;
	t->line = line;
}

/* Whatever a file of somebody's says: what is made of it is a configuration that is read; where memory was short, there is
 * none, or it is whole. */
static void convert(const uint8_t *data, size_t len)
{
	static void (*const reads[])(struct target * t, const char *file, const char *text,
		size_t len) = { convert_dnsmasq, convert_unbound, convert_pihole };
	struct half half = { .data = data + 1, .len = len - 1 };
	struct target t;
	struct buf out = { 0 };
	unsigned from = data[0] % 3;
	enum convert_from guess = convert_guess((const char *)data + 1, len - 1);
	if (guess != CONVERT_UNKNOWN && convert_from_parse(convert_from_text(guess)) != guess)
		abort();
	trouble_begin();
	target_init(&t);
	t.include = include;
	t.include_arg = &half;
	reads[from](&t, "f", (const char *)data + 1, len - 1);
	convert_end(&t, 1u << from);
	bool made = target_write(&t, &out);
	trouble_end();
	if (made)
		made_check(&out);
	buf_free(&out);
	target_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return len ? trouble_twice(convert, data, len) : 0;
}
