/* A text as a QR code, for pages: a phone reads it off the screen. It is kept nowhere. */
#include "mesh/control/http/verbs.h"

#include "mesh/os/qr.h"
#include <stdlib.h>
#include <string.h>

enum { QR_TEXT_MAX = 1024, QR_WIDTH_MAX = 177 };

static json_t *code_value(const struct qr *q)
{
	json_t *rows = json_array();
	char row[QR_WIDTH_MAX + 1];
	int width = qr_width(q);
	for (int y = 0; y < width; y++) {
		for (int x = 0; x < width && x < QR_WIDTH_MAX; x++)
			row[x] = qr_is_dark(q, x, y) ? '1' : '0';
		json_array_append_new(rows, json_stringn(row, (size_t)width));
	}
	return json_pack("{s:i, s:o}", "size", width, "rows", rows);
}

void admin_qr(struct api_call *c)
{
	const char *text = verb_text(c, "text");
	size_t len = strlen(text);
	if (!len || len > QR_TEXT_MAX) {
		api_reply_error(&c->way, 400, "text: up to 1024 bytes are a picture that a phone can read");
		return;
	}
	struct qr *q = qr_make(text);
	api_reply_json(&c->way, 200, q ? code_value(q) : NULL);
	qr_free(q);
}
