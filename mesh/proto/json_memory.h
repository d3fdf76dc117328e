/* Reading and writing JSON where memory may run out. The library does not survive a failed allocation while it
 * reads a text: a string that cannot grow loses bytes, and what is copied from it then runs over. Here such a
 * failure ends the reading at once and gives back all that it had. While it writes one it does not look whether a
 * member's name could be added, and goes on. */
#ifndef RW_PROTO_JSON_MEMORY_H
#define RW_PROTO_JSON_MEMORY_H

#include <jansson.h>
#include <stdbool.h>

/* json_loadb; memory that runs out is NULL with *out_of_memory (which may be NULL). One thread at a time. */
json_t *json_memory_load(const char *text, size_t len, size_t flags, json_error_t *e, bool *out_of_memory);

/* From now on all that the library gives back is zeroed: values hold keys. For main(), before any JSON. */
void json_memory_wipes(void);
/* json_dumps, whose text is whole; NULL: v is NULL, or memory is short. The caller's, for json_text_free: keys may be in it.
 */
char *json_memory_dump(const json_t *v, size_t flags);
/* What json_dumps or json_memory_dump gave; NULL is fine. */
void json_text_free(char *text);

#endif
