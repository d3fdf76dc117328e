#include "mesh/base/fuzz/trouble.h"
#include "resolver/conf.h"
#include "resolver/convert/convert.h"
#include <stdint.h>
#include <stdlib.h>

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

/* Whatever a file of somebody's says: what is made of it is a configuration that is read; where memory was short, there is
 * none, or it is whole. */
static void convert(const uint8_t *data, size_t len)
{
	static void (*const reads[])(struct target * t, const char *file, const char *text,
		size_t len) = { convert_dnsmasq, convert_unbound, convert_pihole };
	struct target t;
	struct buf out = { 0 };
	unsigned from = data[0] % 3;
	trouble_begin();
	target_init(&t);
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
