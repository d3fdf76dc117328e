/* One HTTP/1.1 request to the live page (RFC 9112), read whole or not at all. What a browser on this machine sends and no more: a
 * head of at most REQUEST_HEAD bytes, a body of at most REQUEST_BODY with a Content-Length. Pure. */
#ifndef SIMNET_REQUEST_H
#define SIMNET_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum { REQUEST_HEAD = 8192, REQUEST_BODY = 512, REQUEST_TARGET = 512, REQUEST_HOST = 80 };
struct request {
	bool post;		   /* else GET */
	char path[REQUEST_TARGET]; /* without the query */
	char query[REQUEST_TARGET];
	char host[REQUEST_HOST]; /* in lower case */
	char body[REQUEST_BODY + 1];
};
/* How many bytes the first request takes; 0 = it is not whole yet. Negative: it is none, the negative of the status to refuse it
 * with (400, 405, 413, 431), and *out is untouched. */
int request_read(const char *p, size_t len, struct request *out);
/* The value of a word in the query, %XX decoded; false: there is none, or it does not fit. */
bool request_query(const struct request *r, const char *key, char *out, size_t cap);

#endif
