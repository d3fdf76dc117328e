/* Shared by the store's files: the open database, and statements being bound and read left to right. */
#ifndef RW_CONTROL_FLEET_STORE_INNER_H
#define RW_CONTROL_FLEET_STORE_INNER_H

#include "mesh/control/fleet/store.h"
#include <sqlite3.h>
#include <sys/types.h>

struct store {
	sqlite3 *db;
	int lock_fd;
	bool durable;
	dev_t device; /* the file that was opened */
	ino_t inode;
	char path[1024];
};

/* The last failure of the library, as a sentence that says what to do. */
int store_fail(struct store *s, struct errbuf *eb, const char *what);

/* Any failure sticks. */
struct stmt {
	struct store *s;
	sqlite3_stmt *st;
	int at, rc;
};
struct stmt stmt_new(struct store *s, const char *sql);
/* The next parameter. */
void stmt_int(struct stmt *q, int64_t v);
void stmt_time(struct stmt *q, int64_t ms);
void stmt_id(struct stmt *q, int64_t id); /* of a user or another thing; 0: NULL */
void stmt_text(struct stmt *q, const char *v);
void stmt_blob(struct stmt *q, const void *p, int len);
void stmt_addr(struct stmt *q, bool has, const struct addr *a);
/* One step of a statement that gives no rows; frees it. */
int stmt_finish(struct stmt *q, const char *what, struct errbuf *eb);
/* The next row; when there is none, stmt_end frees it and says whether that was the end. */
bool stmt_next(struct stmt *q);
int stmt_end(struct stmt *q, const char *what, struct errbuf *eb);
/* stmt_end where each row was taken; else it frees it, and memory was short. */
int stmt_taken(struct stmt *q, bool all, const char *what, struct errbuf *eb);
/* The next column of the row. Text is valid until the next row. */
int64_t stmt_take_int(struct stmt *q);
int64_t stmt_take_time(struct stmt *q);
const char *stmt_take_text(struct stmt *q);
void stmt_take_blob(struct stmt *q, void *out, size_t len); /* of exactly that length, else out stays */

/* store_keys.c: to the sink. */
int store_load_keys(struct store *s, const struct store_sink *sink, struct errbuf *eb);
int store_load_api_keys(struct store *s, const struct store_sink *sink, struct errbuf *eb);
/* store_people.c: the same. */
int store_load_people(struct store *s, const struct store_sink *sink, struct errbuf *eb);

#endif
