#include "simnet/test/scenario_run.h"

#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/host/sandbox.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

uint64_t scenario_run_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

enum { BODY_INTERRUPTED = 100 }; /* a sandbox status ends at 125 */

static int body(void *arg)
{
	int code = runner_run(arg);
	return code == EXIT_INTERRUPTED ? BODY_INTERRUPTED : code;
}

int scenario_run(const char *text, char **records)
{
	return scenario_run_on(&engine_auto, text, NULL, records);
}

int scenario_run_on(const struct engine_ops *engine, const char *text, const char *out_dir, char **records)
{
	setenv("SIMNET_SLOWDOWN", "1", 0); /* verdicts, whoever else is at work here */
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };
	int fd = memfd_create("records", MFD_CLOEXEC);
	FILE *f = fdopen(fd, "w+");
	if (scenario_parse("t.yaml", text, strlen(text), 0, &s, &eb) || runner_check(&s, NULL, &eb))
		fail_msg("%s", eb.text);
	struct story story = { .view = STORY_QUIET,
		.out = stdout,
		.records = f,
		.now_ms = scenario_run_ms,
		.t0_ms = scenario_run_ms(),
		.scenario = s.name,
		.file = s.file };
	struct runner r = { .scenario = &s,
		.engine = engine,
		.out_dir = out_dir,
		.out_name = out_dir,
		.story = &story,
		.seed = 1,
		.control_fd = -1,
		.skip = SKIP_ALL };
	int code = sandbox_run(body, &r, &eb);
	code = code == RUN_NO_PROGRAM ? EXIT_HOST : code;
	off_t len = lseek(fd, 0, SEEK_END);
	*records = calloc(1, (size_t)len + 1);
	assert_int_equal(pread(fd, *records, (size_t)len, 0), len);
	fclose(f);
	scenario_free(&s);
	if (code == BODY_INTERRUPTED)
		fail_msg("somebody interrupted the test: the run is no verdict");
	if (code < 0) {
		free(*records);
		*records = NULL;
		print_message("skipped: %s\n", eb.text);
		skip();
	}
	if (code == EXIT_UNSURE && engine->self_test == engine_auto.self_test &&
		strstr(*records, "cannot be measured on a machine")) {
		free(*records);
		*records = NULL;
		print_message("inconclusive: routers cannot be measured on a machine as slow as this\n");
		skip();
	}
	return code;
}
