/* The head of an HTTP/1.x request, as much as the small services need of it (RFC 9112): pure. */
#ifndef SIMNET_SERVICE_HTTP_HEAD_H
#define SIMNET_SERVICE_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEAD_MAX = 8192, HTTP_TARGET_MAX = 1024, HTTP_AUTH_MAX = 512, HTTP_ACTION_MAX = 160 };
struct http_head {
	char method[16], target[HTTP_TARGET_MAX];
	char proxy_auth[HTTP_AUTH_MAX]; /* value of Proxy-Authorization; empty = not given */
	char action[HTTP_ACTION_MAX];	/* of SOAPAction; empty = not given */
	uint32_t body_len;		/* Content-Length; 0 = not given */
	size_t len;			/* of the head, with the empty line */
};
enum http_head_state { HTTP_HEAD_MORE, HTTP_HEAD_DONE, HTTP_HEAD_BAD };
/* *out is filled when it is DONE and untouched otherwise. MORE: so far it is a head's beginning; never at
 * HTTP_HEAD_MAX bytes. */
enum http_head_state http_head_read(const char *text, size_t len, struct http_head *out);
/* "host:port" or "[v6]:port" of a CONNECT; false when it is none. */
bool http_authority(const char *target, char *host, size_t cap, unsigned *port);
/* Whether "Basic BASE64" says user:password (RFC 7617). */
bool http_basic_is(const char *value, const char *user_password);

#endif
