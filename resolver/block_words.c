#include "resolver/block_words.h"

#include "resolver/block_list.h"
#include "resolver/block_regex.h"
#include <string.h>

static int item_check(void *arg, const struct block_item *i)
{
	struct block_regex *x = i->name.len ? NULL : block_regex_new(i->regex, i->regex_len, arg);
	block_regex_free(x);
	return i->name.len || x ? 0 : ERR_MALFORMED;
}

int block_words_line(const char *text, struct errbuf *eb)
{
	struct block_list_ops ops = { item_check, eb };
	struct block_list l;
	block_list_begin(&l, true, &ops);
	int err = block_list_read(&l, text, strlen(text));
	err = err ? err : block_list_end(&l);
	if (err || !l.skipped)
		return err;
	return err_say(eb, ERR_MALFORMED,
		"\"%s\" is not a name, as ads.example, *.ads.example or /^ads[0-9]/", text);
}

bool block_words_answer(const char *text, struct block_answer *out)
{
	static const char *const words[] = { [BLOCK_ANSWER_NULL] = "null",
		[BLOCK_ANSWER_NXDOMAIN] = "nxdomain",
		[BLOCK_ANSWER_NODATA] = "nodata",
		[BLOCK_ANSWER_REFUSED] = "refused" };
	struct addr ip;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(text, words[i]) == 0) {
			out->kind = (enum block_answer_kind)i;
			return true;
		}
	if (!addr_parse(text, &ip))
		return false;
	out->kind = BLOCK_ANSWER_ADDRESS;
	*(addr_is_v4(&ip) ? &out->v4 : &out->v6) = ip;
	return true;
}

bool block_words_is_plain(const char *name)
{
	return *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_")];
}

bool block_words_is_url(const char *text)
{
	return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
}
