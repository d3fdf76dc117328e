/* A YAML document as a tree with places, and a reader of maps by rows. Types come from the rows, never from
 * the text, so `nat: no` and `ip: 1e3` cannot surprise. Anchors and aliases work; tags and merge keys are
 * refused. */
#ifndef SIMNET_YAML_H
#define SIMNET_YAML_H

#include "simnet/scenario/scenario.h"

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_pair {
	struct yaml_value *key, *value;
};
struct yaml_value {
	enum yaml_type type;
	struct scn_at at;
	bool quoted;	  /* scalar in quotes or a block: never "nothing" */
	bool visited;	  /* set by a walk over the whole tree: aliases make it a graph */
	const char *text; /* YAML_SCALAR */
	size_t n;
	struct yaml_value **items; /* YAML_LIST */
	struct yaml_pair *pairs;   /* YAML_MAP */
};

/* Shared by everything that reads one file. All results live in the arena. */
struct yaml_reader {
	const char *file;
	struct arena *arena;
	struct errbuf *eb;	/* the first error */
	struct scn_errors *all; /* every one, a line each; may be NULL */
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

const char *yaml_type_name(const struct yaml_value *v);
struct yaml_value *yaml_get(const struct yaml_value *map, const char *key); /* NULL when absent */

enum yaml_kind {
	YAML_STRING,   /* const char * */
	YAML_BOOL,     /* bool; true or false */
	YAML_U64,      /* uint64_t */
	YAML_INT,      /* int, 0.. */
	YAML_DURATION, /* uint64_t milliseconds */
	YAML_WORD,     /* int: index in `words` */
	YAML_STRINGS,  /* const char **, NULL-terminated; count not kept */
	YAML_CUSTOM,   /* read(y, v, struct base) */
};
struct yaml_row {
	const char *key; /* NULL ends the table */
	enum yaml_kind kind;
	size_t at; /* offset in the struct read into */
	bool required;
	const char *const *words; /* YAML_WORD: NULL-terminated */
	int (*read)(struct yaml_reader *y, const struct yaml_value *v, void *base);
};
/* Reads map v by rows into base. `what` names it in messages ("router"). Absent keys leave base untouched. */
int yaml_read_map(struct yaml_reader *y, const struct yaml_value *v, const char *what,
	const struct yaml_row *rows, void *base);
int yaml_read_scalar(struct yaml_reader *y, const struct yaml_value *v, const char *key,
	const struct yaml_row *row, void *base);
int yaml_read_strings(struct yaml_reader *y, const struct yaml_value *v, const char *key, const char ***out);

#endif
