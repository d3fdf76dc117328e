/* Between http_server.c, which has read the head of a request, and http_carry.c, which reads its body. */
#ifndef RW_TRANSPORT_HTTP_CARRY_INNER_H
#define RW_TRANSPORT_HTTP_CARRY_INNER_H

#include "mesh/transport/http_carry.h"
#include "mesh/transport/http_parse.h"

/* Takes over all three; ahead: bytes behind the head. NULL: memory is short, and all is closed. */
struct http_carry *http_carry_accepted(int fd, struct http_parse *in, struct buf *ahead);

#endif
