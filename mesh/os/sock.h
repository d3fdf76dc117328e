/* Non-blocking sockets, all CLOEXEC. Return an fd or a negative code with the sentence in eb. */
#ifndef RW_OS_SOCK_H
#define RW_OS_SOCK_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include <sys/types.h>

/* As many descriptors as the machine lets this process have; returns how many that is. For main(). */
size_t sock_limit_raise(void);
size_t sock_limit(void);
/* Unspecified v6 address = dual stack where the machine has v6. port 0: the kernel chooses. */
int sock_udp(const struct endpoint *bind_to, struct errbuf *eb);
/* Speaks with `to` alone, outside of the mesh: the kernel drops what comes from elsewhere. from: an address of this
 * machine; NULL: the kernel chooses. */
int sock_udp_connect(const struct endpoint *to, const struct addr *from, struct errbuf *eb);
/* Any address of one family, for what is said to all hosts: other programs may have the port as well. */
int sock_udp_shared(bool six, uint16_t port, struct errbuf *eb);
int sock_tcp_listen(const struct endpoint *bind_to, struct errbuf *eb);
int sock_tcp_connect(
	const struct endpoint *to, struct errbuf *eb); /* in progress: wait for writable, then sock_error */
/* hook (may be NULL) sees the socket before connect: marks, binding to an interface. */
int sock_tcp_connect_hook(
	const struct endpoint *to, void (*hook)(void *arg, int fd), void *arg, struct errbuf *eb);
/* A TCP connection whose other end is gone without a word ends: unacknowledged for timeout_ms, or idle for
 * idle_s and then silent to probes. */
void sock_tcp_liveness(int fd, int idle_s, int timeout_ms);
/* For how many ms the other end has confirmed nothing, though the same bytes were sent three times; -1: not
 * so. */
int sock_tcp_silence(int fd);
/* How many ms pass until the kernel has sent the same bytes five times without an answer, from the round trips
 * that it measured: on a slow way seconds of silence mean one loss. At least and at most these; the least also
 * where nothing is known. */
int sock_tcp_patience(int fd, int least_ms, int most_ms);
/* What the kernel takes beyond what is under way to the other end, in bytes; more and the socket is full. */
void sock_tcp_unsent_max(int fd, int bytes);
uint64_t sock_acked(int fd); /* bytes that the other end has acknowledged; 0 when it is no TCP socket */
/* From now on only what arrives on this interface reaches the socket, listening TCP too; "lo" is what this
 * machine says to itself, whichever address it asks. Not SO_BINDTODEVICE, which also says where answers
 * leave: an address of one interface has no way out by another. 0 or -errno. */
int sock_arrive_on(int fd, const char *ifname);
/* What this socket sends goes where it went without a mesh: the rules of its networks and exits pass it over.
 * The mark is the one that official clients use, so that firewalls which know it serve both. */
enum { SOCK_MARK_OUTSIDE = 0x80000, SOCK_MARK_MASK = 0xff0000 };
void sock_mark_outside(int fd);
/* Before connect: no packet of this TCP connection is larger than 1120 bytes over IPv4, 1140 over IPv6, either way. A link
 * that swallows larger ones and says nothing would stop it for ever, and neither end could tell why. */
void sock_tcp_small(int fd);
/* sock_mark_outside and sock_tcp_small, for sock_tcp_connect_hook and who hands hooks on. */
void sock_mark_hook(void *arg, int fd);
/* Another: all goes by that interface, and comes by it. ifname: a char *. */
void sock_device_hook(void *ifname, int fd);
int sock_accept(int fd, struct endpoint *from); /* -errno; from may be NULL */
int sock_error(int fd);				/* 0 or the -errno pending on the socket */
int sock_local(int fd, struct endpoint *out);
/* The address of this machine that packets to there have, as the kernel would send them now; none is sent. false: there
 * is no way there. */
bool sock_source(const struct addr *to, struct addr *out);
/* mode: permission bits of the socket file. A stale socket of this user's, which nobody listens on, is
 * replaced; a live one is -EADDRINUSE; anything else in its place is left alone: -EEXIST. */
int sock_unix_listen(const char *path, mode_t mode, struct errbuf *eb);
/* Removes the file of a socket of ours at the end; anything else there stays. */
void sock_unix_unlink(const char *path);
int sock_unix_connect(const char *path, struct errbuf *eb);
/* Credentials of the process at the other end of a unix socket. */
struct sock_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
int sock_unix_peer(int fd, struct sock_peer *out);

#endif
