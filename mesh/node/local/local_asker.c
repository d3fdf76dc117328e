/* Who wants it, and why, for the log: the machine has several users and programs that may take it off the network. */
#include "mesh/base/key.h"
#include "mesh/base/text.h"
#include "mesh/node/local/local_request.h"
#include "mesh/os/sock.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

const char local_asker_unclear[] = API_REASON_HEADER ": base64 of 256 bytes at most is wanted";
static_assert(API_REASON_MAX == 256, "the sentence says so");

bool local_asker(const struct request *r, char out[static LOCAL_ASKER])
{
	char why[API_REASON_MAX + 1] = "";
	struct sock_peer who;
	const char *said = r->head ? http_header(r->head, API_REASON_HEADER) : NULL;
	long n = said ? base64_decode(said, strlen(said), (uint8_t *)why, API_REASON_MAX) : 0;
	if (n < 0)
		return false;
	why[n] = 0;
	text_clean(why);
	if (sock_unix_peer(stream_fd(http_conn_stream(r->conn)), &who) != 0)
		who.uid = (uid_t)-1;
	snprintf(out, LOCAL_ASKER, "user %ld%s%s", (long)(int32_t)who.uid, *why ? ": " : "", why);
	return true;
}
