/* dns blocked, which lists have a name, and by which line; dns pause; what dns status says of both. */
#ifndef RW_CLI_DNS_BLOCKED_H
#define RW_CLI_DNS_BLOCKED_H

#include "mesh/cli/cli.h"

/* client: an address, or a machine of the mesh; NULL: this machine. CLI_OK: it is blocked; CLI_FAILED: it is not, or
 * that cannot be said, which c->err has. */
int dns_blocked_print(struct cli *c, const char *name, const char *client);
/* time: "10m", "off"; NULL: as long as the server's settings say. */
int dns_pause(struct cli *c, const char *time);
/* A line on what this machine blocks for the others, if it does. */
void dns_blocking_print(FILE *to, const char *json, size_t len);

#endif
