#include "simnet/command.h"

#include "mesh/os/file.h"
#include "simnet/host/source.h"
#include "simnet/report/graph.h"
#include "simnet/report/page.h"
#include "simnet/report/runs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The verbs that look at what is there already: a file's network, finished runs. */
enum { RECORD_BYTES = 256 << 20 };

/* ---- graph */

#define AT(field) offsetof(struct options, field)
#define REVIEW_HELP \
	{ \
		"help", "h", OPT_BOOL, AT(help), NULL, "this text" \
	}
const struct opt_row graph_rows[] = {
	{ "k", "only", OPT_STRING, AT(only), "NAME", "of a matrix: the variant whose name holds this" },
	{ "as", NULL, OPT_STRING, AT(review.as), "KIND", "text (default), svg, mermaid or dot" },
	REVIEW_HELP,
	{ 0 },
};

static int write_graph(const struct command *c, const struct scenario *s)
{
	static const char *const words[] = {
		[GRAPH_TEXT] = "text", [GRAPH_SVG] = "svg", [GRAPH_MERMAID] = "mermaid", [GRAPH_DOT] = "dot"
	};
	struct buf out = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(c->opt.review.as ? c->opt.review.as : "text", words[i]) != 0)
			continue;
		bool ok = graph_write((enum graph_kind)i, s, &out);
		if (ok)
			fwrite(buf_data(&out), out.len, 1, stdout);
		buf_free(&out);
		return ok ? EXIT_PASS : EXIT_BROKEN;
	}
	return command_error("--as is text, svg, mermaid or dot");
}

int review_graph(struct command *c)
{
	struct errbuf eb = { 0 };
	size_t n = 1;

	if (c->n_words != 1)
		return command_error("graph takes one scenario file");
	for (size_t i = 0; i < n; i++) {
		struct scenario s = { 0 };
		if (source_read_scenario(c->words[0], i, &s, NULL, &eb))
			return command_error(eb.text);
		n = s.n_variants;
		bool wanted = files_wanted(c, &s);
		int code = wanted ? write_graph(c, &s) : EXIT_PASS;
		scenario_free(&s);
		if (wanted)
			return code;
	}
	return command_error("no variant of the file matches -k");
}

/* ---- finished runs */

const struct opt_row explain_rows[] = {
	{ "html", NULL, OPT_STRING, AT(review.html), "FILE", "write the page of the run instead" },
	REVIEW_HELP,
	{ 0 },
};
const struct opt_row replay_rows[] = {
	{ "at", NULL, OPT_DURATION_MS, AT(review.at_ms), "TIME",
		"how things stood so long after the beginning, as 3200ms" },
	{ "diff", NULL, OPT_BOOL, AT(review.diff), NULL, "name the first difference of two runs" },
	REVIEW_HELP,
	{ 0 },
};

static int read_runs(const char *path, struct runs **out, struct errbuf *eb)
{
	struct buf text = { .cap = RECORD_BYTES };
	struct stat st;
	char file[1100];
	struct errbuf why = { 0 };

	bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	snprintf(file, sizeof(file), "%s%s", path, folder ? "/run.jsonl" : "");
	if (folder && access(file, F_OK) < 0)
		return err_say(eb, -ENOENT,
			"%.200s holds no run.jsonl: name the folder of one run, as 'simnet run --out DIR' "
			"makes it in DIR",
			path);
	int err = file_read(file, RECORD_BYTES, &text, eb);
	if (!err && (err = runs_read((const char *)buf_data(&text), text.len, out, &why)))
		err_say(eb, err, "%.200s: %.160s", file, why.text);
	buf_free(&text);
	return err;
}

static struct runs_look look_at(const char *folder)
{
	return (struct runs_look) {
		.out = stdout, .colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), .folder = folder
	};
}

static int write_page(const char *path, const struct runs *r, struct errbuf *eb)
{
	FILE *f = fopen(path, "we");
	if (!f)
		return err_set(eb, -errno, "%s", path);
	int err = page_write(r, f, eb);
	if (fclose(f) != 0 || err)
		err = err_set(eb, errno ? -errno : -EIO, "%s", path);
	return err;
}

int review_page(const char *path, const char *records, size_t len, struct errbuf *eb)
{
	struct runs *r = NULL;
	int err = runs_read(records, len, &r, eb);
	if (!err)
		err = write_page(path, r, eb);
	runs_free(r);
	return err;
}

