#include "resolver/zone_end.h"

#include "mesh/os/work.h"
#include "resolver/zone.h"

enum { FEW_NAMES = 1024 }; /* of as many it ends without a thread */

static void put(void *arg)
{
	zone_put(arg);
}

static void nothing(void *arg)
{
	(void)arg;
}

void zone_end(struct loop *l, struct zone *z)
{
	if (!z || zone_last_names(z) <= FEW_NAMES || !work_start(l, put, nothing, z))
		zone_put(z);
}
