/* A registry that knows alice, and machines that ask it. */
#ifndef RW_CONTROL_FLEET_TEST_DESK_H
#define RW_CONTROL_FLEET_TEST_DESK_H

#include "mesh/control/fleet/registry.h"
#include "mesh/control/fleet/test/place.h"

enum { T0 = 1700000000 };
#define NOW (T0 * INT64_C(1000))

struct desk {
	struct place place;
	char path[256];
	struct registry r;
	struct arena a;
	struct ctl_register_response out;
	char pending[REGISTRY_ID];
	unsigned identity, little, removed;
	struct registry_wait wait;
	struct registry_result res; /* of the last change; res.text is in eb */
	char made[REGISTRY_KEY_TEXT];
	struct errbuf eb;
	bool ended;
	char decided[REGISTRY_ID], withdrawn[REGISTRY_ID], rejected[REGISTRY_ID];
	bool has_owners; /* tag:web is alice's to give, tag:db bob's */
};
struct desk_ask {
	const char *tag; /* asked for by the node */
	uint8_t node, old, machine;
	const char *key, *host, *followup;
	int64_t expiry_ms, now_ms;
};

/* Fixtures of cmocka: *state is a struct desk. */
int desk_setup(void **state);
int desk_teardown(void **state);
void desk_open(struct desk *x); /* again, after registry_close */
/* Who is told how a change ends. */
struct registry_wait *desk_waits(struct desk *x);
/* The code of the change that was begun with desk_waits. */
int desk_outcome(const struct desk *x);
void desk_key(struct desk *x, const struct preauth_wish *w, char text[static REGISTRY_KEY_TEXT]);
/* As the server does: what had to be stored is asked for again. */
enum registry_verdict desk_answer(struct desk *x, const struct ctl_register_request *rq,
	const struct machine_key *machine, int64_t now_ms);
enum registry_verdict desk_ask(struct desk *x, const struct desk_ask *q);
/* The node whose key is full of that; NULL: none. */
const struct member *desk_node(struct desk *x, uint8_t key);

#endif
