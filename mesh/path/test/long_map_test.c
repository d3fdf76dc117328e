/* A server may tell of thousands of relays: what is done for one of them does not grow with all. Counted in steps. */
#include "mesh/path/netcheck.h"
#include "mesh/path/region.h"
#include "mesh/path/state.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { REGIONS = 3000, MOVED = 7, STEPS_EACH = 12 };

static size_t sought, asked_latency;
struct region *__wrap_region_find(const struct path *p, int32_t id);
struct region *__real_region_find(const struct path *p, int32_t id);
double __wrap_region_latency(const struct region *r);
double __real_region_latency(const struct region *r);

struct region *__wrap_region_find(const struct path *p, int32_t id)
{
	sought++;
	return __real_region_find(p, id);
}

double __wrap_region_latency(const struct region *r)
{
	asked_latency++;
	return __real_region_latency(r);
}

static void send_udp(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	(void)from, (void)p;
	assert_true(len > 0);
	((uint8_t *)arg)[to->ip.b[14] << 8 | to->ip.b[15]]++;
}

static void set_map(struct path *p, int32_t first)
{
	static struct ctl_derp_node nodes[REGIONS];
	static struct ctl_derp_region regions[REGIONS];
	static char v4[REGIONS][16];
	for (int32_t i = 0; i < REGIONS; i++) {
		int32_t id = first + i;
		snprintf(v4[i], sizeof(v4[i]), "198.18.%d.%d", id >> 8, id & 255);
		nodes[i] = (struct ctl_derp_node) {
			.name = "", .host = "", .cert_name = "", .ipv4 = v4[i], .ipv6 = ""
		};
		regions[i] = (struct ctl_derp_region) {
			.id = id, .code = "", .name = "", .nodes = &nodes[i], .n_nodes = 1
		};
	}
	path_derp_map_set(p, 1, &(struct ctl_derp_map) { .regions = regions, .n_regions = REGIONS });
}

static void test_steps(void **state)
{
	(void)state;
	const struct node_key us = { { 1 } };
	const struct addr local = addr_v4(0xc0000201);
	uint8_t *sent = calloc(1, UINT16_MAX + 1);
	const struct path_ops ops = { .send_udp = send_udp, .arg = sent };
	struct path *p = path_new(&us, &ops, &random_system);
	assert_non_null(p);
	path_links_changed(p, 1, &local, 1, 41641);
	set_map(p, 1);
	for (int32_t id = 1; id <= REGIONS;
		id++) /* the farther the lower: each is nearer than all before it */
		path_https_latency(p, 1, id, REGIONS - id + 1);
	sought = asked_latency = 0;
	set_map(p, 1 + MOVED);
	assert_true(sought < STEPS_EACH);
	assert_true(asked_latency <= (size_t)STEPS_EACH * REGIONS);
	assert_int_equal(p->n_regions, REGIONS);
	assert_true(region_latency(region_find(p, 1 + MOVED)) > 0); /* known before, and still */
	assert_true(region_latency(region_find(p, REGIONS + MOVED)) < 0);
	assert_null(region_find(p, MOVED));

	/* the nearest few are asked, and no other */
	p->report_running = false;
	p->full_ms = p->now_ms;
	p->report_ms = 0;
	p->home = PATH_REGION_NONE;
	memset(sent, 0, UINT16_MAX + 1);
	asked_latency = 0;
	netcheck_start(p, false);
	assert_true(asked_latency <= (size_t)STEPS_EACH * REGIONS);
	for (int32_t id = 1; id <= REGIONS + MOVED; id++)
		assert_int_equal(sent[id], id > REGIONS - 3 && id <= REGIONS);
	asked_latency = 0;
	netcheck_ask_spare(p);
	assert_true(asked_latency <= (size_t)STEPS_EACH * REGIONS);
	for (int32_t id = REGIONS - 3; id <= REGIONS; id++)
		assert_int_equal(sent[id], id == REGIONS - 3 ? 0 : id == REGIONS - 2 ? 1 : 2);
	path_free(p);
	free(sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_steps) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
