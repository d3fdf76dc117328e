#include "mesh/os/qr.h"
#include <qrencode.h>

enum { QUIET = 2 };

/* struct qr is the library's, whose name stays in here. */
static const QRcode *code_of(const struct qr *q)
{
	return (const QRcode *)q;
}

struct qr *qr_make(const char *text)
{
	return (struct qr *)QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
}

int qr_width(const struct qr *q)
{
	return code_of(q)->width;
}

bool qr_is_dark(const struct qr *q, int x, int y)
{
	int width = qr_width(q);
	return x >= 0 && y >= 0 && x < width && y < width && (code_of(q)->data[y * width + x] & 1);
}

void qr_free(struct qr *q)
{
	QRcode_free((QRcode *)q);
}

bool qr_print(const char *text, FILE *to)
{
	static const char *const blocks[] = { "\u2588", "\u2580", "\u2584", " " }; /* light ones are drawn */
	struct qr *q = qr_make(text);
	if (!q)
		return false;
	int width = qr_width(q);
	for (int y = -QUIET; y < width + QUIET; y += 2) {
		fputs("\033[37;40m", to);
		for (int x = -QUIET; x < width + QUIET; x++)
			fputs(blocks[(qr_is_dark(q, x, y) ? 2 : 0) + (qr_is_dark(q, x, y + 1) ? 1 : 0)], to);
		fputs("\033[0m\n", to);
	}
	qr_free(q);
	return true;
}
