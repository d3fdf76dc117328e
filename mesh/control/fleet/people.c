#include "mesh/control/fleet/people.h"

#include "mesh/base/blake2s.h"
#include <stdlib.h>
#include <string.h>

enum { IDENTITY = 32 };

/* The NUL between keeps "a" + "bc" from being "ab" + "c". */
static void hash_identity(const char *issuer, const char *subject, uint8_t out[static IDENTITY])
{
	blake2s_hash((struct noise_part[]) { { issuer, strlen(issuer) + 1 }, { subject, strlen(subject) } },
		2, out);
}

void people_init(struct people *p, uint64_t seed)
{
	table_init(&p->by_identity, IDENTITY, seed);
	table_init(&p->by_user, sizeof(int64_t), seed);
}

void people_fini(struct people *p)
{
	size_t at = 0;
	for (void *who; (who = table_next(&p->by_user, &at));)
		free(who);
	table_fini(&p->by_identity);
	table_fini(&p->by_user);
}

void people_remove(struct people *p, int64_t user)
{
	uint8_t identity[IDENTITY];
	struct person *who = table_remove(&p->by_user, &user);
	if (!who)
		return;
	hash_identity(who->issuer, who->subject, identity);
	table_remove(&p->by_identity, identity);
	free(who);
}

bool people_put(struct people *p, const struct person *who)
{
	uint8_t identity[IDENTITY];
	struct person *copy = malloc(sizeof(*copy));
	if (!copy)
		return false;
	*copy = *who; /* who may be the one that goes */
	copy->has_groups = who->groups && *who->groups;
	copy->groups = NULL;
	people_remove(p, copy->user);
	hash_identity(copy->issuer, copy->subject, identity);
	if (table_put(&p->by_user, &copy->user, copy)) {
		if (table_put(&p->by_identity, identity, copy))
			return true;
		table_remove(&p->by_user, &copy->user);
	}
	free(copy);
	return false;
}

const struct person *people_find(const struct people *p, const char *issuer, const char *subject)
{
	uint8_t identity[IDENTITY];
	hash_identity(issuer, subject, identity);
	return table_get(&p->by_identity, identity);
}

const struct person *people_of_user(const struct people *p, int64_t user)
{
	return table_get(&p->by_user, &user);
}
