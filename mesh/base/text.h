/* Small text parsing shared by programs: numbers, durations, edit distance for suggestions, option rows. */
#ifndef RW_BASE_TEXT_H
#define RW_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool text_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out); /* decimal, whole string */
/* "500ms" "5s" "1m30s" "2h" "7d" "2w" "1y" (365 days); a bare number is refused, and what is so long that it cannot be added
 * to the time of day. */
#define TEXT_DURATION_MAX_MS ((uint64_t)INT64_MAX / 2)
bool text_duration_ms(const char *s, uint64_t *out_ms);
/* "1 minute", "5 minutes": a count with its unit, which is a word in the singular; returns buf. */
enum { TEXT_COUNT = 40 };
char *text_count(uint64_t n, const char *unit, char buf[static TEXT_COUNT]);
/* "59 seconds", "1 minute", "23 hours", "2 days": how long it is, in the largest of these units that it has one of, rounded
 * down. */
char *text_span(uint64_t ms, char buf[static TEXT_COUNT]);
/* RFC 3339 to Unix milliseconds and back (UTC, milliseconds only when not zero); buf[40]. Readers know
 * the years 1 to 9999: what is outside is told as the last moment of those, or as the second. */
bool text_time_ms(const char *s, int64_t *out_ms);
char *text_time_format(int64_t unix_ms, char *buf);
/* The only one of names (NULL-terminated) that begins with word, else the nearest within a third of its length, or NULL: "did
 * you mean". */
const char *text_nearest(const char *word, const char *const *names);
/* "a.tar" and 2: "a (2).tar". The part before the dot is cut, at a character, when it does not fit. */
void text_numbered(const char *name, unsigned number, char *out, size_t cap);
/* Lower-cased ASCII copy into out[cap]; false when it does not fit. */
bool text_lower(const char *s, char *out, size_t cap);

/* Strangers' words made fit for a terminal, a table and a log, in place: controls of both sets (C0, DEL, C1),
 * what turns the direction of writing, and bytes that are no UTF-8 become '?'. Line ends and tabs are
 * controls too. */
void text_clean(char *s);
/* Whether text_clean would not let this code point stand. */
bool text_is_harmful(uint32_t code_point);
/* Length of the UTF-8 sequence at s, of which `left` bytes are there, and its code point; 0: it is none. */
size_t text_utf8(const uint8_t *s, size_t left, uint32_t *out);
/* How many characters (code points) of UTF-8. */
size_t text_width(const char *s);

/* Command-line options as rows: help, man page and parsing come from one table. Go-style: one dash or two,
 * "--name=v" or "--name v", "-n2" of a letter that takes a number, booleans "--name" or "--name=false"; an option given twice is an error. */
/* OPT_GIVEN_BOOL tells "not given" from both values: an int, 0 = not given, 1 = false, 2 = true. */
enum opt_kind { OPT_STRING, OPT_BOOL, OPT_U64, OPT_DURATION_MS, OPT_GIVEN_BOOL };
struct opt_row {
	const char *name;  /* without dashes; NULL ends the table */
	const char *alias; /* second spelling or NULL */
	enum opt_kind kind;
	size_t at;	 /* offset in the options struct: const char *, bool, uint64_t, uint64_t, int */
	const char *arg; /* name of the value in help, NULL for booleans */
	const char *help;
};
struct errbuf;
/* Parses options in argv[1..argc) into *out; stops at "--" or, when `stop_at_word`, at the first word.
 * Words are collected to words[0..*n_words) (room for argc). 0 or an error that names the option and the
 * nearest one. */
int opt_parse(const struct opt_row *rows, int argc, char **argv, bool stop_at_word, void *out,
	const char **words, int *n_words, struct errbuf *eb);
/* Whether a command line that opt_parse refuses has this flag on: an error that it ends with may come in the form it asks for. */
bool opt_flag_given(const char *name, int argc, char **argv);

#endif
