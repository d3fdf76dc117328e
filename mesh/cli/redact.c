#include "mesh/cli/redact.h"
#include <string.h>

enum { SECRET_DIGITS = 32, DIGITS_KEPT = 8 };

static size_t span(const char *text, size_t len, const char *set)
{
	size_t n = 0;
	while (n < len && text[n] && strchr(set, text[n]))
		n++;
	return n;
}

bool redact(const char *text, size_t len, struct buf *out)
{
	static const char hex[] = "0123456789abcdefABCDEF",
			  word[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-+";
	bool ok = true;
	for (size_t at = 0, n; ok && at < len; at += n) {
		size_t whole = span(text + at, len - at, word), digits = span(text + at, whole, hex);
		bool mail = whole && at + whole < len && text[at + whole] == '@';
		n = whole ? whole : 1;
		if (digits >= SECRET_DIGITS && digits == whole) {
			ok = buf_append(out, text + at, DIGITS_KEPT) && buf_printf(out, "...");
		} else if (mail) {
			n = whole + 1;
			n += span(text + at + n, len - at - n, word);
			ok = buf_append(out, text + at, 1) && buf_printf(out, "...@...");
		} else {
			ok = buf_append(out, text + at, n);
		}
	}
	return ok;
}
