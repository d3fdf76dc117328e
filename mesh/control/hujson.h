/* JSON with comments and trailing commas, blanked in place so that line and column of what is left stay true.
 */
#ifndef RW_CONTROL_HUJSON_H
#define RW_CONTROL_HUJSON_H

#include <stddef.h>

/* Comments and commas before a closing bracket become blanks. An unfinished comment or string is left for the
 * JSON parser to complain about. */
void hujson_blank(char *text, size_t len);

#endif
