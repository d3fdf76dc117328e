#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "simnet/scenario/scenario.h"
#include <stdio.h>
#include <string.h>

/* `link` of a node and of a router: what is read, and what is wrong. */

#define HEAD "simnet: 1\nname: x\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r, link: {"

static void test_wrong(void **state)
{
	static const struct {
		const char *words, *says;
	} rows[] = {
		{ "loss: 101%",
			"w.yaml:6:27: 'loss' must be a share of packets from 0% to 100%, as 1% or 0.05%" },
		{ "loss: 5",
			"w.yaml:6:27: 'loss' must be a share of packets from 0% to 100%, as 1% or 0.05%" },
		{ "loss: 0.00001%",
			"w.yaml:6:27: 'loss' must be a share of packets from 0% to 100%, as 1% or 0.05%" },
		{ "delay: 5", "w.yaml:6:28: 'delay' must be a duration with its unit, as 500ms, 5s or 1m30s, "
			      "not '5'" },
		{ "delay: -5ms", "w.yaml:6:28: 'delay' must be a duration with its unit, as 500ms, 5s or "
				 "1m30s, not '-5ms'" },
		{ "delay: 2m", "w.yaml:6:28: 'delay' is 60s at most" },
		{ "delay: 1ms, jitter: 2ms", "w.yaml:6:20: 'jitter' must not be more than 'delay'" },
		{ "rate: 10",
			"w.yaml:6:27: 'rate' must be a rate with its unit, as 256kbit, 10mbit or 1gbit" },
		{ "rate: 10mb",
			"w.yaml:6:27: 'rate' must be a rate with its unit, as 256kbit, 10mbit or 1gbit" },
		{ "mtu: 100", "w.yaml:6:26: 'mtu' must be a number from 576 to 1500, not '100'" },
		{ "hops: 65", "w.yaml:6:27: 'hops' must be a number from 0 to 64, not '65'" },
		{ "queue: 10", "w.yaml:6:28: 'queue' must be a number from 1500 to 67108864, not '10'" },
		{ "nth: []", "w.yaml:6:26: 'nth' must be a list of 1 to 8 numbers of packets" },
		{ "nth: [0]", "w.yaml:6:27: 'nth' counts the packets of a flow from 1" },
		{ "nth: 3", "w.yaml:6:26: 'nth' must be a list of 1 to 8 numbers of packets" },
		{ "burst: {enter: 1%}", "w.yaml:6:28: burst has no 'leave'" },
		{ "class-loss: {discoo: 1%}",
			"w.yaml:6:34: unknown key 'discoo' in class-loss; did you mean 'disco'?" },
		{ "big: {over: 9999, loss: 1%}",
			"w.yaml:6:33: 'over' must be a number from 1 to 1500, not '9999'" },
		{ "dead: yes", "w.yaml:6:27: 'dead' must be true or false, not 'yes'" },
		{ "upp: {dead: true}", "w.yaml:6:21: unknown key 'upp' in link; did you mean 'up'?" },
		{ "up: {up: {dead: true}}", "w.yaml:6:26: unknown key 'up' in up" },
		{ "up: {jitter: 1ms}", "w.yaml:6:25: 'jitter' must not be more than 'delay'" },
		{ "reorder-by: 5", "w.yaml:6:33: 'reorder-by' must be a duration with its unit, as 500ms, 5s "
				   "or 1m30s, not '5'" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[300];
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		snprintf(text, sizeof(text), HEAD "%s}}\n", rows[i].words);
		if (!scenario_parse("w.yaml", text, strlen(text), 0, &s, &eb))
			fail_msg("%s is taken", rows[i].words);
		assert_string_equal(eb.text, rows[i].says);
	}
}

static void test_read(void **state)
{
	static const char text[] =
		"simnet: 1\nname: x\nrouters:\n  r: {nat: home, link: {delay: 20ms, jitter: 2ms}}\nnodes:\n"
		"  a:\n    at: r\n    link:\n      delay: 5ms\n      loss: 0.05%\n      rate: 2mbit\n      "
		"queue: 5000\n"
		"      burst: {enter: 1%, leave: 25%, loss: 50%}\n      nth: [1, 3]\n      class-loss: "
		"{disco: 100%, dns: 2.5%}\n"
		"      big: {over: 1200, loss: 12.3456%}\n      reorder: 3%\n      reorder-by: 7ms\n      "
		"duplicate: 4%\n"
		"      corrupt: 0.0001%\n      mtu: 1280\n      hops: 3\n      up: {hops: 0, dead: true, "
		"loss: 0%}\n"
		"      down: {delay: 1s, mtu-silent: true, rate: 1gbit}\n"
		"  b: {at: internet, link: {}}\n  c: {at: internet}\n  d: {at: internet, link: {hops: 1}}\n";
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };
	(void)state;
	if (scenario_parse("w.yaml", text, strlen(text), 0, &s, &eb))
		fail_msg("%s", eb.text);
	const struct link_way *up = &s.nodes[0].link->up, *down = &s.nodes[0].link->down;
	assert_int_equal(s.routers[0].link->down.delay_us, 20000);
	assert_int_equal(s.routers[0].link->up.jitter_us, 2000);
	assert_int_equal(up->delay_us, 5000);
	assert_int_equal(down->delay_us, 1000000);
	assert_int_equal(up->loss, 0);
	assert_int_equal(down->loss, 500);
	assert_int_equal(up->rate_bps, 2000000);
	assert_int_equal(down->rate_bps, 1000000000);
	assert_int_equal(down->queue_bytes, 5000);
	assert_int_equal(up->bursts.enter, 10000);
	assert_int_equal(up->bursts.leave, 250000);
	assert_int_equal(up->bursts.bad, 500000);
	assert_int_equal(up->nth[0], 1);
	assert_int_equal(up->nth[1], 3);
	assert_int_equal(up->nth[2], 0);
	assert_int_equal(down->class_loss[LINK_DISCO], LINK_PPM);
	assert_int_equal(down->class_loss[LINK_DNS], 25000);
	assert_int_equal(down->big, 1200);
	assert_int_equal(down->big_loss, 123456);
	assert_int_equal(down->reorder, 30000);
	assert_int_equal(down->reorder_us, 7000);
	assert_int_equal(down->duplicate, 40000);
	assert_int_equal(down->corrupt, 1);
	assert_int_equal(up->mtu, 1280);
	assert_int_equal(up->hops, 0);
	assert_int_equal(down->hops, 3);
	assert_true(up->dead && !down->dead && down->mtu_silent && !up->mtu_silent);
	assert_false(link_model_is_plain(s.nodes[0].link));
	assert_false(link_model_is_plain(s.nodes[3].link));
	assert_true(link_model_is_plain(s.nodes[1].link) && link_model_is_plain(s.nodes[2].link));
	scenario_free(&s);
}

