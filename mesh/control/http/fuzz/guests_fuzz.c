/* Who comes, is charged and leaves, of a few machines and nets, in places that are soon full: none is lost, and no more are there
 * than may be. An input is a line of pairs of bytes: what, and who. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/control/http/guests.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PLACES = 64, DESCRIPTORS = 128, NETS = 5, MACHINES = 3, BYTES = 200000, STEPS_MAX = 400 };

struct caller {
	struct guest g;
	struct caller **place;
};

static struct {
	struct guests all;
	struct caller *at[PLACES];
	uint64_t now_ms;
} x;

static void leave(struct caller *c)
{
	guest_leave(&c->g);
	*c->place = NULL;
	free(c);
}

static void turn_away(struct guest *g)
{
	leave((struct caller *)g);
}

static void arrive(struct caller **place, uint8_t what)
{
	const struct endpoint from = { .ip = addr_v4(0x0a000000U + what % NETS), .port = 1 };
	struct caller *c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->g.kind = what & 1 ? GUEST_STRANGER : what & 2 ? GUEST_ADMIN : GUEST_VISIT;
	c->g.turn_away = turn_away;
	c->place = place;
	*place = c;
	guest_arrive(&x.all, &c->g, c->g.kind == GUEST_ADMIN ? NULL : &from, x.now_ms);
	if (*place != c)
		abort(); /* whoever comes is let in */
}

static void step(uint8_t what, uint8_t who)
{
	struct caller **place = &x.at[who % PLACES];
	struct machine_key key = { { 1 } };
	x.now_ms += what;
	if (!*place) {
		arrive(place, what);
	} else if (what < 0x40) {
		leave(*place);
	} else if (what < 0x80) {
		key.b[1] = what % MACHINES;
		guest_is_node(&(*place)->g, &key, x.now_ms);
	} else {
		struct caller *c = *place;
		long bytes = what & 1 ? BYTES : -BYTES;
		if (bytes < 0 && c->g.bytes < BYTES)
			return;
		(void)guest_charge(&c->g, bytes, x.now_ms);
		if (*place != c)
			abort(); /* it itself stays */
	}
}

static void check(void)
{
	size_t here = 0, counted = 0, bytes = 0;
	for (size_t i = 0; i < PLACES; i++) {
		here += x.at[i] != NULL;
		bytes += x.at[i] && x.at[i]->g.kind != GUEST_NODE && x.at[i]->g.kind != GUEST_ADMIN
				 ? x.at[i]->g.bytes
				 : 0;
	}
	for (size_t k = 0; k < GUEST_KINDS; k++) {
		const struct guest_list *l = &x.all.kinds[k];
		size_t n = 0;
		for (const struct guest *g = l->first; g; g = g->next)
			n++;
		if (n != l->n || n > l->most)
			abort();
		counted += n;
	}
	if (counted != here || x.all.bytes != bytes || x.all.bytes > GUEST_BYTES_MAX)
		abort();
}

static void run(const uint8_t *data, size_t len)
{
	log_setup(LOG_ERROR, false);
	guests_init(&x.all, DESCRIPTORS, 1);
	trouble_begin();
	for (size_t i = 0; i + 1 < len && i < STEPS_MAX; i += 2) {
		step(data[i], data[i + 1]);
		check();
	}
	trouble_end();
	for (size_t i = 0; i < PLACES; i++)
		if (x.at[i])
			leave(x.at[i]);
	check();
	guests_fini(&x.all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
