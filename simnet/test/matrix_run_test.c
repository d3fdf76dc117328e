/* The NAT matrix on real packets: on either engine the plain sheet comes out as the oracle says, so both give one verdict for
 * every cell; and a router that is not what its file says is noticed by the cells that it is in. */
#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/host/proc.h"
#include "simnet/host/sandbox.h"
#include "simnet/matrix/grid.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

struct run {
	struct matrix_job job;
	struct matrix_result *result;
};

static int body(void *arg)
{
	struct run *r = arg;
	return matrix_run(&r->job, r->result) ? 1 : 0;
}

/* Whatever it comes to. */
static struct run run_any(const struct engine_ops *engine, uint64_t bound_ms)
{
	static char program[1024];
	struct errbuf eb = { 0 };
	struct run r = { .job = { .sheet = &sheets[0],
				 .engine = engine,
				 .program = program,
				 .protos = { true, true },
				 .seed = 3,
				 .try_ms = 1500,
				 .bound_ms = bound_ms } };

	assert_true(proc_find("simnet", program, sizeof(program)));
	r.result = mmap(NULL, sizeof(*r.result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(r.result != MAP_FAILED);
	int code = sandbox_run(body, &r, &eb);
	if (code < 0) {
		print_message("skipped: %s\n", eb.text);
		skip();
	}
	return r;
}

/* Skips the test on a machine that is too slow to tell. */
static struct run run_plain(const struct engine_ops *engine, uint64_t bound_ms)
{
	struct run r = run_any(engine, bound_ms);
	bool unsure = r.result->unmeasured || (!r.result->code && grid_count(&r.job, r.result).unsure);
	if (unsure) {
		print_message("inconclusive: the machine was %.1f times slower than an idle one. %s\n",
			r.result->slow, r.result->why.text);
		munmap(r.result, sizeof(*r.result));
		skip();
	}
	if (r.result->code)
		fail_msg("%s", r.result->why.text);
	return r;
}

static void test_plain(void **state)
{
	static const struct engine_ops *const engines[] = { &engine_kernel, &engine_user };
	struct matrix_result first;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
		struct run r = run_plain(engines[i], 30000);
		struct grid_count n = grid_count(&r.job, r.result);
		if (n.wrong)
			grid_print(&r.job, r.result, stdout);
		assert_int_equal(n.wrong, 0);
		assert_int_equal(n.cells, 162);
		assert_int_equal(n.direct, 114);
		assert_int_equal(n.relay, 48);
		if (i == 0)
			first = *r.result;
		for (int k = 0; k < SHEET_CELLS; k++)
			for (int p = 0; p < SHEET_PROTOS; p++)
				assert_int_equal(r.result->cells[k][p].got, first.cells[k][p].got);
		munmap(r.result, sizeof(*r.result));
	}
}

/* The network is built with one router of another class than the file and the oracle have. */
static struct scenario lied;
static const struct engine_ops *liar;
static int open_lying(const struct scenario *s, struct hosts *hosts, struct engine **out, struct errbuf *eb)
{
	lied = *s;
	lied.routers = calloc(s->n_routers, sizeof(*s->routers));
	if (!lied.routers)
		return err_say(eb, -ENOMEM, "out of memory");
	memcpy(lied.routers, s->routers, s->n_routers * sizeof(*s->routers));
	struct scn_router *r = &lied.routers[scenario_find_router(s, "net-a-eim-apdf")];
	r->model.udp = (struct nat_class) { NAT_APDM, NAT_APDF };
	return liar->open(&lied, hosts, out, eb);
}

static int no_self_test(struct engine *e, struct errbuf *eb)
{
	(void)e, (void)eb;
	return 0;
}

static void close_lying(struct engine *e)
{
	liar->close(e);
	free(lied.routers);
}

static void expect_noticed(const struct engine_ops *engine)
{
	struct engine_ops lying = *engine;

	liar = engine;
	lying.open = open_lying;
	lying.self_test = no_self_test;
	lying.close = close_lying;
	struct run r = run_plain(&lying, 10000);
	/* EIM/APDF calls those whom only endpoint-independent mapping on both sides reaches. */
	for (int i = 0; i < SHEET_CELLS; i++) {
		bool wrong = !matrix_agrees(&r.result->cells[i][SHEET_UDP]);
		bool expected = i / SHEET_CLASSES == NAT_APDF && i % SHEET_CLASSES == NAT_APDF;
		if (wrong != expected)
			fail_msg("cell %d", i);
	}
	munmap(r.result, sizeof(*r.result));
}

static void test_a_wrong_router_is_noticed(void **state)
{
	(void)state;
	expect_noticed(&engine_kernel);
	expect_noticed(&engine_user);
}

static int too_slow(struct engine *e, struct errbuf *eb)
{
	(void)e;
	return err_say(eb, -ETIMEDOUT, "routers cannot be measured");
}

static int not_so(struct engine *e, struct errbuf *eb)
{
	(void)e;
	return err_say(eb, ERR_REFUSED, "a router is another");
}

/* A router that could not be measured is no router that is wrong. */
static void test_unmeasured(void **state)
{
	struct engine_ops ops = engine_kernel;
	(void)state;
	ops.self_test = too_slow;
	struct run slow = run_any(&ops, 1);
	ops.self_test = not_so;
	struct run wrong = run_any(&ops, 1);
	assert_int_equal(slow.result->code, -ETIMEDOUT);
	assert_true(slow.result->unmeasured);
	assert_int_equal(wrong.result->code, ERR_REFUSED);
	assert_false(wrong.result->unmeasured);
	munmap(slow.result, sizeof(*slow.result));
	munmap(wrong.result, sizeof(*wrong.result));
}

/* On a machine that is three times slower all pairs have three times as long, and each searches for three times as long before
 * the relay is its verdict. */
static void test_stretched(void **state)
{
	struct engine_ops ops = engine_kernel;
	const char *before = getenv("SIMNET_SLOWDOWN");
	(void)state;
	ops.self_test = no_self_test;
	setenv("SIMNET_SLOWDOWN", "3", 1);
	struct run all = run_any(&ops, 400), each = run_any(&ops, 30000);
	if (before)
		setenv("SIMNET_SLOWDOWN", before, 1);
	else
		unsetenv("SIMNET_SLOWDOWN");
	assert_int_equal(all.result->code, 0);
	assert_true(all.result->punch_ms >= 1200);
	assert_true(all.result->slow > 2.9 && all.result->slow < 3.1);
	assert_int_equal(each.result->code, 0);
	assert_true(each.result->punch_ms >= 4500);
	munmap(all.result, sizeof(*all.result));
	munmap(each.result, sizeof(*each.result));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unmeasured),
		cmocka_unit_test(test_stretched),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_a_wrong_router_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