static void test_regions(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "regions: {eu: {us: 40ms}, us: {}}\nnodes:\n  a: {at: internet, region: us}\n", NULL },
		{ "regions: {eu: {us: 40ms}, us: {}}\nrouters:\n  r: {nat: home}\nnodes:\n  a: {interfaces: "
		  "{e: {at: r}, w: {at: internet}}, region: us}\n",
			NULL },
		{ "regions: {eu: {}}\nrouters:\n  r: {nat: home}\nnodes:\n  a: {interfaces: {e: {at: r}, "
		  "w: {at: r}}, region: eu}\n",
			"w.yaml:7:53: 'region' is of what is on the internet; the rest is where its router "
			"is" },
		{ "regions: {eu: {us: 40}, us: {}}\nnodes:\n  a: {at: internet}\n",
			"w.yaml:3:20: 'a distance' must be a duration with its unit, as 500ms, 5s or 1m30s, "
			"not '40'" },
		{ "regions: {eu: {uss: 40ms}, us: {}}\nnodes:\n  a: {at: internet}\n",
			"w.yaml:3:16: no region 'uss'; did you mean 'us'?" },
		{ "regions: {eu: {eu: 40ms}}\nnodes:\n  a: {at: internet}\n",
			"w.yaml:3:16: region 'eu' is no distance from itself" },
		{ "regions: {eu: {us: 1s}, us: {eu: 1s}}\nnodes:\n  a: {at: internet}\n",
			"w.yaml:3:30: the distance of 'us' and 'eu' is said twice" },
		{ "regions: {eu: 5ms}\nnodes:\n  a: {at: internet}\n",
			"w.yaml:3:15: region 'eu' must be a map of distances, not a word" },
		{ "regions: {eu: {}}\nnodes:\n  a: {at: internet, region: us}\n",
			"w.yaml:5:29: no region 'us'" },
		{ "regions: {eu: {}}\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r, region: eu}\n",
			"w.yaml:7:22: 'region' is of what is on the internet; the rest is where its router "
			"is" },
		{ "regions: {eu: {}}\nrouters:\n  r: {nat: home}\n  q: {nat: home, behind: r, region: "
		  "eu}\nnodes:\n  a: {at: q}\n",
			"w.yaml:6:37: 'region' is of what is on the internet; the rest is where its router "
			"is" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[300];
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		snprintf(text, sizeof(text), "simnet: 1\nname: x\n%s", rows[i].text);
		int err = scenario_parse("w.yaml", text, strlen(text), 0, &s, &eb);
		if (rows[i].says) {
			assert_true(err);
			assert_string_equal(eb.text, rows[i].says);
			continue;
		}
		if (err)
			fail_msg("%s", eb.text);
		assert_int_equal(s.nodes[0].region, 2);
		assert_int_equal(s.region_us[0 * 2 + 1], 40000);
		assert_int_equal(s.region_us[1 * 2 + 0], 40000);
		assert_int_equal(s.region_us[0], 0);
		scenario_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_regions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
