#include "mesh/control/fleet/test/place.h"

#include "mesh/os/file.h"
#include <stdio.h>
#include <stdlib.h>

void place_make(struct place *p)
{
	const char *base = getenv("TMPDIR");
	snprintf(p->dir, sizeof(p->dir), "%.100s/control-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(p->dir))
		abort();
}

void place_remove(struct place *p)
{
	struct errbuf eb;
	(void)dir_remove(p->dir, &eb);
}

char *place_path(const struct place *p, const char *name, char out[static 256])
{
	snprintf(out, 256, "%s/%.100s", p->dir, name);
	return out;
}
