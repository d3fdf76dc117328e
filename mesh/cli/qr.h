/* QR codes for terminals. */
#ifndef RW_CLI_QR_H
#define RW_CLI_QR_H

#include <stdbool.h>
#include <stdio.h>

/* Half-height blocks, dark on light whatever the terminal's colours. false: text too long for a code. */
bool qr_print(const char *text, FILE *to);

#endif
