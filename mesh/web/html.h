/* Text into HTML. */
#ifndef RW_WEB_HTML_H
#define RW_WEB_HTML_H

#include "mesh/base/buf.h"

enum { HTML_TEXT_SHOWN = 512 };
/* Text of anybody, as text or as the value of an attribute in quotes: fit to be read (text_clean), cut at
 * HTML_TEXT_SHOWN bytes, escaped. false: memory is short, or the cap of b. */
bool html_text(struct buf *b, const char *text);

#endif
