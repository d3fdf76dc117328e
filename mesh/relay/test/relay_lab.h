/* A relay on loopback and two clients, for tests of it. */
#ifndef RW_RELAY_TEST_RELAY_LAB_H
#define RW_RELAY_TEST_RELAY_LAB_H

#include "mesh/relay/test/derp_peer.h"

struct relay_lab {
	struct loop *loop;
	struct relay *relay;
	char dir[64];
	struct derp_peer *a, *b;
};

struct derp_peer *relay_lab_peer(void); /* one more; the caller frees it */
int relay_lab_setup(void **state);	/* *state: a struct relay_lab; a and b are not connected yet */
int relay_lab_teardown(void **state);
/* Connects one of them, and waits until the relay has said so. */
void relay_lab_join(struct relay_lab *l, struct derp_peer *p, bool fast);

#endif
