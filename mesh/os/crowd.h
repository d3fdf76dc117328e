/* How many want the processors at this moment: what somebody waits for comes so much later. */
#ifndef RW_CROWD_H
#define RW_CROWD_H

/* Runnable tasks for each processor, from /proc/loadavg; at least 1, and 1 where that cannot be read. The file that RW_IDLE_TASKS
 * of the environment names has the number of those in the idle class (chrt -i): they leave a processor to whoever wants it, and
 * are not counted. */
double crowd_now(void);

#endif
