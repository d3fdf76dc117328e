/* The files that a configuration of others includes (target.h): read once each, to a depth, a number and a size. What
 * includes itself is refused, with the line that does. */
#ifndef RW_RESOLVER_ALONE_INCLUDES_H
#define RW_RESOLVER_ALONE_INCLUDES_H

#include "mesh/base/err.h"
#include "resolver/convert/target.h"
#include <sys/types.h>

enum { INCLUDES_DEPTH = 16, INCLUDES_FILES = 1024, INCLUDES_BYTES = 64 << 20 };
struct includes { /* all zero at first; many kB */
	struct includes_file {
		dev_t dev;
		ino_t ino;
	} read[INCLUDES_FILES], open[INCLUDES_DEPTH]; /* open: each includes the next */
	size_t n_read, n_open, bytes;
};
enum includes_verdict { INCLUDES_NEW, INCLUDES_READ_BEFORE, INCLUDES_REFUSED };
/* A file, named by a person or by another file; new: appended to text, and open until it is left. Refused: eb says why. */
enum includes_verdict includes_enter(
	struct includes *in, const char *path, struct buf *text, struct errbuf *eb);
void includes_leave(struct includes *in);
/* For struct target: arg is a struct includes. Relative paths are of the folder of the file that names them. */
void includes_take(void *arg, struct target *t, const struct target_include *i);

#endif