int review_explain(struct command *c)
{
	struct errbuf eb = { 0 };
	struct runs *r = NULL;
	uint64_t step = 0;

	if (c->n_words < 1 || c->n_words > 2)
		return command_error("explain takes the folder of a run, and the number of a step if it is "
				     "not the failed one");
	if (c->n_words == 2 && !text_u64(c->words[1], 1, UINT32_MAX, &step))
		return command_error("the step is a number, from 1");
	if (read_runs(c->words[0], &r, &eb))
		return command_error(eb.text);
	struct runs_look look = look_at(c->words[0]);
	int err = c->opt.review.html ? write_page(c->opt.review.html, r, &eb) : 0;
	for (size_t i = 0; !c->opt.review.html && i < runs_count(r) && !err; i++)
		err = runs_explain(r, i, (unsigned)step, &look, &eb);
	runs_free(r);
	return err ? command_error(eb.text) : EXIT_PASS;
}

/* "n" or an empty line: the next; "p": the one before; a number: that; "q": the end. false: the end. */
static bool next_step(unsigned *step, unsigned n)
{
	char line[32];
	uint64_t number;

	printf("[step %u of %u; Enter next, p previous, NUMBER, q quit] ", *step, n);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) || line[0] == 'q')
		return false;
	line[strcspn(line, "\n")] = '\0';
	if (line[0] == 'p')
		*step -= *step > 0;
	else if (text_u64(line, 0, n, &number))
		*step = (unsigned)number;
	else if (*step == n)
		return false;
	else
		++*step;
	return true;
}

static void replay_run(const struct runs *r, size_t run, const struct runs_look *look)
{
	unsigned n = runs_steps(r, run), step = 0;
	bool asks = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);

	for (;;) {
		runs_replay(r, run, step, look);
		if (asks ? !next_step(&step, n) : step++ == n)
			return;
	}
}

/* What the userspace engine decided, in the order of objects and flows; its times are no difference. A folder may lack it. */
static bool read_decisions(const char *folder, struct buf *out)
{
	char path[1100];
	struct errbuf eb;

	snprintf(path, sizeof(path), "%s/decisions.jsonl", folder);
	return !file_read(path, RECORD_BYTES, out, &eb);
}

/* The next line without its time, and past it; "" at the end. */
static size_t decision_len(const char **at)
{
	const char *line = *at, *time;
	size_t n = strcspn(line, "\n");

	*at = line + n + (line[n] == '\n');
	time = memmem(line, n, ",\"at_ms\"", 8);
	return time ? (size_t)(time - line) : n;
}

static int diff_decisions(const char *a, const char *b)
{
	struct buf in_a = { .cap = RECORD_BYTES }, in_b = { .cap = RECORD_BYTES };
	int differ = 0;

	if (read_decisions(a, &in_a) && read_decisions(b, &in_b)) {
		const char *x = buf_cstr(&in_a), *y = buf_cstr(&in_b);
		size_t number = 0;
		while (x && y && !differ && (*x || *y)) {
			const char *one = x, *other = y;
			size_t n = decision_len(&x), m = decision_len(&y);
			number++;
			differ = n != m || memcmp(one, other, n) != 0;
			if (differ)
				printf("decision %zu of the network differs\n  A: %.*s\n  B: %.*s\n", number,
					(int)n, one, (int)m, other);
		}
		if (!differ)
			printf("no difference in %zu decisions of the network\n", number);
	}
	buf_free(&in_a);
	buf_free(&in_b);
	return differ;
}

static int replay_diff(const struct command *c, const struct runs *a)
{
	struct runs *b = NULL;
	struct errbuf eb = { 0 };
	struct runs_look look = look_at(NULL);

	if (read_runs(c->words[1], &b, &eb))
		return command_error(eb.text);
	int differ = runs_count(a) != runs_count(b);
	if (differ)
		printf("A holds %zu runs, B %zu\n", runs_count(a), runs_count(b));
	for (size_t i = 0; !differ && i < runs_count(a); i++)
		differ = runs_diff(a, b, i, &look);
	if (!differ)
		differ = diff_decisions(c->words[0], c->words[1]);
	runs_free(b);
	return differ ? EXIT_FAILED : EXIT_PASS;
}

int review_replay(struct command *c)
{
	struct errbuf eb = { 0 };
	struct runs *r = NULL;
	int code = EXIT_PASS;

	if (c->n_words != (c->opt.review.diff ? 2 : 1))
		return command_error(c->opt.review.diff ? "replay --diff takes the folders of two runs"
							: "replay takes the folder of a run");
	if (read_runs(c->words[0], &r, &eb))
		return command_error(eb.text);
	struct runs_look look = look_at(c->words[0]);
	if (c->opt.review.diff)
		code = replay_diff(c, r);
	for (size_t i = 0; !c->opt.review.diff && i < runs_count(r); i++)
		if (c->opt.review.at_ms)
			runs_state(r, i, (double)c->opt.review.at_ms / 1000, &look);
		else
			replay_run(r, i, &look);
	runs_free(r);
	return code;
}
