/* One line on a terminal that says how far a long thing is. */
#ifndef RW_CLI_PROGRESS_H
#define RW_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
	FILE *to; /* NULL: nothing is painted */
	const char *name;
	int64_t total; /* bytes; -1: not known */
	uint64_t every_ms, begun_ms, painted_ms;
	uint64_t done;
	bool shown;
};
/* Nothing is painted before `every_ms` has passed; so what is quick leaves no line. */
void progress_begin(
	struct progress *p, FILE *to, const char *name, int64_t total, uint64_t every_ms, uint64_t now_ms);
void progress_at(struct progress *p, uint64_t done, uint64_t now_ms);
/* The last state stays, and the next output is on a line of its own. */
void progress_end(struct progress *p, uint64_t now_ms);

#endif
