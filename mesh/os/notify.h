/* What systemd is told of a service: that it is ready, what it does, and again and again that it still turns
 * its loop (sd_notify(3): NOTIFY_SOCKET, WATCHDOG_USEC). Without systemd nothing is sent. */
#ifndef RW_OS_NOTIFY_H
#define RW_OS_NOTIFY_H

#include "mesh/os/loop.h"

struct notify;
/* Takes the variables out of the environment, so that no child speaks for us. NULL: nobody wants to know,
 * which every function here takes. */
struct notify *notify_open(struct loop *l);
/* The service is up; also after a reload. status is a line for `systemctl status`, or NULL. From now on the
 * watchdog is fed at half its time. */
void notify_ready(struct notify *n, const char *status);
void notify_reloading(struct notify *n);
void notify_status(struct notify *n, const char *status); /* sent when it is another than before */
void notify_close(struct notify *n);			  /* the service is ending */

#endif
