/* Scenario and adapter files, from where they are kept. */
#ifndef SIMNET_SOURCE_H
#define SIMNET_SOURCE_H

#include "simnet/scenario/adapter.h"

/* scenario_parse_all of the file at path. */
int source_read_scenario(
	const char *path, size_t variant, struct scenario *out, struct scn_errors *all, struct errbuf *eb);
/* Whether a .yaml file says that it is an adapter or a part, which may stand beside scenarios. */
bool source_is_other(const char *path);
/* adapter_parse of NAME.yaml, which is looked for in the folder of `beside` (a scenario file, may be NULL),
 * SIMNET_ADAPTERS of the environment, and then the data installed with this program, or the source tree while
 * it is run where it was built. */
int source_find_adapter(const char *name, const char *beside, struct adapter *out, struct errbuf *eb);

enum { SOURCE_BESIDE_MAX = 1 << 20 };
/* The file NAME in the folder of the scenario file; it may not lead out of it. Whether it can be read and
 * is no larger than SOURCE_BESIDE_MAX; what is in it. */
int source_has_beside(const char *scenario, const char *name, struct errbuf *eb);
int source_read_beside(const char *scenario, const char *name, struct buf *out, struct errbuf *eb);

#endif
