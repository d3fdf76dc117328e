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

/* --- PNG (RFC 2083) --- */

enum { PNG_DOT = 3, PNG_QUIET = 4, PNG_STORED_MAX = 65535 };

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*p++ = (uint8_t)(v >> shift);
	return p;
}

/* Of 15. */
static uint32_t crc32(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;
	for (; len; len--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

/* Of RFC 1950. */
static uint32_t adler32(const uint8_t *p, size_t len)
{
	uint32_t a = 1, b = 0;
	for (; len; len--) {
		a = (a + *p++) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

/* Length and CRC around a kind and its data, which are in place at p + 4. The end. */
static uint8_t *put_chunk(uint8_t *p, const char *kind, size_t len)
{
	memcpy(p + 4, kind, 4);
	put_u32(p, (uint32_t)len);
	return put_u32(p + 8 + len, crc32(p + 4, 4 + len));
}

/* One bit a pixel, 1 is light; before each row its filter, none. */
static void put_rows(const struct qr *q, uint8_t *p, size_t side, size_t row)
{
	for (size_t y = 0; y < side; y++, p += row) {
		memset(p, 0, row);
		for (size_t x = 0; x < side; x++)
			if (!qr_is_dark(q, (int)(x / PNG_DOT) - PNG_QUIET, (int)(y / PNG_DOT) - PNG_QUIET))
				p[1 + x / 8] |= (uint8_t)(0x80 >> x % 8);
	}
}

/* Stored, not compressed: the largest code fits into one block of that. */
static uint8_t *put_data(const struct qr *q, uint8_t *p, size_t side, size_t row)
{
	uint8_t *d = p + 8;
	size_t n = row * side;
	const uint8_t head[] = { 0x78, 0x01, 0x01, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)~n,
		(uint8_t)(~n >> 8) };
	memcpy(d, head, sizeof(head));
	put_rows(q, d + sizeof(head), side, row);
	put_u32(d + sizeof(head) + n, adler32(d + sizeof(head), n));
	return put_chunk(p, "IDAT", sizeof(head) + n + 4);
}

uint8_t *qr_png(const char *text, size_t *len)
{
	static const uint8_t signature[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
	static const uint8_t form[] = { 1, 0, 0, 0,
		0 }; /* 1 bit of grey; the one compression and filter; no interlace */
	struct qr *q = qr_make(text);
	if (!q)
		return NULL;
	size_t side = (size_t)(qr_width(q) + 2 * PNG_QUIET) * PNG_DOT, row = 1 + (side + 7) / 8;
	uint8_t *png = row * side > PNG_STORED_MAX ? NULL : malloc(row * side + 128);
	if (png) {
		uint8_t *p = png + sizeof(signature);
		memcpy(png, signature, sizeof(signature));
		memcpy(put_u32(put_u32(p + 8, (uint32_t)side), (uint32_t)side), form, sizeof(form));
		p = put_chunk(p, "IHDR", 8 + sizeof(form));
		p = put_data(q, p, side, row);
		p = put_chunk(p, "IEND", 0);
		*len = (size_t)(p - png);
	}
	qr_free(q);
	return png;
}
