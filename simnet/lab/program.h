/* One node's program, from its files to readiness. */
#ifndef SIMNET_PROGRAM_H
#define SIMNET_PROGRAM_H

#include "mesh/os/loop.h"
#include "simnet/scenario/adapter.h"

struct lab;
struct fields;
struct json_t;
/* OFF -> STARTING by program_start; STARTING -> READY when the last phase is over; STARTING, READY -> FAILED
 * when it ends or cannot go on, which fails the run; any -> OFF by program_stop with a signal that ends it. A
 * bare host is READY at once. */
enum program_state { PROGRAM_OFF, PROGRAM_STARTING, PROGRAM_READY, PROGRAM_FAILED };
enum { PROGRAM_TAIL = 12 };
struct program {
	struct lab *lab;
	int node;
	struct adapter *adapter; /* owned; NULL for a bare argv */
	enum program_state state;
	struct extra *extras; /* started beside it by `spawn: {at, argv}` */
	struct proc *proc;    /* NULL when it does not run */
	bool started_before, stopping, paused, asleep, ready_seen;
	unsigned phase;
	size_t at, word; /* in adapter->then, and in its `each` */
	struct job *job;
	uint64_t job_ms; /* when it was started */
	struct loop_timer *timer;
	struct loop_fd *port_watch;
	int port_fd;
	struct scn_param *captures; /* owned, heap strings */
	size_t n_captures;
	uint64_t start_ms, ready_ms;
	struct errbuf why;	  /* what it waits for, or why it failed */
	char *tail[PROGRAM_TAIL]; /* last lines of its output */
	size_t n_lines;
	bool followed;
	void *log; /* FILE * */
	size_t log_bytes;
};
int programs_open(struct lab *l, struct errbuf *eb); /* fields_check has been called */
void programs_close(struct lab *l);
int program_start(struct program *p, struct errbuf *eb); /* what the file says */
/* Another process in the same node, whose end is no failure. */
int program_start_extra(struct program *p, const char *const *argv, struct errbuf *eb);
void program_stop(struct program *p, int signo); /* waits for its end when the signal kills */
const char *program_dir(const struct program *p, char *buf, size_t cap);
const char *program_field(const struct program *p, const char *key); /* captured, or NULL */
void programs_advance(struct lab *l);
void program_keep_line(struct program *p, bool err,
	const char *line);		    /* in its log, as one of its last, and in the record */
void program_follow_log(struct program *p); /* each line is in the log at once, for who reads it meanwhile */
/* ---- program_extra.c, for program.c */
void program_signal_extras(const struct program *p, int signo);
void program_end_extras(struct program *p);
/* ---- program.c, for the rest of its life */
enum { PROGRAM_RETRY_MS = 40 };
const struct scn_node *program_node(const struct program *p);
struct fields program_fields(const struct program *p);
/* The first time; the run fails with it. code: ERR_REFUSED, or -ETIMEDOUT where it may be for want of time alone. */
void program_fail(struct program *p, int code, const char *text);
/* ---- program_files.c, for program.c: all anew */
int program_write_files(struct program *p, struct errbuf *eb);
/* ---- program_then.c, for program.c */
/* First value of a JSON path, or false. */
bool program_first_value(const struct json_t *root, const char *path, struct buf *out);
/* Keeps what the list names, of a line or its JSON. */
int program_capture(struct program *p, const struct fields *f, const struct scn_param *list, size_t n,
	const struct json_t *root, const char *line);
/* Number p->at of the adapter's commands: p->job runs, or it was skipped. */
int program_start_command(struct program *p, struct errbuf *eb);

#endif
