#include "mesh/cli/qr.h"
#include <qrencode.h>

enum { QUIET = 2 };

static bool is_dark(const QRcode *q, int x, int y)
{
	return x >= 0 && y >= 0 && x < q->width && y < q->width && (q->data[y * q->width + x] & 1);
}

bool qr_print(const char *text, FILE *to)
{
	static const char *const blocks[] = { "\u2588", "\u2580", "\u2584", " " }; /* light ones are drawn */
	QRcode *q = QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
	if (!q)
		return false;
	for (int y = -QUIET; y < q->width + QUIET; y += 2) {
		fputs("\033[37;40m", to);
		for (int x = -QUIET; x < q->width + QUIET; x++)
			fputs(blocks[(is_dark(q, x, y) ? 2 : 0) + (is_dark(q, x, y + 1) ? 1 : 0)], to);
		fputs("\033[0m\n", to);
	}
	QRcode_free(q);
	return true;
}
