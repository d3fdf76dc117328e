#include "mesh/cli/test/line.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct result run_line(const char *socket, const char *line)
{
	enum { ARGS = 16 };
	struct result r = { 0 };
	size_t out_len, err_len;
	char copy[512], prog[] = "ropewalk", *argv[ARGS + 1] = { prog }, *save = NULL;
	int argc = 1;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w && argc < ARGS; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	struct cli c = { .loop = loop_new(), .socket = socket };
	c.out = open_memstream(&r.out, &out_len);
	c.err = open_memstream(&r.err, &err_len);
	r.code = cli_run(&c, argc, argv);
	fclose(c.out);
	fclose(c.err);
	loop_free(c.loop);
	return r;
}

void result_free(struct result *r)
{
	free(r->out);
	free(r->err);
}

void check(const struct fake_route *routes, const struct want *rows, size_t n)
{
	struct fake_api *f = fake_api_start(routes);
	for (size_t i = 0; i < n; i++) {
		struct result r = run_line(fake_api_socket(f), rows[i].line);
		if (r.code != rows[i].code || (rows[i].out && strcmp(r.out, rows[i].out) != 0) ||
			(rows[i].err && !strstr(r.err, rows[i].err)))
			fail_msg("row %zu, ropewalk %s: %d\n--- out\n%s--- err\n%s", i, rows[i].line, r.code,
				r.out, r.err);
		result_free(&r);
	}
	fake_api_stop(f);
}
