/* What a program started as root does without, once it is known which rights it needs. */
#ifndef RW_OS_PRIVILEGE_H
#define RW_OS_PRIVILEGE_H

#include "mesh/base/err.h"
#include <stddef.h>

/* No core dumps, and no debugger of the same user reads the memory: it holds keys. Not under LeakSanitizer,
 * which is one. */
void privilege_hide_memory(void);

/* Keeps of this process's capabilities (CAP_ numbers) those in keep[n], for good: exec brings none back, and
 * files with set-user-ID gain nothing. places: files and folders that the program works with (NULL and "":
 * not set); where one of them belongs to somebody else, the right to do so stays too. Without root there is less
 * to lose, and that is no error. */
int privilege_drop(const int *keep, size_t n, const char *const *places, size_t n_places, struct errbuf *eb);

#endif
