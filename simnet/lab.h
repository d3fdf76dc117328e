/* One running scenario: its loop, engine, programs and probe streams. Private to the runner's files. */
#ifndef SIMNET_LAB_H
#define SIMNET_LAB_H

#include "mesh/os/loop.h"
#include "simnet/adapter.h"
#include "simnet/engine.h"
#include "simnet/meter.h"
#include "simnet/story.h"
#include "simnet/template.h"

struct lab {
	const struct scenario *s;
	const struct engine_ops *ops;
	struct engine *engine; /* NULL until built */
	struct loop *loop;
	struct story *story;
	const char *work_dir;	  /* private to the run; node directories are WORK/NODE */
	struct program *programs; /* one for every node, same index */
	struct stream *streams;	  /* list */
	struct lab_value {
		char *key, *value;
		struct lab_value *next;
	} * values;		     /* {capture.KEY} */
	struct loop_timer *deadline; /* of lab_wait */
	bool interrupted;	     /* SIGINT, SIGTERM or SIGHUP: every wait ends */
	bool failed;		     /* a program ended that should not have */
	struct errbuf failure;
	char event[160];       /* the last kill, cut, heal, reset or spawn; empty before the first */
	uint64_t hot_until_ms; /* until then paths are asked for at the fast rate */
};

/* Runs the loop until done(arg), the deadline (loop_now_ms), or an interrupt; returns done(arg). */
bool lab_wait(struct lab *l, bool (*done)(void *arg), void *arg, uint64_t deadline_ms);
void lab_poke(struct lab *l);		    /* something changed: waits look again */
void lab_sleep(struct lab *l, uint64_t ms); /* less when the run cannot go on */

/* ---- proc.c: a process in a node's namespaces, its output by lines */
struct proc;
struct proc_ops {
	void (*line)(void *owner, bool err, const char *line); /* without the newline */
	void (*exited)(void *owner, int status);	       /* exit code, or 128 + signal; last call */
};
/* Which file a program's name means. Without a slash it is looked up in RW_BIN_DIR, beside simnet, and in
 * PATH. */
bool proc_find(const char *name, char *out, size_t cap);
struct proc *proc_start(struct lab *l, int node, const char *const *argv, const struct proc_ops *ops,
	void *owner, struct errbuf *eb);
pid_t proc_pid(const struct proc *p);
void proc_signal(struct proc *p, int signo);
void proc_free(struct proc *p); /* kills what still runs, without a call of exited; NULL is fine */

/* A command that runs to its end; done is called once, from the loop. */
struct job_result {
	int status;
	bool timed_out;
	struct buf *out;
	const char *last_err;
};
struct job;
struct job *job_start(struct lab *l, int node, const char *const *argv, uint64_t timeout_ms,
	void (*done)(void *owner, const struct job_result *r), void *owner, struct errbuf *eb);
void job_free(struct job *j); /* kills; NULL is fine; not needed after done */
/* The same, waited for. out gets standard output. Status, or negative. */
int job_run(struct lab *l, int node, const char *const *argv, uint64_t timeout_ms, struct buf *out,
	struct errbuf *eb);

/* ---- fields.c: what {templates} mean */
struct fields {
	const struct lab *lab;
	int node;	       /* whose {name} {ip} {dir} {with.KEY}; -1 = none */
	const char *to, *each; /* {to}, {each} */
	int each_node;	       /* {each.FIELD}; -1 = none */
	unsigned each_index;   /* {each.index}, from 0 */
	bool checking;	       /* lint: what is captured at run time counts as there */
};
int fields_expand(const struct fields *f, const char *text, struct buf *out, struct errbuf *eb);
/* Into heap memory; free with fields_argv_free. 0, TEMPLATE_WAIT or negative. */
int fields_argv(const struct fields *f, const char *const *argv, char ***out, struct errbuf *eb);
void fields_argv_free(char **argv);
/* Adapters found, parameters known, templates meaningful. programs[].adapter is set. */
int fields_check(struct lab *l, struct errbuf *eb);

