/* What happened, as records (JSON lines); the terminal text, JUnit and TAP are views of them. */
#ifndef SIMNET_STORY_H
#define SIMNET_STORY_H

#include "mesh/base/buf.h"
#include "simnet/scenario/scenario.h"
#include <stdio.h>

enum story_view { STORY_TEXT, STORY_JSON, STORY_QUIET };
struct story {
	enum story_view view;
	FILE *out;     /* the view, as it happens */
	FILE *records; /* JSON lines for the views made afterwards; may be NULL */
	bool whole;    /* records gets everything, as copy does: not only what is told */
	FILE *copy;    /* run.jsonl of --out; may be NULL */
	/* Each record as it is written, a line; may be NULL. For who looks on. */
	void (*heard)(void *listener, const char *line);
	void *listener;
	uint64_t t0_ms, (*now_ms)(void);
	const char *scenario, *file, *variant;
	bool colour;
	int lost; /* errno of the first record that could not be written; 0 = none */
};

/* One record {"t":seconds,"scenario":…,"kind":kind,"mark":…}: pairs of key and text until NULL; and its sentence for
 * people. What is silent is in the record of the run alone, and has no mark. docs/simnet/runs.md lists the kinds. */
enum story_mark { STORY_PLAIN, STORY_GOOD, STORY_BAD, STORY_EVENT, STORY_NOTE, STORY_SILENT };
struct story_item {
	const char *kind;
	enum story_mark mark;
	struct scn_at at;		   /* of the step; 0 = none */
	const char *text;		   /* may be NULL where it is silent */
	uint64_t at_ns;			   /* monotonic; 0 = now */
	const char *keys[10], *values[10]; /* extra members; those of story.c's list are numbers */
};
void story_tell(struct story *st, const struct story_item *item);
/* Appends the record as a line, and tells nobody. false: memory. */
bool story_line(const struct story *st, const struct story_item *item, struct buf *out);
/* The common case. */
void story_say(struct story *st, const char *kind, enum story_mark mark, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Views made from the records of a whole run. records: JSON lines. */
enum report_kind {
	REPORT_JUNIT,
	REPORT_TAP,
	REPORT_GITHUB,
	REPORT_SUMMARY,
	REPORT_NOTES /* what was skipped, a line for each reason; what was slow at first; what is inconclusive */
};
int report_write(enum report_kind kind, const char *records, size_t len, FILE *out, struct errbuf *eb);

#endif
