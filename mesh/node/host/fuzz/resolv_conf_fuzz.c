/* Any file: what is read and written again reads the same, and holds nothing but addresses, names and words.
 */
#include "mesh/node/host/resolv_conf.h"
#include <stdlib.h>
#include <string.h>

static void own_words_only(const char *s, const char *also)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	for (; *s; s++)
		if (!strchr(plain, *s) && !strchr(also, *s))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct resolv_conf c, again;
	struct buf b = { 0 };
	resolv_conf_parse((const char *)data, len, &c);
	for (size_t i = 0; i < c.n_search; i++)
		own_words_only(c.search[i], ".");
	own_words_only(c.options, ": ");
	if (!resolv_conf_write(&c, &b))
		abort();
	resolv_conf_parse((const char *)buf_data(&b), b.len, &again);
	if (memcmp(&c, &again, sizeof(c)) != 0)
		abort();
	buf_free(&b);
	return 0;
}