/* ---- program.c: one node's program from its files to readiness */
enum program_state { PROGRAM_OFF, PROGRAM_STARTING, PROGRAM_READY, PROGRAM_FAILED };
enum { PROGRAM_TAIL = 12 };
struct program {
	struct lab *lab;
	int node;
	struct adapter *adapter; /* owned; NULL for a bare argv */
	enum program_state state;
	struct extra *extras; /* started beside it by `spawn: {at, argv}` */
	struct proc *proc;    /* NULL when it does not run */
	bool started_before, stopping, paused, ready_seen;
	unsigned phase;
	size_t at, word; /* in adapter->then, and in its `each` */
	struct job *job;
	struct loop_timer *timer;
	struct loop_fd *port_watch;
	int port_fd;
	struct scn_param *captures; /* owned, heap strings */
	size_t n_captures;
	uint64_t start_ms, ready_ms;
	struct errbuf why;	  /* what it waits for, or why it failed */
	char *tail[PROGRAM_TAIL]; /* last lines of its output */
	size_t n_lines;
	void *log; /* FILE * */
};
int programs_open(struct lab *l, struct errbuf *eb); /* fields_check has been called */
void programs_close(struct lab *l);
int program_start(struct program *p, struct errbuf *eb); /* what the file says */
/* Another process in the same node, whose end is no failure. */
int program_start_extra(struct program *p, const char *const *argv, struct errbuf *eb);
void program_stop(struct program *p, int signo); /* waits for its end when the signal kills */
/* Appends "filtered 3, bad_source 1", what it says to have dropped since its start; the count of reasons. */
int program_drops(struct program *p, struct buf *out);
const char *program_dir(const struct program *p, char *buf, size_t cap);
const char *program_field(const struct program *p, const char *key); /* captured, or NULL */
void programs_advance(struct lab *l);

/* ---- stream.c: background pings and the path they take */
struct stream {
	struct lab *lab;
	struct stream *next;
	int from, to; /* to -1: an address or name outside */
	const char *to_text;
	struct addr dest;
	int fd;
	struct loop_fd *watch;
	struct loop_timer *timer, *ask;
	struct meter meter;
	uint16_t id;
	struct job *query;
	uint64_t asking_ms;	/* when the question that runs, or ran last, was asked */
	uint64_t path_ms;	/* the path was so at this time */
	enum scn_path path;	/* as last seen; PATH_ANY before the first answer */
	unsigned paths_seen;	/* bit 1 << path for every answer since cleared */
	char detail[96];	/* "203.0.113.7:41641", "eu" */
	int send_errno;		/* of the last probe; 0 = it left */
	struct addr refused_by; /* who said last, since a reply, that probes do not arrive; unset = nobody */
	uint8_t refused_code;	/* of its ICMP message (RFC 792) */
};
struct stream *stream_find(const struct lab *l, const char *from, const char *to);
/* Finds or starts. dest: where to send. */
struct stream *stream_open(
	struct lab *l, const char *from, const char *to, const struct addr *dest, struct errbuf *eb);
void stream_ask(struct stream *s); /* for its path, now */
void stream_close(struct stream *s);
/* ", and …": what the machines on the way say of lost probes; "" = nothing. */
const char *stream_trouble(const struct stream *s, char *buf, size_t cap);
void streams_close(struct lab *l);
void streams_mark(struct lab *l); /* an event begins: its cost is counted from here */

/* ---- steps.c */
/* 0, or negative with a sentence. */
int step_run(struct lab *l, const struct scn_step *st, struct errbuf *eb);
void step_report_cost(struct lab *l);
/* lookup.c: the address `from` uses for `to` (its own resolver for names), tried until deadline_ms. */
int lookup_address(
	struct lab *l, int from, const char *to, uint64_t deadline_ms, struct addr *out, struct errbuf *eb);
int lookup_resolve(
	struct lab *l, const struct scn_step *st, const char *name, const char *want, struct errbuf *eb);

#endif
