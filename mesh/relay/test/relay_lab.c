#include "mesh/relay/test/relay_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct derp_peer *relay_lab_peer(void)
{
	struct derp_peer *p = calloc(1, sizeof(*p));
	assert_non_null(p);
	return p;
}

int relay_lab_setup(void **state)
{
	struct relay_lab *l = calloc(1, sizeof(*l));
	assert_non_null(l);
	l->loop = loop_new();
	l->relay = derp_relay_start(l->loop, l->dir);
	l->a = relay_lab_peer();
	l->b = relay_lab_peer();
	*state = l;
	return 0;
}

int relay_lab_teardown(void **state)
{
	struct relay_lab *l = *state;
	derp_peer_stop(l->a);
	derp_peer_stop(l->b);
	derp_relay_stop(l->relay, l->dir);
	loop_free(l->loop);
	free(l->a);
	free(l->b);
	free(l);
	return 0;
}

void relay_lab_join(struct relay_lab *l, struct derp_peer *p, bool fast)
{
	derp_peer_start(p, l->loop, l->relay, fast);
	(void)derp_peer_wait(p, DERP_SERVER_INFO, 1);
}
