/* Keys and people taken out of a text, so that it can be shown to others. */
#ifndef RW_CLI_REDACT_H
#define RW_CLI_REDACT_H

#include "mesh/base/buf.h"

/* Appends the text: of hexadecimal words of 32 digits and more the first eight stay, of NAME@HOST the first letter. false:
 * memory is short. */
bool redact(const char *text, size_t len, struct buf *out);

#endif
