/* The files that a person names, and those that they include (target.h): read to a depth, a number in all, and a size of
 * each file that is named with what it includes. What includes itself is refused, with the line that does. */
#ifndef RW_RESOLVER_ALONE_INCLUDES_H
#define RW_RESOLVER_ALONE_INCLUDES_H

#include "mesh/base/err.h"
#include "resolver/convert/target.h"
#include <stdbool.h>
#include <sys/types.h>

enum { INCLUDES_DEPTH = 16, INCLUDES_FILES = 1024, INCLUDES_BYTES = 64 << 20 };
struct includes { /* all zero at first; many kB */
	struct includes_file {
		dev_t dev;
		ino_t ino;
	} read[INCLUDES_FILES],	      /* as often as it was */
		open[INCLUDES_DEPTH]; /* each includes the next */
	size_t n_read, n_open;
	size_t bytes; /* of the file that was begun, and what it includes */
};
enum includes_verdict { INCLUDES_NEW, INCLUDES_READ_BEFORE, INCLUDES_REFUSED };
/* New: appended to text, and open until it is left. Refused: eb says why. A file that a person names while none is open: a
 * pipe or a device as well; not if it was read before. Of a database, which may be of any size and is read by who knows
 * what it is, only the first bytes. */
enum includes_verdict includes_begin(
	struct includes *in, const char *path, struct buf *text, struct errbuf *eb);
/* A file that the one opened last names; once: see target.h. */
enum includes_verdict includes_enter(
	struct includes *in, const char *path, bool once, struct buf *text, struct errbuf *eb);
void includes_leave(struct includes *in);
/* For struct target: arg is a struct includes. Relative paths are of the folder of the file that names them. */
void includes_take(void *arg, struct target *t, const struct target_include *i);

#endif
