/* A process that does not outlive the one that made it, however that ends. */
#ifndef RW_OS_TIED_H
#define RW_OS_TIED_H

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

/* As fork. The child is killed when the thread that called this ends; it keeps that through execve of what is not setuid.
 * Not for a child in another pid namespace, which cannot see its parent. */
static inline pid_t fork_tied(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		_exit(1);
	return pid;
}

#endif
