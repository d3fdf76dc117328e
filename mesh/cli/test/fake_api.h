/* A LocalAPI that says what the test tells it to, on a unix socket in a folder of its own. */
#ifndef RW_CLI_TEST_FAKE_API_H
#define RW_CLI_TEST_FAKE_API_H

#include <stdbool.h>

struct fake_route {	   /* the first whose start begins the request line answers; others get 404 */
	const char *start; /* "GET /localapi/v0/status" */
	int status;
	const char *body;
	bool hold; /* stay open behind the body, as the bus does; never answer at all when body is NULL */
};
struct fake_api;
struct fake_api *fake_api_start(const struct fake_route *routes); /* ended by a NULL start */
const char *fake_api_socket(const struct fake_api *f);
/* One line per request: "POST /localapi/v0/start {...}", before its body the line of its head that has a reason. Valid until
 * the next call. */
const char *fake_api_requests(struct fake_api *f);
void fake_api_stop(struct fake_api *f);

#endif
