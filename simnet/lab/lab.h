/* One running scenario: its loop, engine, programs and probe streams. Private to the runner's files. */
#ifndef SIMNET_LAB_H
#define SIMNET_LAB_H

#include "mesh/os/loop.h"
#include "simnet/scenario/adapter.h"
#include "simnet/fabric/engine.h"
#include "simnet/host/proc.h"
#include "simnet/lab/meter.h"
#include "simnet/lab/probe.h"
#include "simnet/lab/program.h"
#include "simnet/lab/slowness.h"
#include "simnet/lab/record.h"
#include "simnet/report/story.h"
#include "simnet/scenario/template.h"

struct lab {
	const struct scenario *s;
	struct hosts *hosts; /* NULL until built */
	const struct engine_ops *ops;
	struct engine *engine; /* NULL until built */
	struct loop *loop;
	struct slowness *slowness; /* NULL: the machine is taken to be fast */
	struct story *story;
	const char *work_dir;	      /* private to the run; node directories are WORK/NODE */
	struct program *programs;     /* one for every node, same index */
	struct probe_stream *streams; /* list */
	struct lab_value {
		char *key, *value;
		struct lab_value *next;
	} * values;		     /* {capture.KEY} */
	struct loop_timer *deadline; /* of lab_wait */
	bool interrupted;	     /* SIGINT, SIGTERM or SIGHUP: every wait ends */
	bool over;		     /* `timeout`: every wait ends, and `failed` */
	bool failed;		     /* a program ended that should not have, or the time is over */
	struct errbuf failure;
	unsigned n_steps;	     /* begun so far, the present one included */
	const struct scn_step *step; /* that runs, or is checked; NULL before the first */
	uint64_t step_unix_ns;	     /* when it began */
	uint64_t step_began_ms;	     /* the same, monotonic */
	void (*between)(
		void *arg); /* called between two looks of a wait, where steps may be run; may be NULL */
	void *between_arg;
	struct record *record; /* owned; NULL until it has begun */
	const char *out_name;  /* what the user calls the folder of evidence; NULL = none */
	uint64_t open_unix_ns; /* the routers are probed: what was sent before is not the scenario's */
	bool captured;	       /* the capture of all links is written */
	char event[160];       /* the last kill, cut, heal, reset or spawn; empty before the first */
	bool gave_up; /* the command of the last `run` step failed by itself, maybe for want of time */
	double slow; /* the machine when what the step judged happened, which may be before it; 0 = as during the step */
	uint64_t hot_until_ms; /* until then paths are asked for at the fast rate */
};

/* How many steps are over: 0 before the first. */
size_t lab_step_number(const struct lab *l);

/* Runs the loop until done(arg), the deadline (loop_now_ms; later on a slow machine), or an interrupt; returns
 * done(arg). */
bool lab_wait(struct lab *l, bool (*done)(void *arg), void *arg, uint64_t deadline_ms);
/* The same of a deadline that was set before: later by how slow the machine was since then, too. */
struct lab_since {
	struct slowness_mark mark;
	uint64_t ms; /* loop_now_ms then */
};
struct lab_since lab_since(const struct lab *l); /* now */
bool lab_wait_since(struct lab *l, bool (*done)(void *arg), void *arg, const struct lab_since *since,
	uint64_t deadline_ms);
/* The same for so long on any machine: behind it something is tried again, and nothing is judged. */
bool lab_look(struct lab *l, bool (*done)(void *arg), void *arg, uint64_t ms);
/* The deadline of what began at `start`, later by how slow the machine was since. */
uint64_t lab_stretched_ms(
	const struct lab *l, const struct slowness_mark *mark, uint64_t start, uint64_t deadline);
/* How long what begins now may take: the more the slower the machine is. */
uint64_t lab_stretch_now(const struct lab *l, uint64_t ms);
void lab_poke(struct lab *l);		    /* something changed: waits look again */
void lab_sleep(struct lab *l, uint64_t ms); /* less when the run cannot go on */

struct proc_place lab_place(const struct lab *l, int host);
/* A command that runs to its end, waited for. out (may be NULL) gets its standard output. Its status, or
 * negative. */
int lab_run(struct lab *l, int host, const char *const *argv, uint64_t timeout_ms, struct buf *out,
	struct errbuf *eb);

/* What the machine is short of where something failed with this code, and what to do; NULL: it is not for that. Who is tested
 * has nothing to do with it. */
const char *lab_short_of(int code);
/* It ended by itself, with a failure, and not at once: it may have waited, for a time of its own that is not stretched on a slow
 * machine. Who ends at once has not waited, and who was killed or could not be run has not judged. */
bool lab_may_have_given_up(int status, uint64_t took_ms);

