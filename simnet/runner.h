/* Runs one scenario, or holds one up, inside the sandbox. */
#ifndef SIMNET_RUNNER_H
#define SIMNET_RUNNER_H

#include "simnet/fabric/engine.h"
#include "simnet/live/live.h"
#include "simnet/report/story.h"

/* Exit codes of the program and of a sandbox child. */
enum {
	EXIT_PASS = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_HOST = 3,
	EXIT_BROKEN = 4,
	EXIT_UNSURE = 5, /* the machine was too slow to tell */
	EXIT_INTERRUPTED = 130,
	RUN_REQUIRED = 97,  /* of a sandbox child alone: EXIT_HOST, for want of a program that is required */
	RUN_TODO = 98,	    /* not run, as the file says */
	RUN_NO_PROGRAM = 99 /* of a sandbox child alone: EXIT_HOST, for want of a program */
};
enum run_skip {
	SKIP_NOTHING,
	SKIP_PROGRAMS,
	SKIP_ALL
}; /* what the machine lacks may be: no test, but no failure */
enum pcap_when { PCAP_OFF, PCAP_FAIL, PCAP_ALL };

/* When the network stays until an interrupt: never, after its start (`up`), after a step that failed, in any case. */
enum run_keep { KEEP_NEVER, KEEP_UP, KEEP_FAILED, KEEP_ALWAYS };

struct runner {
	struct scenario *scenario; /* grows by what is injected */
	const struct engine_ops *engine;
	struct story *story;
	uint64_t seed;
	enum pcap_when pcap;
	const char
		*out_dir; /* logs and captures go there; NULL = nothing is kept. A path inside the sandbox */
	const char *out_name; /* what the user calls it */
	enum run_skip skip;
	const char *required; /* programs whose want is never a skip, separated by commas; NULL = none */
	enum run_keep keep;
	bool step_by_step; /* asks before each step */
	bool again;	   /* in the place of a run that was inconclusive */
	const struct live_door
		*live;	/* a page serves there while it runs, and holds it up at its end; NULL = none */
	int control_fd; /* listening socket for `shell` and `inject`, or -1 */
};

/* Adapters and templates, without a network. 0 or ERR_MALFORMED; eb has the first error, all (may be NULL)
 * every one. */
int runner_check(const struct scenario *s, struct scn_errors *all, struct errbuf *eb);
/* In the sandbox: the exit code. */
int runner_run(struct runner *r);

/* shell.c: serving and using the terminal of a node of a lab that is up. */
struct lab;
struct shell_server;
struct shell_server *shell_serve(struct lab *l, int listen_fd);
void shell_server_free(struct shell_server *s);
/* An order is a text from `simnet inject`; NULL: none waits. Whoever takes one ends it: code is the exit code there, and
 * why, if not NULL, is printed there. */
struct shell_order;
bool shell_has_order(const struct shell_server *s); /* NULL is fine */
struct shell_order *shell_next_order(struct shell_server *s);
const char *shell_order_text(const struct shell_order *o);
int shell_order_fd(const struct shell_order *o); /* its standard output */
void shell_order_end(struct shell_order *o, int code, const char *why);
struct shell_lab {
	int pid;
	char name[80]; /* of its scenario */
};
int shell_listen(
	const char *name, struct errbuf *eb); /* abstract socket named for this process and scenario */
/* The labs of this user that are up, at most cap; returns the count. */
int shell_find(struct shell_lab *labs, int cap);
/* Runs an interactive shell (or argv) in the node; the exit code. */
int shell_run(const struct shell_lab *lab, const char *node, const char *const *argv, struct errbuf *eb);

/* Orders a step; the exit code there. */
int shell_inject(const struct shell_lab *lab, const char *step, struct errbuf *eb);
/* What a node's programs have said so far, to standard output; follow: and what they say from now on, until the lab ends. */
int shell_logs(const struct shell_lab *lab, const char *node, bool follow, struct errbuf *eb);
/* What its hosts have done so far, once; on a terminal every second, until 'q' is typed or the lab ends. */
int shell_top(const struct shell_lab *lab, struct errbuf *eb);

#endif
