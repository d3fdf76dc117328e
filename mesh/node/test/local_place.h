/* A node without an engine: what LocalAPI answers while it is stopped. */
#ifndef RW_NODE_TEST_LOCAL_PLACE_H
#define RW_NODE_TEST_LOCAL_PLACE_H

#include "mesh/node/node.h"
#include "mesh/transport/http.h"

#define OUR_HOST "local-tailscaled.sock"
#define API "/localapi/v0/"

/* For an answer that never comes; a machine that stands still for a while is within it. */
enum { LOCAL_WAIT_MS = 60000 };

struct local_place {
	char dir[64], sock[96];
	struct node *n;
};
void local_place_make(struct local_place *p);
void local_place_end(struct local_place *p); /* nothing of it is left */

struct local_answer {
	int status;
	char body[8192];
	size_t len;
	bool over;
};
struct local_question {
	const char *method, *target, *body, *host, *extra;
};
/* The answer as it comes, if it is a stream; over: it has ended, or failed with the code in status. */
struct http_client *local_begin(
	struct local_place *p, const struct local_question *q, struct local_answer *a, bool stream);
void local_ask(struct local_place *p, const struct local_question *q, struct local_answer *a);

#endif
