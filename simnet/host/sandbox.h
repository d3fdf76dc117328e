/* Privilege and lifetime: re-executes simnet's work as pid 1 of fresh user (when not root), pid, mount, net,
 * uts and ipc namespaces, with PR_SET_PDEATHSIG, so that nothing outlives a `kill -9` of any process of ours.
 * kernel.md 1. */
#ifndef SIMNET_SANDBOX_H
#define SIMNET_SANDBOX_H

#include "mesh/base/err.h"
#include <stdbool.h>

/* Forks; the child runs body(arg) inside the sandbox and its return value becomes the exit status (0..125).
 * The parent forwards INT, TERM and HUP, waits, and returns that status; -EINTR when such a signal came too
 * early for the body, ERR_CLOSED when it was killed otherwise; or another negative code when the machine
 * cannot do it, with a sentence that names the missing thing and the fix. Output fds are inherited. */
int sandbox_run(int (*body)(void *arg), void *arg, struct errbuf *eb);

#endif
