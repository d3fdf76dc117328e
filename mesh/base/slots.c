#include "mesh/base/slots.h"

#include <string.h>

enum { NET6_LEN = 8 };

/* Elsewhere who has one address of IPv6 has its whole /64. */
static bool is_same(const struct slots *s, const struct addr *a, const struct addr *b)
{
	return s->apart || addr_is_v4(a) || addr_is_v4(b) ? addr_equal(a, b)
							  : memcmp(a->b, b->b, NET6_LEN) == 0;
}

/* ip: of this one alone; NULL: of all. */
static unsigned idlest(const struct slots *s, const struct addr *ip)
{
	unsigned found = s->n;
	uint64_t used = 0;
	for (unsigned i = 0; i < s->n; i++) {
		struct slot_holder h = s->look(s->arg, i);
		if (!h.ip || h.owed || (ip && !is_same(s, h.ip, ip)) || (found < s->n && h.used >= used))
			continue;
		found = i;
		used = h.used;
	}
	return found;
}

unsigned slots_choose(const struct slots *s, const struct addr *ip)
{
	unsigned same = 0, slot = s->n;
	for (unsigned i = 0; i < s->n; i++) {
		struct slot_holder h = s->look(s->arg, i);
		if (h.ip)
			same += is_same(s, h.ip, ip);
		else if (slot == s->n)
			slot = i;
	}
	if (same < s->each && slot < s->n)
		return slot;
	return idlest(s, same < s->each ? NULL : ip);
}
