/* Whole-file reads and atomic writes. */
#ifndef RW_OS_FILE_H
#define RW_OS_FILE_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include <sys/types.h>

/* Appends the file to out; larger than cap is ERR_TOO_LARGE. 0 or a negative code with a sentence: then out is as it was, and
 * one that was empty holds no memory. */
int file_read(const char *path, size_t cap, struct buf *out, struct errbuf *eb);
/* Such a code is not about the file: the machine has no descriptor or memory left to read it by. */
bool file_is_shortage(int code);
/* What is wrong with the rights of a file that an admin wrote, as words to stand behind its name: every user of the machine
 * may write it or, secret, read it. NULL: nothing, or there is no such file. */
const char *file_open_to_all(const char *path, bool secret);
/* file_read, and that in the log as a warning, with what to do. */
int file_read_given(const char *path, size_t cap, bool secret, struct buf *out, struct errbuf *eb);
/* As file_read for what this program wrote for itself: followed through no link, a regular file, of this user or
 * root, that nobody else may write. Private: nor read; else it is refused (FILE_PRIVATE), or closed to others
 * with a warning in the log (FILE_HIDE). The sentence says what to do. */
enum file_own { FILE_SHOWN, FILE_HIDE, FILE_PRIVATE };
int file_read_own(const char *path, size_t cap, enum file_own how, struct buf *out, struct errbuf *eb);
/* Temporary file beside it, fsync, rename, fsync of the folder: afterwards the old or the new content is
 * there, whole. */
int file_write_atomic(const char *path, mode_t mode, const void *p, size_t len, struct errbuf *eb);
/* mkdir -p; the last part gets `mode`. */
int dir_make(const char *path, mode_t mode, struct errbuf *eb);
int dir_make_of(const char *file, mode_t mode, struct errbuf *eb); /* the folder that it is to be in */
/* Removes a tree without following links or crossing mounts. Missing is fine. */
int dir_remove(const char *path, struct errbuf *eb);
/* flock-style exclusive lock on a file it creates (0600); fd held for the life of the lock, or negative. */
int file_lock(const char *path, struct errbuf *eb);

#endif
