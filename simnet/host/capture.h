/* Ring capture of links: one process reads all of them through one packet socket and keeps the newest packets
 * of each in memory, cut to their headers. It dies with its parent. */
#ifndef SIMNET_CAPTURE_H
#define SIMNET_CAPTURE_H

#include "mesh/base/err.h"
#include <stddef.h>

struct capture;
struct capture_link {
	int ifindex;
	char name[64];
};
/* In the network namespace where the process is. links are copied. */
int capture_open(const struct capture_link *links, size_t n, struct capture **out, struct errbuf *eb);
/* Writes dir/CAPTURE_FILE (pcapng): all links in order of time; what was sent before the call is in it. */
#define CAPTURE_FILE "net.pcapng"
int capture_write(struct capture *c, const char *dir, struct errbuf *eb);
void capture_close(struct capture *c);

#endif
