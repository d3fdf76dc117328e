/* May this node use the relay? POST, JSON, as derper asks an admission controller: a relay asks the server
 * that it is beside, or one by URL. */
#ifndef RW_PROTO_VERIFY_H
#define RW_PROTO_VERIFY_H

#include "mesh/base/addr.h"
#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"

struct verify_request {
	struct node_key who;
	const char *source; /* its address as the relay sees it; "" = not said */
};
struct verify_response {
	bool allow;
};

/* 0 or ERR_MALFORMED; *out is untouched on failure. */
int verify_request_read(
	struct arena *a, const char *json, size_t len, struct verify_request *out, struct errbuf *eb);
bool verify_request_write(struct buf *out, const struct verify_request *m);
int verify_response_read(
	struct arena *a, const char *json, size_t len, struct verify_response *out, struct errbuf *eb);
bool verify_response_write(struct buf *out, const struct verify_response *m);

#endif
