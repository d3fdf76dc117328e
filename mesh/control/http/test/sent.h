/* What a door would have sent, in place of sending it: for tests that are linked with --wrap=http_reply. */
#ifndef RW_CONTROL_HTTP_TEST_SENT_H
#define RW_CONTROL_HTTP_TEST_SENT_H

#include <stddef.h>

struct sent {
	int status;
	char body[2048]; /* cut to its room */
};
extern struct sent sent; /* the last; a test sets it back */
void sent_put(int status, const void *body, size_t len);

#endif
