/* The words of the command line that ask a resolver that runs, by its control socket. */
#ifndef RW_RESOLVER_ALONE_TELL_H
#define RW_RESOLVER_ALONE_TELL_H

#include "mesh/base/err.h"
#include "mesh/os/man.h"
#include <stdbool.h>

struct tell_options {
	const char *socket;
	const char *client; /* NULL: none is named */
	bool json, follow, below;
};
extern const struct man_verb *const tell_verbs[]; /* ended by NULL */
bool tell_is_verb(const char *word);
const struct man_verb *tell_man(const char *word); /* of all words; NULL: it is none */
/* words[0] is a verb. The exit status: 0; 1: it was refused, or nothing runs there; 2: it is not used so. What there is to
 * say is said, failures on standard error. */
int tell_run(const struct tell_options *o, const char *const *words, int n);

#endif
