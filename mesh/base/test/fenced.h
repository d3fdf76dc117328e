/* Bytes that end where memory ends, and begin where it begins: no sanitizer sees into a library's assembly. */
#ifndef RW_BASE_TEST_FENCED_H
#define RW_BASE_TEST_FENCED_H

#include <stddef.h>
#include <stdint.h>

struct fenced {
	uint8_t *map, *first, *end;
	size_t len;
};

/* room: bytes from first on, at least; what is asked for ends at end. Ends the test where there are none. */
void fence(struct fenced *f, size_t room);
void unfence(struct fenced *f);

#endif
