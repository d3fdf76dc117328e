/* Scenario and adapter files, from where they are kept. */
#ifndef SIMNET_SOURCE_H
#define SIMNET_SOURCE_H

#include "simnet/scenario/adapter.h"

/* scenario_parse_all of the file at path. */
int source_read_scenario(
	const char *path, size_t variant, struct scenario *out, struct scn_errors *all, struct errbuf *eb);
/* What a .yaml file says it is: adapters and parts may stand beside scenarios. What cannot be read is a scenario. */
enum source_kind { SOURCE_SCENARIO, SOURCE_ADAPTER, SOURCE_PART };
enum source_kind source_kind_of(const char *path);
/* adapter_parse_all of the file at path. */
int source_read_adapter(const char *path, struct adapter *out, struct scn_errors *all, struct errbuf *eb);
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
