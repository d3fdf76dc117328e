/* A YAML document as a tree with places. What a word means is for the rows of schema.h, never for the text, so
 * `nat: no` and `ip: 1e3` cannot surprise. Anchors and aliases work; tags and merge keys are refused. */
#ifndef SIMNET_YAML_H
#define SIMNET_YAML_H

#include "mesh/base/arena.h"
#include "simnet/scenario/scenario_error.h"
#include <stdbool.h>

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_pair {
	struct yaml_value *key, *value;
};
struct yaml_value {
	enum yaml_type type;
	struct scn_at at;
	bool quoted;	  /* scalar in quotes or a block: never "nothing" */
	unsigned visited; /* the last walk over the whole tree that was here: aliases make it a graph */
	const char *text; /* YAML_SCALAR */
	size_t n;
	struct yaml_value **items; /* YAML_LIST */
	struct yaml_pair *pairs;   /* YAML_MAP */
};

struct yaml_files { /* where other files come from */
	/* 0, or negative with a sentence. */
	int (*read)(void *owner, const char *path, struct buf *out, struct errbuf *eb);
	void *owner;
};

/* Shared by everything that reads one file. All results live in the arena. */
struct yaml_reader {
	const char *file;
	const char *part; /* the part of it that is being parsed; NULL = the file itself */
	struct arena *arena;
	struct errbuf *eb;		/* the first error */
	struct scn_errors *all;		/* every one, a line each; may be NULL */
	const struct yaml_files *files; /* NULL = none can be read */
	unsigned walk;			/* number of the present walk, from 1 */
	unsigned n_errors;
};

/* One document; 0 or ERR_MALFORMED with "file:line:column: what". */
int yaml_parse(struct yaml_reader *y, const char *text, size_t len, struct yaml_value **out);

/* "file:line:column: <sentence>" is remembered; returns ERR_MALFORMED. A reader of several things goes on
 * with the next one and returns the first code. */
int yaml_error(struct yaml_reader *y, struct scn_at at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with "; did you mean 'X'?" when one of names (NULL-terminated) is near to word. */
int yaml_error_near(struct yaml_reader *y, struct scn_at at, const char *word, const char *const *names,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Appends to a map; 0 or ERR_MALFORMED for a key that is there. And to a list. */
int yaml_add(struct yaml_reader *y, struct yaml_value *map, const struct yaml_pair *pair);
int yaml_append(struct yaml_reader *y, struct yaml_value *list, struct yaml_value *item);
/* A deep copy, without aliases; NULL with an error when the file grows too large. *n_values counts what has been
 * copied, in all. */
struct yaml_value *yaml_copy(struct yaml_reader *y, const struct yaml_value *v, size_t *n_values);
int yaml_no_memory(struct yaml_reader *y);

const char *yaml_type_name(const struct yaml_value *v);
struct yaml_value *yaml_get(const struct yaml_value *map, const char *key); /* NULL when absent */

#endif
