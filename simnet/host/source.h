/* Scenario and adapter files, from where they are kept. */
#ifndef SIMNET_SOURCE_H
#define SIMNET_SOURCE_H

#include "simnet/scenario/adapter.h"

/* scenario_parse of the file at path. */
int source_read_scenario(const char *path, size_t variant, struct scenario *out, struct errbuf *eb);
/* adapter_parse of NAME.yaml, which is looked for in the folder of `beside` (a scenario file, may be NULL),
 * SIMNET_ADAPTERS of the environment, the source tree and the installed data. */
int source_find_adapter(const char *name, const char *beside, struct adapter *out, struct errbuf *eb);

#endif
