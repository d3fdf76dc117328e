/* QR codes: on terminals, or dot by dot. */
#ifndef RW_OS_QR_H
#define RW_OS_QR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct qr;
struct qr *qr_make(const char *text); /* NULL: too long for a code, or memory is short */
int qr_width(const struct qr *q);     /* dots of a side, without the quiet zone; at most 177 */
/* Of column x and row y from 0; false, as light, outside. */
bool qr_is_dark(const struct qr *q, int x, int y);
void qr_free(struct qr *q); /* NULL is fine */

enum qr_format {
	QR_AUTO, /* small, or ascii where the locale that the environment names is not of UTF-8 */
	QR_ASCII, /* two letters a dot and no colours: "##" is light, for consoles and logs without block characters */
	QR_LARGE, /* two blocks a dot, in colours of its own whatever the terminal's */
	QR_SMALL  /* half-height blocks, the same */
};
bool qr_format_parse(
	const char *text, enum qr_format *out); /* "auto" "ascii" "large" "small"; false: none of them */
/* Dark on light. false: as qr_make. */
bool qr_print(const char *text, enum qr_format format, FILE *to);
/* A file of PNG, 3 pixels a dot, with its quiet zone: *len bytes, to be freed. NULL: as qr_make. */
uint8_t *qr_png(const char *text, size_t *len);

#endif
