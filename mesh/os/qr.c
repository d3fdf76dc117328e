#include "mesh/os/qr.h"
#include "mesh/base/err.h"
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>

#define COLOURS "\033[37;40m"
#define NO_COLOURS "\033[0m"
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

bool qr_format_parse(const char *text, enum qr_format *out)
{
	static const char *const names[] = {
		[QR_AUTO] = "auto", [QR_ASCII] = "ascii", [QR_LARGE] = "large", [QR_SMALL] = "small"
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(names[i], text)) {
			*out = (enum qr_format)i;
			return true;
		}
	return false;
}

/* POSIX: the first of them that says something holds. None does in many containers, whose terminals are of today. */
static bool is_utf8_locale(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *v = NULL;
	for (size_t i = 0; i < ARRAY_LEN(names) && !(v && *v); i++)
		v = getenv(names[i]);
	return !v || !*v || strcasestr(v, "utf-8") || strcasestr(v, "utf8");
}

static void print_small(const struct qr *q, FILE *to)
{
	static const char *const blocks[] = { "\u2588", "\u2580", "\u2584", " " }; /* light ones are drawn */
	int width = qr_width(q);
	for (int y = -QUIET; y < width + QUIET; y += 2) {
		fputs(COLOURS, to);
		for (int x = -QUIET; x < width + QUIET; x++)
			fputs(blocks[(qr_is_dark(q, x, y) ? 2 : 0) + (qr_is_dark(q, x, y + 1) ? 1 : 0)], to);
		fputs(NO_COLOURS "\n", to);
	}
}

static void print_large(const struct qr *q, const char *light, bool coloured, FILE *to)
{
	int width = qr_width(q);
	for (int y = -QUIET; y < width + QUIET; y++) {
		fputs(coloured ? COLOURS : "", to);
		for (int x = -QUIET; x < width + QUIET; x++)
			fputs(qr_is_dark(q, x, y) ? "  " : light, to);
		fputs(coloured ? NO_COLOURS "\n" : "\n", to);
	}
}

bool qr_print(const char *text, enum qr_format format, FILE *to)
{
	struct qr *q = qr_make(text);
	if (!q)
		return false;
	if (format == QR_AUTO)
		format = is_utf8_locale() ? QR_SMALL : QR_ASCII;
	if (format == QR_SMALL)
		print_small(q, to);
	else
		print_large(q, format == QR_ASCII ? "##" : "\u2588\u2588", format != QR_ASCII, to);
	qr_free(q);
	return true;
}
