/* All tables of a format. For the writers schema_json.c and schema_page.c. */
#ifndef SIMNET_SCHEMA_TABLES_H
#define SIMNET_SCHEMA_TABLES_H

#include "simnet/scenario/schema.h"

enum { SCHEMA_TABLES_MAX = 96 };
/* Each once, in the order in which a reader meets them, top first. The count. */
size_t schema_tables(const struct schema_table *top, const struct schema_table *out[SCHEMA_TABLES_MAX]);

#endif
