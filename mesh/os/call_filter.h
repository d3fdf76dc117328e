/* The system calls that a program may make once it runs. Whoever finds a way to run code of their own in it
 * cannot load modules, mount, trace other processes, make namespaces or sockets of kinds that the program has no
 * use for. */
#ifndef RW_OS_CALL_FILTER_H
#define RW_OS_CALL_FILTER_H

#include "mesh/base/err.h"

/* What a program does beside what all do (memory, threads, time, reading files, sockets of IP and unix). */
enum call_use {
	CALL_WRITES_FILES = 1,
	CALL_SETS_UP_NETWORK = 2, /* netlink of every family, and TUN */
	CALL_RUNS_PROGRAMS = 4,	  /* they are filtered by the same rules */
};

/* For good, for all threads there are and will be, and for every program started from here. uses: of enum
 * call_use. Needs privilege_drop before it (no new privileges). Any other call fails, in this program with EPERM
 * (ENOSYS when it is newer than libseccomp: then libc has a way around) and one line in the log for each kind of call,
 * which says what was refused and where; a program started from here ends by SIGSYS, which is what its parent hears.
 * 0; a negative code where the kernel has no filters, or this process may set none (eb says why): nothing is filtered
 * then. Source: seccomp(2). */
int call_filter_set(unsigned uses, struct errbuf *eb);

/* The same, and what came of it in the log; for main. */
void call_filter_begin(unsigned uses);

#endif
