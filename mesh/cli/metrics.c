#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include "mesh/os/file.h"
#include "mesh/proto/json.h"
#include <string.h>

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = { CLI_ROWS_COMMON(struct options) };

/* Whole or not at all: a collector reads the file whenever it likes. */
static int metrics_store(struct cli *c, const char *path, const struct buf *text)
{
	struct errbuf eb;
	if (file_write_atomic(path, 0644, buf_data(text), text->len, &eb) == 0)
		return CLI_OK;
	return cli_fail(c, CLI_FAILED, "file", NULL, "%s", eb.text);
}

/* {"name{label=\"x\"}": 7, ...} */
static void print_json(struct cli *c, struct buf *text)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	const char *line = buf_cstr(text), *between = "{";
	for (size_t len; line && *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		const char *space = memrchr(line, ' ', len);
		char name[128];
		if (*line == '#' || !space || (size_t)(space - line) >= sizeof(name))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(space - line), line);
		json_put(&o, between);
		json_put_string(&o, name);
		o.bad |= !buf_printf(&b, ":%.*s", (int)(line + len - space - 1), space + 1);
		between = ",";
	}
	json_put(&o, *between == '{' ? "{}" : "}");
	if (!o.bad)
		fprintf(c->out, "%s\n", buf_cstr(&b));
	buf_free(&b);
}

static int metrics_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)options;
	bool store = n == 2 && strcmp(words[0], "write") == 0;
	if (n && !store && (n != 1 || strcmp(words[0], "print") != 0))
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk metrics [print | write FILE]",
			"metrics: \"%s\" is neither print nor write FILE", words[0]);
	struct api_request r = { .method = "GET", .target = "/localapi/v0/usermetrics" };
	struct buf b = { 0 };
	int code = api_call(c, &r, &b, NULL);
	if (code == CLI_OK && store)
		code = metrics_store(c, words[1], &b);
	else if (code == CLI_OK && c->json)
		print_json(c, &b);
	else if (code == CLI_OK)
		fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
	return code;
}

const struct cli_verb verb_metrics = {
	.man = { "metrics", "[print | write FILE]", "print the counters of ropewalkd",
		"In the text format of Prometheus, under the names that Tailscale's clients use. write puts "
		"them into a "
		"file, whole or not at all, such as one that node_exporter's textfile collector reads.",
		rows },
	.options_size = sizeof(struct options),
	.max_words = 2,
	.run = metrics_run,
};
