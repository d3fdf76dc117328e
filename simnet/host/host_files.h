/* What a host sees as its file system. */
#ifndef SIMNET_HOST_FILES_H
#define SIMNET_HOST_FILES_H

#include "simnet/scenario/scenario.h"

/* In the fresh mount, uts and pid namespaces of the host `name`: its own name, /etc, /var, /tmp (the
 * machine's, written to in private), /run and /dev/shm (empty), /proc and /sys. work_dir stays visible and can be
 * written, as the folder in $SIMNET_WRITABLE; all else of the machine can be read alone. */
int host_files_mount(const struct scenario *s, const char *name, const char *work_dir, struct errbuf *eb);
/* What is mounted now can no longer be written, in this mount namespace. A negative code before Linux 5.12. */
int host_files_only_read(void);

#endif
