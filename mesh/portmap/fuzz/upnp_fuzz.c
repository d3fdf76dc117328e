/* What a gateway says: the answer to the search, the description, and one talk. Input: pieces of a u16 length and bytes;
 * the first two are the answer and the description, the others begin with a status. */
#include "mesh/base/wire.h"
#include "mesh/portmap/upnp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_url(const struct upnp_url *u)
{
	if (!u->port || u->path[0] != '/')
		abort();
	for (const char *c = u->path; *c; c++)
		if (*c <= ' ' || *c > '~')
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct addr router = addr_v4(0xc0a80101), self = addr_v4(0xc0a80107);
	struct rd r = rd_of(data, len);
	struct rd answer = rd_sub(&r, rd_u16(&r)), description = rd_sub(&r, rd_u16(&r));
	struct upnp_url at = { .port = 80, .path = "/" };
	struct upnp_talk t = { .n_services = 0 };
	struct upnp_request rq;

	if (r.bad)
		return 0;
	if (upnp_found_read(answer.p, answer.left, &router, &at))
		check_url(&at);
	t.n_services = upnp_description_read(
		(const char *)description.p, description.left, &router, &at, t.services);
	for (size_t i = 0; i < t.n_services; i++)
		check_url(&t.services[i].control);
	if (!t.n_services)
		return 0;
	upnp_talk_begin(&t, &self, 41641, 41641, 7200);
	for (int i = 0; t.step != UPNP_OVER; i++) {
		static const int statuses[] = { 0, 200, 404, 500 };
		int status = statuses[rd_u8(&r) & 3];
		struct rd body = rd_sub(&r, rd_u16(&r));
		if (r.bad)
			return 0;
		if (i > 64)
			abort(); /* a talk ends, whatever is said */
		upnp_talk_request(&t, &rq);
		upnp_talk_answered(&t, status, (const char *)body.p, body.left);
	}
	upnp_talk_delete(&t, t.outer, &rq);
	return 0;
}
