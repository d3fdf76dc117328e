/* ropewalk-control: the coordination server and its command line, as main.c starts it. */
#ifndef RW_CONTROL_CONTROL_H
#define RW_CONTROL_CONTROL_H

/* Exit codes. */
enum { CONTROL_OK, CONTROL_FAILED, CONTROL_USAGE, CONTROL_NOT_RUNNING, CONTROL_CONFIG = 78 /* EX_CONFIG */ };

/* The whole program; returns the exit code. */
int control_main(int argc, char **argv);

#endif
