/* What a person types that is not to be seen. */
#ifndef RW_OS_PROMPT_H
#define RW_OS_PROMPT_H

#include "mesh/base/err.h"
#include <stddef.h>

/* A new password of min to max bytes into out[max + 2], which the caller wipes: a line of standard input; on a terminal it is
 * asked for, twice, and not shown. -EINVAL with a sentence. */
int prompt_password(size_t min, size_t max, char *out, struct errbuf *eb);

#endif
