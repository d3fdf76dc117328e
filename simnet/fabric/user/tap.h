/* TAP devices: an interface whose other side is a descriptor. */
#ifndef SIMNET_USER_TAP_H
#define SIMNET_USER_TAP_H

#include "mesh/base/err.h"
#include "simnet/fabric/user/eth.h"

/* So many frames wait for who reads the descriptor; the kernel's own choice, 500, is less than what a host sends while a busy
 * machine runs others, and what is lost there is lost by chance. */
enum { TAP_QUEUE = 8192 };

/* An interface called name in the network namespace where the process is, down; mac NULL: the kernel chooses. The
 * descriptor (non-blocking, CLOEXEC), or a negative code: -ENOSYS where the machine has no /dev/net/tun for us. Frames come
 * whole: segmented, with checksums, at most ETH_FRAME_MAX. */
int tap_open(const char *name, const struct mac *mac, struct errbuf *eb);

/* Whether the interface has a carrier; it has when it is made. 0 or a negative code. */
int tap_carrier(int fd, bool up);

#endif
