/* QR codes: on terminals, or dot by dot. */
#ifndef RW_OS_QR_H
#define RW_OS_QR_H

#include <stdbool.h>
#include <stdio.h>

struct qr;
struct qr *qr_make(const char *text); /* NULL: too long for a code, or memory is short */
int qr_width(const struct qr *q);     /* dots of a side, without the quiet zone; at most 177 */
/* Of column x and row y from 0; false, as light, outside. */
bool qr_is_dark(const struct qr *q, int x, int y);
void qr_free(struct qr *q); /* NULL is fine */

/* Half-height blocks, dark on light whatever the terminal's colours. false: as qr_make. */
bool qr_print(const char *text, FILE *to);

#endif
