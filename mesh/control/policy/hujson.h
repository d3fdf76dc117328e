/* JSON with comments and trailing commas, blanked in place so that line and column of what is left stay true.
 */
#ifndef RW_CONTROL_POLICY_HUJSON_H
#define RW_CONTROL_POLICY_HUJSON_H

#include <stddef.h>

/* Comments and commas before a closing bracket become blanks. An unfinished comment or string is left for the
 * JSON parser to complain about. */
void hujson_blank(char *text, size_t len);
/* Line and column, from 1, of what path names in JSON that has been parsed without fault: "acls[2].dst[0]".
 * Where the path leads nowhere: of the last thing on it. */
struct hujson_place {
	unsigned line, column;
};
struct hujson_place hujson_find(const char *text, size_t len, const char *path);
/* Of the n items of the list at this key of the whole, in one pass over the text. */
void hujson_find_items(const char *text, size_t len, const char *key, struct hujson_place *out, size_t n);

#endif
