/* Files that came from peers, in the folder `files` of the state folder (0700, files 0600): those that are whole, under
 * their names, and in `files/partial/PEER/` those on their way, which a peer may go on with for an hour. The disk is the
 * limit, less a part that is kept free; so many files and no more. */
#ifndef RW_NODE_SERVE_INBOX_H
#define RW_NODE_SERVE_INBOX_H

#include "mesh/base/err.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { INBOX_NAME = 256, INBOX_FILES_MAX = 10000, INBOX_PARTIALS_MAX = 64 /* of one peer */ };

struct inbox;
struct inbox_file {
	char name[INBOX_NAME];
	uint64_t size;
};
struct inbox *inbox_open(const char *state_dir, struct errbuf *eb);
void inbox_close(struct inbox *i); /* NULL is fine */

/* What waits, by name, as it is known without a look at the disk. Any thread; each() calls nothing of inbox.h. */
void inbox_files(struct inbox *i, void (*each)(void *arg, const struct inbox_file *file), void *arg);
size_t inbox_count(struct inbox *i);

/* The disk, for any thread. 0 or a descriptor, or a negative code with a sentence. Names are fit (sharing.h). */
/* need: bytes that are to come, 0: unknown. */
int inbox_room(const struct inbox *i, uint64_t need, struct errbuf *eb);
/* The file on its way, cut to `at` bytes (-ERANGE: it has fewer) and positioned there. */
int inbox_partial_write(
	const struct inbox *i, int64_t peer, const char *name, uint64_t at, struct errbuf *eb);
int inbox_partial_read(
	const struct inbox *i, int64_t peer, const char *name); /* -errno, without a sentence */
/* Names of a peer's, each told once. */
void inbox_partials(
	const struct inbox *i, int64_t peer, void (*each)(void *arg, const char *name), void *arg);
/* It is whole: out gets the name that it waits under, another than its own when a file of that name waits; one with the
 * same bytes is the same file (*fresh false). */
int inbox_finish(struct inbox *i, int64_t peer, const char *name, struct inbox_file *out, bool *fresh,
	struct errbuf *eb);
int inbox_read(struct inbox *i, const char *name, uint64_t *size, struct errbuf *eb);
int inbox_remove(struct inbox *i, const char *name, struct errbuf *eb);
/* Files on their way that nobody wrote to for an hour leave. */
void inbox_sweep(const struct inbox *i, int64_t unix_s);

#endif
