/* The steps of a map change (apply.h), on the engine, the interface and the names of this machine. */
#ifndef RW_NODE_STEPS_H
#define RW_NODE_STEPS_H

#include "mesh/netmap/server_clock.h"
#include "mesh/node/apply.h"
#include "mesh/node/engine.h"
#include "mesh/node/names.h"
#include "mesh/node/nets.h"

struct steps {
	struct engine *engine; /* borrowed, open while there is a map */
	struct names *names;   /* borrowed */
	struct nets nets;
	const struct state_prefs *prefs;  /* borrowed, read anew each time */
	const struct server_clock *clock; /* borrowed */
	void (*changed)(void *arg);	  /* apply_ops.changed */
	void *arg;
	bool holds; /* set by the owner: what is forgotten is there again in a moment (node_hold.h) */
};
struct apply_ops steps_ops(struct steps *s); /* s outlives who uses them */
/* Of the machine is true now what was not when names were last applied; the engine is open. */
bool steps_names_differ(const struct steps *s);

#endif
