/* The groups that a provider says a user is in, as access rules name them: "NAME@DOMAIN", where the settings say for which
 * domain the provider speaks. Immutable, counted, shared by a user and the user's machines. */
#ifndef RW_CONTROL_FLEET_GROUPS_H
#define RW_CONTROL_FLEET_GROUPS_H

#include "mesh/base/buf.h"
#include <stdbool.h>
#include <stddef.h>

/* Of one user. A group only ever lets somebody do something, so that those beyond are missing and nothing is open. */
enum { GROUPS_MAX = 512, GROUPS_BYTES_MAX = 32 * 1024 };

struct user_groups {
	unsigned refs;
	size_t n;
	const char *v[]; /* sorted, each once; the text is behind them */
};
/* One more line with a provider's name for a group. false: the name is none that rules could write (empty, control
 * characters), there are too many, or memory is short, and text is as it was. */
bool groups_add_line(struct buf *text, const char *name);
/* lines: names, a line each; what is beyond the limits is left out. false: memory is short. *out: NULL when there are none. */
bool user_groups_new(const char *lines, const char *domain, struct user_groups **out);
struct user_groups *user_groups_get(struct user_groups *g); /* NULL is fine, here and below: no groups */
void user_groups_put(struct user_groups *g);
bool user_groups_have(const struct user_groups *g, const char *name);
bool user_groups_equal(const struct user_groups *a, const struct user_groups *b);

#endif
