#include "mesh/node/map_zone.h"

#include "mesh/os/work.h"
#include "resolver/zone.h"
#include "resolver/zone_end.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	STEPS_MAX = 64, /* peers and records that change in place: a fraction of a millisecond */
	FEW_NAMES = 256 /* of as many a zone is made without a thread */
};

/* While a thread has it, nothing of it is touched but what is said to be the loop's. */
struct zone_making {
	struct zone_draft draft;
	struct addr_set outside; /* a copy */
	struct netmap *map;	 /* immutable; the reference is the loop's */
	struct loop *loop;
	int err;
	bool late;		 /* the loop's: `outside` is another by now */
	struct map_zone *keeper; /* the loop's; NULL: nobody wants it any more */
};

static size_t names_of(const struct netmap *m)
{
	return m->n_peers + (m->dns ? m->dns->n_extra : 0);
}

/* ---- its making ---- */

static void make(void *arg)
{
	struct zone_making *x = arg;
	x->err = name_zone_fill(&x->draft, x->map);
	if (!x->err)
		return;
	zone_put(x->draft.zone);
	x->draft.zone = NULL;
}

static void making_free(struct zone_making *x)
{
	if (!x)
		return;
	zone_put(x->draft.zone);
	netmap_put(x->map);
	addr_set_free(&x->outside);
	free(x);
}

static struct zone_making *making_new(struct map_zone *k, struct netmap *m)
{
	struct zone_making *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->keeper = k;
	x->loop = k->loop;
	x->map = netmap_get(m);
	x->draft.zone = zone_new();
	x->draft.outside = &x->outside;
	if (x->draft.zone && addr_set_assign(&x->outside, k->outside.v, k->outside.n))
		return x;
	making_free(x);
	return NULL;
}

/* In the place of the old one. */
static void put_in_place(struct map_zone *k, struct zone_making *x)
{
	struct zone *old = k->zone;
	k->zone = x->draft.zone;
	x->draft.zone = NULL;
	if (k->core)
		resolver_zone_set(k->core, k->zone);
	zone_end(k->loop, old);
	netmap_put(k->map);
	k->map = netmap_get(x->map);
	memcpy(k->odd, x->draft.odd, sizeof(k->odd));
	k->astray = x->late;
	k->moved = true;
}

static void is_made(void *arg)
{
	struct zone_making *x = arg;
	struct map_zone *k = x->keeper;
	if (!k) {
		zone_end(x->loop, x->draft.zone);
		x->draft.zone = NULL;
		making_free(x);
		return;
	}
	k->making = NULL;
	k->err = x->err;
	if (!x->err)
		put_in_place(k, x);
	making_free(x);
	k->made(k->arg);
}

static int make_whole(struct map_zone *k, struct netmap *m)
{
	struct zone_making *x = making_new(k, m);
	if (!x)
		return -ENOMEM;
	if (k->zone && names_of(m) > FEW_NAMES) {
		k->making = x;
		if (work_start(k->loop, make, is_made, x))
			return 0;
		k->making = NULL;
	}
	make(x);
	int err = x->err;
	if (!err)
		put_in_place(k, x);
	making_free(x);
	return err;
}

/* false: it cannot be done so, and may be half done. */
static bool step(struct map_zone *k, const struct netmap *m)
{
	struct zone_draft d = { .zone = k->zone, .outside = &k->outside };
	k->astray = name_zone_step(&d, k->map, m) || d.odd[0];
	k->moved = true;
	return !k->astray;
}

/* What is odd in a map is told once all of it has been read; and which of two that clash has the name is a matter of their
 * order: such a zone is made whole each time. */
static bool step_to(struct map_zone *k, struct netmap *m)
{
	if (!k->map || k->astray || zone_is_sparse(k->zone))
		return false;
	size_t far = k->map == m ? 0 : name_zone_distance(k->map, m, STEPS_MAX);
	if (far && (far > STEPS_MAX || k->odd[0] || !step(k, m)))
		return false;
	k->moved =
		k->moved || k->map->parts[NETMAP_DNS] != m->parts[NETMAP_DNS]; /* others may be asked, too */
	netmap_get(m);
	netmap_put(k->map);
	k->map = m;
	return true;
}

int map_zone_follow(struct map_zone *k, struct netmap *m, struct errbuf *eb)
{
	int err = k->err;
	k->err = 0;
	if (!err && !k->making && !step_to(k, m))
		err = make_whole(k, m);
	return err ? err_set(eb, err, "the names of the mesh do not fit in memory; the old ones stay") : 0;
}

/* ---- around it ---- */

void map_zone_serve(struct map_zone *k, struct resolver *core)
{
	if (k->core) /* a reference less, which the end of this zone would wait for */
		resolver_zone_set(k->core, NULL);
	k->core = core;
	if (core && k->zone)
		resolver_zone_set(core, k->zone);
}

bool map_zone_outside_set(struct map_zone *k, const struct addr_set *outside)
{
	if (addr_set_equal(&k->outside, outside))
		return true;
	if (!addr_set_assign(&k->outside, outside->v, outside->n))
		return false;
	k->astray = true;
	if (k->making)
		k->making->late = true;
	return true;
}

const struct ctl_dns *map_zone_settings(const struct map_zone *k, const struct netmap *m)
{
	return k->making ? k->map->dns : m->dns;
}

void map_zone_fini(struct map_zone *k)
{
	if (k->making)
		k->making->keeper = NULL;
	map_zone_serve(k, NULL);
	zone_end(k->loop, k->zone);
	netmap_put(k->map);
	addr_set_free(&k->outside);
	*k = (struct map_zone) { .loop = k->loop, .made = k->made, .arg = k->arg };
}
