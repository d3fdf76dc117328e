/* Any file: what is read and written again reads the same, and holds nothing but addresses, names and words; and so does what goes
 * in its place, with the names of the search as the server's too, and one nameserver. With short memory once more. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/node/host/resolv_conf.h"
#include <stdlib.h>
#include <string.h>

static void own_words_only(const char *s, const char *also)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	for (; *s; s++)
		must(strchr(plain, *s) || strchr(also, *s));
}

static void words_only(const struct resolv_conf *c)
{
	for (size_t i = 0; i < c->n_search; i++)
		own_words_only(c->search[i], ".");
	own_words_only(c->options, ": ");
}

static void written_again(const struct resolv_conf *c)
{
	struct resolv_conf again;
	struct buf b = { 0 };
	if (resolv_conf_write(c, &b)) {
		resolv_conf_parse((const char *)buf_data(&b), b.len, &again);
		must(memcmp(c, &again, sizeof(*c)) == 0);
	} else {
		must(trouble_happened());
	}
	buf_free(&b);
}

/* What a server says may be anything: each line of the file. */
static void replaced(const struct resolv_conf *own, const char *text, size_t len)
{
	const struct addr us = addr_v4(0x64646464);
	char line[RESOLV_DOMAIN];
	const char *search[] = { own->search[0], line };
	struct resolv_conf c;
	size_t n = strcspn(text, "\n");
	n = n < len ? n : len;
	n = n < sizeof(line) ? n : sizeof(line) - 1;
	memcpy(line, text, n);
	line[n] = 0;
	char *ours = resolv_conf_ours(own, &us, search, own->n_search ? 2 : 0);
	if (!ours) {
		must(trouble_happened());
		return;
	}
	must(strncmp(ours, RESOLV_CONF_MARK, strlen(RESOLV_CONF_MARK)) == 0);
	resolv_conf_parse(ours, strlen(ours), &c);
	must(c.n_nameservers == 1 && addr_equal(&c.nameservers[0].ip, &us) &&
		strcmp(c.options, own->options) == 0 && c.n_search >= own->n_search);
	words_only(&c);
	free(ours);
}

static void run(const uint8_t *data, size_t len)
{
	struct resolv_conf c;
	char *text = malloc(len + 1); /* with an end, for what takes a string */
	must(text);
	memcpy(text, data, len);
	text[len] = 0;
	trouble_begin();
	resolv_conf_parse((const char *)data, len, &c);
	words_only(&c);
	(void)resolv_conf_is_stub(&c);
	written_again(&c);
	replaced(&c, text, len);
	trouble_end();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
