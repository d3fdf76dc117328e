/* One table per message, both ways: rows say which JSON member is which field, codecs how it is read and
 * written. Reading is tolerant as tailscale-protocol.md 1.10 says: names in any case, unknown ones ignored,
 * null = absent. Beside mesh/proto the server uses its caps, and the writers for long lists. */
#ifndef RW_PROTO_JSON_H
#define RW_PROTO_JSON_H

#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/proto/control_problem.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_LIST_MAX = 65536 };
/* A tree costs far more memory than its text: [{},{},...] must not be a way to fill the machine. */
enum { JSON_STRING_MAX = 64 * 1024 };
struct json_caps {
	size_t bytes, containers, depth, string; /* string: bytes of the longest, as it is written */
};
extern const struct json_caps json_of_stranger, json_of_admin, json_of_own_daemon;

/* Where a reader stands, innermost first: only walked when something is wrong. */
struct json_at {
	const struct json_at *up;
	const char *name; /* NULL: an array element, see index */
	size_t index;
	const json_t *of;
	bool delta; /* a JSON_DELTA row, or an element right under it */
};
/* A reader with gaps goes item by item: what it cannot read (a member, an element of a list) is left out and
 * named here, and the rest stands. One without (NULL) refuses the whole text. */
struct json_gaps {
	struct ctl_problem v[CTL_PROBLEMS_MAX];
	size_t n, more; /* named; left out beyond those */
	bool delta;	/* a JSON_DELTA row is not whole */
};
struct json_in {
	struct arena *arena;
	const struct json_at *at;
	struct errbuf *eb;
	struct json_gaps *gaps;
};

enum {
	JSON_OMIT = 1,	/* not written when it holds what init gave it */
	JSON_MUST = 2,	/* without it the object means something else: it is left out as a whole */
	JSON_DELTA = 4, /* what is left out here may be what takes something away: see json_gaps */
};
struct json_out { /* text straight into a buf; failure sticks, json_write looks once */
	struct buf *to;
	bool bad;
};
struct json_row {
	const char *name;
	const struct json_codec *codec;
	size_t at; /* offset of the field */
	unsigned flags;
	size_t has;	 /* offset of a bool that says "present" (never the first field); 0 = none */
	const void *arg; /* struct json_shape of the parts, or the prefix of a key */
};
struct json_codec {
	void (*init)(void *field, const struct json_row *row); /* NULL: zero bytes are right */
	bool (*read)(struct json_in *in, const json_t *v, void *field, const struct json_row *row);
	void (*write)(struct json_out *out, const void *field, const struct json_row *row);
	bool (*empty)(const void *field); /* for JSON_OMIT */
};
struct json_shape {
	const struct json_row *rows; /* ended by a NULL name */
	size_t size;
	bool (*finish)(struct json_in *in, void *obj); /* after reading; may be NULL */
};

/* An object whose members are elements of a list: a pointer followed by its size_t count. */
struct json_map {
	size_t size;
	bool null_too; /* null members are elements as well, not left out */
	bool (*read)(struct json_in *in, const char *key, const json_t *v,
		void *element);						       /* element is all zero */
	void (*write)(struct json_out *out, const void *element, bool *first); /* name and value */
};

extern const struct json_codec json_str, json_str_or_null, json_bool, json_opt, json_i64, json_i32, json_u16,
	json_u64, json_f64, json_time, json_key, json_raw, json_raw_list, json_strings, json_numbers,
	json_prefixes, json_endpoint_list, json_addr_list, json_endpoints,
	json_until,  /* a time; one that is left out has passed */
	json_ended,  /* a bool; one that is left out is true */
	json_inside, /* a struct of arg's shape that is a field; at 0 = the same struct, in a nested object */
	json_pointer,  /* arg's shape, allocated; NULL = absent */
	json_list,     /* arg's shape: a pointer followed by its size_t count */
	json_map_list; /* arg: struct json_map */

/* --- reading --- */
/* Parses text with caps; NULL and a sentence in eb (may be NULL). json_decref it. */
json_t *json_open(const char *text, size_t len, const struct json_caps *caps, struct errbuf *eb);
/* In place: numbers too large become null, characters that are none U+FFFD or '?'. text[len] is 0. Whether
 * anything was changed. */
bool json_mend(char *text, size_t len);
/* Case-insensitive; NULL when absent. */
json_t *json_member(const json_t *obj, const char *name);
/* ERR_MALFORMED with the path; returns false. */
bool json_fail(struct json_in *in, const char *want);
/* After json_fail, by who can go on without the item: names it in gaps. false: nothing may be left out here.
 */
bool json_leave_out(struct json_in *in);
void json_init(const struct json_shape *shape, void *out);
/* out was json_init-ed. */
bool json_read_object(struct json_in *in, const json_t *v, const struct json_shape *shape, void *out);
/* Whole text to *out, untouched on failure. 0 or a code. */
int json_read(struct arena *a, const char *text, size_t len, const struct json_shape *shape, void *out,
	struct errbuf *eb);
/* The same for what ropewalkd tells its own clients: a network may be large. */
int json_read_own(struct arena *a, const char *text, size_t len, const struct json_shape *shape, void *out,
	struct errbuf *eb);
/* json_read item by item: only a text that is no object at all is refused. */
int json_read_items(struct arena *a, const char *text, size_t len, const struct json_shape *shape, void *out,
	struct json_gaps *gaps, struct errbuf *eb);
bool json_text_i64(const char *text, int64_t *out); /* decimal keys of maps */

/* --- writing --- */
/* Appends; nothing when memory is short. */
bool json_write(struct buf *out, const struct json_shape *shape, const void *obj);
void json_put(struct json_out *out, const char *text); /* verbatim */
void json_put_bytes(struct json_out *out, const char *text, size_t len);
void json_put_string(struct json_out *out, const char *text);
void json_put_i64(struct json_out *out, int64_t v);
void json_put_name(struct json_out *out, const char *name, bool *first); /* comma, name and colon */
void json_put_rows(struct json_out *out, const struct json_shape *shape, const void *obj, bool *first);
void json_put_object(struct json_out *out, const struct json_shape *shape, const void *obj);

#endif
