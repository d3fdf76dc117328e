/* How many want the processors at this moment: what somebody waits for comes so much later. */
#ifndef RW_CROWD_H
#define RW_CROWD_H

/* Runnable tasks for each processor, from /proc/loadavg; at least 1, and 1 where that cannot be read. */
double crowd_now(void);

#endif
