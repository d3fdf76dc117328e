#include "resolver/slots.h"

/* ip: of this one alone; NULL: of all. */
static unsigned idlest(const struct slots *s, const struct addr *ip)
{
	unsigned found = s->n;
	uint64_t used = 0;
	for (unsigned i = 0; i < s->n; i++) {
		struct slot_holder h = s->look(s->arg, i);
		if (!h.ip || h.owed || (ip && !addr_equal(h.ip, ip)) || (found < s->n && h.used >= used))
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
			same += addr_equal(h.ip, ip);
		else if (slot == s->n)
			slot = i;
	}
	if (same < s->each && slot < s->n)
		return slot;
	return idlest(s, same < s->each ? NULL : ip);
}
