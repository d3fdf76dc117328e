#include "mesh/netmap/test/told_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct netmap *told_map(const struct netmap *before, const char *json)
{
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct errbuf eb = { 0 };
	struct netmap *next = NULL;
	if (ctl_map_response_read(&a, json, strlen(json), &m, &eb) == 0)
		next = netmap_apply(before, &m, 0, &eb);
	arena_free(&a); /* nothing may point into the message */
	if (!next)
		fail_msg("%s in %s", eb.text, json);
	return next;
}
