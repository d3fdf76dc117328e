/* status --explain: how one machine is reached, why, and the one thing that would change it. */
#ifndef RW_CLI_EXPLAIN_H
#define RW_CLI_EXPLAIN_H

#include "mesh/cli/cli.h"
#include "mesh/proto/localapi.h"

/* The sentence that says what would make the way direct; "" when it is, or nobody can tell yet. In buf, or a constant.
 * net NULL: not measured. */
const char *explain_help(const struct api_peer *p, const struct api_netcheck *net, char *buf, size_t cap);
int explain_run(struct cli *c, const char *name); /* enum cli_exit */

#endif
