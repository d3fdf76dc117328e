/* Local admins, as the database has them: who may log in in a browser by a password and decide about all machines. Few:
 * found by walking. */
#ifndef RW_CONTROL_FLEET_ADMINS_H
#define RW_CONTROL_FLEET_ADMINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADMINS_MAX = 64, ADMIN_NAME = 64, ADMIN_HASH = 128 };
struct admin {
	int64_t id;
	char name[ADMIN_NAME];
	char hash[ADMIN_HASH]; /* of the password */
	int64_t created_ms;
};
struct admins {
	struct admin v[ADMINS_MAX];
	size_t n;
};
bool admins_put(struct admins *a,
	const struct admin *who); /* in the place of the one with its id; false: they are full */
void admins_remove(struct admins *a, int64_t id);
const struct admin *admins_named(const struct admins *a, const char *name); /* NULL: nobody */
const struct admin *admins_by_id(const struct admins *a, int64_t id);

#endif