struct lab_output {
	struct buf *out, *said; /* standard output; both outputs as they came. Each may be NULL */
};
int lab_run_said(struct lab *l, int host, const char *const *argv, uint64_t timeout_ms,
	const struct lab_output *to, struct errbuf *eb);

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
/* For a sentence: the text as it is where it has no value. Returns buf. */
const char *fields_words(const struct fields *f, const char *text, char *buf, size_t cap);
/* Of a file that the node's adapter writes: always {dir}/NAME. */
int fields_file_path(const struct fields *f, const char *text, struct buf *out, struct errbuf *eb);
/* Into heap memory; free with fields_argv_free. 0, TEMPLATE_WAIT or negative. */
int fields_argv(const struct fields *f, const char *const *argv, char ***out, struct errbuf *eb);
void fields_argv_free(char **argv);
/* Adapters found, parameters known, templates meaningful. programs[].adapter is set. */
int fields_check(struct lab *l, struct scn_errors *all, struct errbuf *eb);

/* ---- lookup.c: what a ping to somebody goes to */
struct target {
	enum probe_kind kind;
	struct endpoint at;
	bool by_word;  /* no probes: only the program's word about its path */
	bool underlay; /* a node's own address, not one of its mesh */
};
/* How `from` reaches `to`: a node, an address, a name, or a {template}. Names are asked for in from's own
 * host until deadline_ms. */
int target_find(
	struct lab *l, int from, const char *to, uint64_t deadline_ms, struct target *out, struct errbuf *eb);
/* The same from the file alone: by_word and underlay are right, the rest is not filled. */
struct target target_plan(const struct lab *l, int from, const char *to);

/* ---- stream.c: probes in the background, and the path they take */
struct stream_event;
enum { STREAM_WORDS = 256 };
struct probe_stream {
	struct lab *lab;
	struct probe_stream *next;
	int from, to;		     /* to -1: an address or name outside */
	const char *to_text;	     /* as the file says it */
	char to_words[STREAM_WORDS]; /* what that meant when it was aimed */
	bool underlay;
	struct probe *probe; /* NULL: only the program's word is heard */
	struct loop_timer *timer, *ask;
	uint64_t due_ms; /* of the next probe; 0 = at once */
	struct meter meter;
	struct stream_event *events; /* ended, and not yet told */
	uint16_t id;
	struct job *query;
	uint64_t asking_ms;  /* when the question that runs, or ran last, was asked */
	uint64_t path_ms;    /* the path was so at this time */
	enum scn_path path;  /* as last seen; PATH_ANY before the first answer */
	unsigned paths_seen; /* bit 1 << path for every answer since cleared */
	char detail[96];     /* "203.0.113.7:41641", "eu" */
};
struct probe_stream *stream_find(const struct lab *l, const char *from, const char *to); /* NULL: none runs */
struct probe_stream *stream_open(
	struct lab *l, const char *from, const char *to, const struct target *t, struct errbuf *eb);
/* Where it is aimed does not mean what it did: the name or address behind {templates} is another now. */
bool stream_is_stale(const struct probe_stream *s);
int stream_aim(struct probe_stream *s, const struct target *t, struct errbuf *eb);
void stream_ask(struct probe_stream *s);   /* for its path, now */
void stream_pause(struct probe_stream *s); /* sends no more */
void stream_close(struct probe_stream *s);
/* ", and …": what the machines on the way say of lost probes; "" = nothing. */
const char *stream_trouble(const struct probe_stream *s, char *buf, size_t cap);
void streams_close(struct lab *l);
/* Those that go to the node's own address go to the one that it has after the first n_steps. */
int streams_follow(struct lab *l, int node, size_t n_steps, struct errbuf *eb);

/* ---- events.c: what an event costs */
void events_begin(struct lab *l, const char *kind, const char *text); /* and is told */
void events_tell(struct lab *l);				      /* the cost of those that are settled */
void events_settle(struct lab *l); /* the last one ends: waits until every cost is known and told */
void events_forget(struct probe_stream *s);

/* ---- steps.c */
/* 0, or negative with a sentence. */
int step_run(struct lab *l, const struct scn_step *st, struct errbuf *eb);
/* lookup.c */
int lookup_resolve(
	struct lab *l, const struct scn_step *st, const char *name, const char *want, struct errbuf *eb);
/* None of the nameservers in its /etc/resolv.conf is on a network that it has a route to; *server is the first. */
bool lookup_cut_off(struct lab *l, int node, struct addr *server);
/* evidence.c: 0, or the errno of who sends from there to that address. */
int lab_has_no_way(struct lab *l, int from, const struct addr *to);

#endif
