/* Reading JSON where memory may run out. The library does not survive a failed allocation while it reads a
 * text: a string that cannot grow loses bytes, and what is copied from it then runs over. Here such a failure
 * ends the reading at once and gives back all that it had. */
#ifndef RW_PROTO_JSON_MEMORY_H
#define RW_PROTO_JSON_MEMORY_H

#include <jansson.h>
#include <stdbool.h>

/* json_loadb; memory that runs out is NULL with *out_of_memory (which may be NULL). One thread at a time. */
json_t *json_memory_load(const char *text, size_t len, size_t flags, json_error_t *e, bool *out_of_memory);

/* From now on all that the library gives back is zeroed: values hold keys. For main(), before any JSON. */
void json_memory_wipes(void);
/* What json_dumps gave; NULL is fine. */
void json_text_free(char *text);

#endif
