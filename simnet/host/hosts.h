/* The hosts of a network, one for every node and router: each has namespaces of its own for network,
 * processes, mounts, names and IPC. Links are plugged into them by an engine (simnet/fabric/engine.h).
 *
 * The caller is the sandbox's body. All calls are synchronous and short; fds are CLOEXEC. */
#ifndef SIMNET_HOSTS_H
#define SIMNET_HOSTS_H

#include "simnet/host/netns.h"
#include "simnet/scenario/scenario.h"
#include <sys/types.h>

struct hosts; /* places: nodes by their index, then routers by theirs. A node that runs on a router is there */

/* Nodes are whole hosts; routers have a network at first, and the rest when something is started there.
 * Neither argument is copied. work_dir: of the run; a node's home is WORK/NODE. The process goes back to
 * where it was. */
int hosts_open(const struct scenario *s, const char *work_dir, struct hosts **out, struct errbuf *eb);
/* Ends every process that is left, and waits for every child of this process that ends meanwhile. NULL is
 * fine. */
void hosts_close(struct hosts *h);

int hosts_place_of_router(const struct hosts *h, int router);
int hosts_find(const struct hosts *h, const char *name); /* node or router; -1 = nobody */
const char *hosts_name(const struct hosts *h, int place);
const char *hosts_dir(const struct hosts *h, int place, char *buf, size_t cap); /* WORK/NAME */
const struct netns *hosts_net(const struct hosts *h, int place);
const struct netns *hosts_home(const struct hosts *h); /* the sandbox's own network */

/* The process that its others belong to, as seen from here; -1: nothing was started there yet. */
pid_t hosts_init(const struct hosts *h, int place);

/* Starts argv there, with the host's files and processes around it. io: its standard output and error; its
 * standard input is empty; env NULL: ours. It leads a session of its own and dies with this process. Its pid,
 * as seen from here, or a negative code. */
pid_t hosts_spawn(struct hosts *h, int place, const char *const *argv, const char *const *env,
	const int io[2], struct errbuf *eb);
/* The same as the node's `user`. */
pid_t hosts_spawn_as(struct hosts *h, int place, const char *const *argv, const char *const *env,
	const int io[2], struct errbuf *eb);
/* The signal to all that runs there, besides its init. */
int hosts_signal(struct hosts *h, int place, int signo, struct errbuf *eb);
/* Whether anything runs there, besides its init. */
bool hosts_busy(struct hosts *h, int place);
/* Writes a file as the host sees it, and the folders on its way; owner: of the file, 0 = root. */
struct hosts_file {
	const char *path;
	const void *data;
	size_t len;
	unsigned mode;
	uid_t owner;
};
int hosts_write(struct hosts *h, int place, const struct hosts_file *f, struct errbuf *eb);
/* Who `user` of a node is; both 0 without one. -ENOSYS when this machine cannot be somebody else there. */
int hosts_user(const struct hosts *h, int place, uid_t *uid, gid_t *gid, struct errbuf *eb);
/* Where the offset of its programs' wall clock is kept for them; NULL: they have the machine's. */
const char *hosts_clock_file(const struct hosts *h, int place, char *buf, size_t cap);
int hosts_set_clock(struct hosts *h, int place, int64_t off_s, struct errbuf *eb);
const struct scn_machine *hosts_machine(const struct hosts *h, int place); /* NULL: a router */
/* As fork, but the child is in the host, where the run began. */
pid_t hosts_fork(struct hosts *h, int place, struct errbuf *eb);
/* A socket made in its network (socket(2) arguments). */
int hosts_socket(struct hosts *h, int place, int domain, int type, int protocol, struct errbuf *eb);

#endif
