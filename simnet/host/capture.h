/* Ring capture of links: one process reads all of them through one packet socket and keeps the newest packets
 * of each in memory, cut to their headers. It dies with its parent. */
#ifndef SIMNET_CAPTURE_H
#define SIMNET_CAPTURE_H

#include "mesh/base/err.h"
#include <stddef.h>
#include <stdint.h>

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
/* For who looks on: the packets since the last call, at most cap, in the order they were seen; the count. The first call
 * begins it, and finds none. What is not taken in time is not told, and `missed` of the next one says how many those were. */
enum { CAPTURE_SNAP = 256 };
struct capture_glimpse {
	uint64_t at_ns; /* CLOCK_REALTIME */
	char link[64];
	uint32_t wire_len, missed;
	uint16_t len; /* of data */
	uint8_t data[CAPTURE_SNAP];
};
size_t capture_glimpses(struct capture *c, struct capture_glimpse *out, size_t cap);
void capture_close(struct capture *c);

#endif
