#include "mesh/web/html.h"

#include "mesh/base/err.h"
#include "mesh/base/text.h"
#include <stdio.h>
#include <string.h>

bool html_text(struct buf *b, const char *text)
{
	static const struct {
		char c;
		const char *as;
	} rows[] = { { '<', "&lt;" }, { '>', "&gt;" }, { '&', "&amp;" }, { '"', "&quot;" },
		{ '\'', "&#39;" } };
	char clean[HTML_TEXT_SHOWN + 1];
	bool ok = true;
	snprintf(clean, sizeof(clean), "%.*s", HTML_TEXT_SHOWN, text);
	text_clean(clean);
	for (const char *at = clean; *at && ok; at++) {
		const char *as = NULL;
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			if (rows[i].c == *at)
				as = rows[i].as;
		ok = as ? buf_append(b, as, strlen(as)) : buf_append(b, at, 1);
	}
	return ok;
}
