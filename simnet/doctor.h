/* What this machine can do, each ability tried. */
#ifndef SIMNET_DOCTOR_H
#define SIMNET_DOCTOR_H

#include "mesh/base/err.h"
#include <stdbool.h>

struct doctor_check { /* an ability, whether it is there, and the fix */
	const char *what;
	bool ok, needed;
	char detail[256];
};
/* In a sandbox: 0, or -ENOSYS with a sentence about the first needed ability that is missing, and the fix. */
int doctor_lacks(struct errbuf *eb);
int doctor_checks(struct doctor_check *out, int cap); /* count */

#endif
