/* The format of scenarios and adapters as tables: a row for each key, with its type, range, default and a line
 * for the reference. One walk reads a map by its rows, strictly: unknown keys and wrong types are errors with
 * their place, all of a map at once. The JSON Schema that editors take (`simnet schema`) and the tables of
 * docs/simnet/scenarios.md are written from the same rows. */
#ifndef SIMNET_SCHEMA_H
#define SIMNET_SCHEMA_H

#include "simnet/scenario/yaml.h"

enum schema_kind {
	SCHEMA_STRING,	 /* const char * */
	SCHEMA_BOOL,	 /* bool; true or false */
	SCHEMA_U64,	 /* uint64_t */
	SCHEMA_INT,	 /* int, 0.. */
	SCHEMA_DURATION, /* uint64_t milliseconds, never 0 */
	SCHEMA_WORD,	 /* int: index in `words` */
	SCHEMA_STRINGS,	 /* const char **, NULL-terminated; count not kept */
	SCHEMA_KEEP,	 /* const struct yaml_value *: read later, when what it names is known */
	SCHEMA_CUSTOM,	 /* by `read` */
};
struct schema_form;
struct schema_row {
	const char *key; /* NULL ends the table */
	enum schema_kind kind;
	size_t at; /* offset in the struct read into */
	bool required;
	const char *const *words; /* SCHEMA_WORD: NULL-terminated */
	uint64_t min, max;	  /* of U64, INT; max 0 = what the type holds */
	/* SCHEMA_CUSTOM: reads v into the struct at base. Other kinds: called when v has been read, for what
	 * is wrong with it besides; may be NULL. */
	int (*read)(struct yaml_reader *y, const struct yaml_value *v, void *base);
	/* For the writers: */
	const struct schema_form *form; /* of KEEP and CUSTOM */
	const char *def;		/* what it is when absent; NULL = nothing */
	const char *doc;		/* one line */
};
struct schema_table {	   /* the keys of one map */
	const char *name;  /* in the JSON Schema's definitions, unique there */
	const char *about; /* a sentence before its table in the reference; may be NULL */
	const struct schema_row *rows;
	const char *short_key; /* what a bare word in place of the map means; NULL = not allowed */
	bool one;	       /* exactly one of the keys, and perhaps `say` */
	const char *const
		*either; /* exactly one of these, NULL-terminated; checked by who reads it. Or NULL */
};
/* What a value may be that a row reads in its own way: any of those that are set. */
struct schema_form {
	const char *const *words;	  /* one of these */
	const struct schema_table *map;	  /* a map with these keys */
	const struct schema_table *named; /* a map of such maps by name */
	const struct schema_table *list;  /* a list of such maps */
	const struct schema_table *paths; /* a map of such maps by any word */
	bool word;			  /* any word */
	bool number;			  /* a number */
	bool strings;			  /* a list of words */
	bool params;			  /* a map of words */
	bool lists;			  /* a map of lists of words */
	bool maps;			  /* a map of maps of words */
};

/* Reads map v by rows into base. `what` names it in messages ("router"). Absent keys leave base untouched. */
int schema_read_map(struct yaml_reader *y, const struct yaml_value *v, const char *what,
	const struct schema_row *rows, void *base);
int schema_read_scalar(struct yaml_reader *y, const struct yaml_value *v, const char *key,
	const struct schema_row *row, void *base);
int schema_read_strings(
	struct yaml_reader *y, const struct yaml_value *v, const char *key, const char ***out);
/* The row of key, or NULL. */
const struct schema_row *schema_find(const struct schema_row *rows, const char *key);

/* The top of each format. */
extern const struct schema_table scenario_table; /* scenario.c */
extern const struct schema_table adapter_table;	 /* adapter.c */

/* Appends a JSON Schema (draft 7) of files whose top is `top`; false when out is full. */
bool schema_write_json(const struct schema_table *top, const char *title, struct buf *out);
/* Appends the tables of the reference, Markdown, a heading of `depth` for each; false when out is full. */
bool schema_write_page(const struct schema_table *top, unsigned depth, struct buf *out);

#endif
