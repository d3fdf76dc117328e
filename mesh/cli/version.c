#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include "mesh/proto/json.h"

struct options {
	struct cli_common common;
	bool daemon;
};
static const struct opt_row rows[] = {
	{ "daemon", NULL, OPT_BOOL, offsetof(struct options, daemon), NULL,
		"ask ropewalkd for its version too" },
	CLI_ROWS_COMMON(struct options),
};

static void print_json(struct cli *c, const char *daemon)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	json_put(&o, "{\"version\":");
	json_put_string(&o, RW_VERSION);
	if (daemon) {
		json_put(&o, ",\"daemon\":");
		json_put_string(&o, daemon);
	}
	json_put(&o, "}\n");
	fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

static int version_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)words;
	(void)n;
	const struct options *o = options;
	struct arena a = { 0 };
	struct api_status s = { 0 };
	int code = o->daemon ? api_status(c, &a, &s) : CLI_OK;
	if (code == CLI_OK && c->json) {
		print_json(c, s.version);
	} else if (code == CLI_OK) {
		fprintf(c->out, "%s\n", RW_VERSION);
		if (o->daemon)
			fprintf(c->out, "  ropewalkd: %s\n", s.version);
	}
	arena_free(&a);
	return code;
}

const struct cli_verb verb_version = {
	.man = { "version", "", "print the version", NULL, rows },
	.options_size = sizeof(struct options),
	.run = version_run,
};
