#include "simnet/lab/step.h"

#include "mesh/os/file.h"
#include "simnet/scenario/condition.h"
#include "simnet/scenario/jsonpath.h"
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* `run`: a command on a host, what it says, and what is kept of that. */
enum { RUN_RETRY_MS = 100, RUN_LEAST_MS = 2000 };

static int keep_value(struct lab *l, const char *key, const char *text)
{
	struct lab_value *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->key = strdup(key);
	v->value = strndup(text, strcspn(text, "\n"));
	if (!v->key || !v->value) {
		free(v->key);
		free(v->value);
		free(v);
		return -ENOMEM;
	}
	v->next = l->values;
	l->values = v;
	return 0;
}

/* The first group, or the whole match. */
static bool regex_value(const char *pattern, const char *text, struct buf *out, struct errbuf *eb)
{
	regex_t re;
	regmatch_t m[2] = { { .rm_so = -1 }, { .rm_so = -1 } };

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE) != 0) {
		err_say(eb, ERR_MALFORMED, "'%s' is not a regular expression", pattern);
		return false;
	}
	bool hit = regexec(&re, text, 2, m, 0) == 0;
	regfree(&re);
	const regmatch_t *use = m[1].rm_so >= 0 ? &m[1] : &m[0];
	if (!hit)
		err_say(eb, ERR_REFUSED, "it says '%.*s', which does not match '%s'",
			(int)strcspn(text, "\n"), text, pattern);
	return hit && buf_append(out, text + use->rm_so, (size_t)(use->rm_eo - use->rm_so));
}

static bool has_value(const char *lines, const char *want)
{
	size_t n = strlen(want);

	if (!n && !*lines)
		return true; /* nothing is wanted, and nothing said */
	for (; *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n')
		if (strcspn(lines, "\n") == n && !strncmp(lines, want, n))
			return true;
	return false;
}

/* number: what a condition on a number is about. */
static int compare(const char *have, const char *number, const char *want, struct errbuf *eb)
{
	struct condition c;
	const char *about = condition_meant(want) ? number : have;

	if (condition_meant(want) && !condition_parse(want, &c))
		return err_say(eb, ERR_MALFORMED, "'%s' is not a condition on a number, as '>= 3'", want);
	if (condition_meant(want) ? condition_holds(&c, about) : has_value(about, want))
		return 0;
	return err_say(
		eb, ERR_REFUSED, "it says '%.*s', wanted '%s'", (int)strcspn(about, "\n"), about, want);
}

static int check_output(struct lab *l, const struct scn_step *st, struct buf *out, struct errbuf *eb)
{
	int node = scenario_find_node(l->s, st->target), err = 0;
	const char *text = buf_cstr(out);
	struct buf value = { .cap = 1 << 20 }, want = { .cap = 4096 }, path = { .cap = 1024 };

	if (st->json_path) {
		json_t *root = json_loads(text ? text : "", JSON_DISABLE_EOF_CHECK, NULL);
		err = root ? step_expand(l, node, st->json_path, &path, eb)
			   : err_say(eb, ERR_REFUSED, "its output is not JSON");
		int n = err ? 0 : jsonpath_select(root, buf_cstr(&path), &value, eb);
		if (!err && n <= 0)
			err = n < 0 ? n
				    : err_say(eb, ERR_REFUSED, "its JSON has nothing at '%s'",
					      buf_cstr(&path));
		json_decref(root);
	} else if (text && !buf_append(&value, text, out->len)) {
		err = err_say(eb, ERR_TOO_LARGE, "too much output");
	}
	const char *have = err ? NULL : buf_cstr(&value);
	struct buf match = { .cap = 1 << 16 };
	if (!err && st->matches && !regex_value(st->matches, have, &match, eb))
		err = eb->code;
	if (!err && st->is && !(err = step_expand(l, node, st->is, &want, eb)))
		err = compare(have, match.len ? buf_cstr(&match) : have, buf_cstr(&want), eb);
	if (!err && st->capture)
		err = keep_value(l, st->capture, st->matches ? buf_cstr(&match) : have);
	buf_free(&match);
	buf_free(&value);
	buf_free(&want);
	buf_free(&path);
	return err;
}

/* WORK/steps/NN-run.log: the command as it was started, what it said, how it ended. Of the last attempt. */
static void keep_output(
	struct lab *l, const struct scn_step *st, const char *const *argv, int status, struct buf *said)
{
	char path[600];
	struct errbuf eb;

	snprintf(path, sizeof(path), "%s/steps", l->work_dir);
	(void)dir_make(path, 0700, &eb);
	snprintf(path, sizeof(path), "%s/steps/%02u-run.log", l->work_dir, l->n_steps);
	FILE *f = fopen(path, "we");
	if (!f)
		return;
	fprintf(f, "%s$", st->target);
	for (; *argv; argv++)
		fprintf(f, " %s", *argv);
	fputc('\n', f);
	if (said->len)
		fwrite(buf_data(said), 1, said->len, f);
	if (status == -ETIMEDOUT)
		fprintf(f, "did not end in time\n");
	else if (status >= 0)
		fprintf(f, "status %d\n", status);
	fclose(f);
}

static int run_once(struct lab *l, const struct scn_step *st, uint64_t left_ms, struct errbuf *eb)
{
	struct fields f = { .lab = l, .node = scenario_find_node(l->s, st->target), .each_node = -1 };
	struct buf out = { .cap = 4 << 20 }, said = { .cap = 4 << 20 };
	char **argv = NULL;
	int want = st->exit_code < 0 ? 0 : st->exit_code;

	int err = fields_argv(&f, st->argv, &argv, eb);
	if (err)
		return err;
	uint64_t start = loop_now_ms(l->loop);
	int status = lab_run_said(l, hosts_find(l->hosts, st->target), (const char *const *)argv, left_ms,
		&(struct lab_output) { .out = &out, .said = &said }, eb);
	keep_output(l, st, (const char *const *)argv, status, &said);
	l->gave_up = status != want && lab_may_have_given_up(status, loop_now_ms(l->loop) - start);
	fields_argv_free(argv);
	if (status < 0)
		err = status;
	else if (status != want)
		err = status ? ERR_REFUSED
			     : err_say(eb, ERR_REFUSED, "it ended with status 0, wanted %d", want);
	else
		err = check_output(l, st, &out, eb);
	buf_free(&out);
	buf_free(&said);
	return err;
}

static void tell_run_good(struct lab *l, const struct scn_step *st, uint64_t ms)
{
	const int node = scenario_find_node(l->s, st->target);
	char program[300], is[300];
	const char *sign = st->matches ? st->matches
			   : st->is    ? step_words(l, node, st->is, is, sizeof(is))
				       : "";

	story_say(l->story, "run", STORY_GOOD, "%s runs %s%s%s%s: %sas expected, after %.2f s", st->target,
		step_words(l, node, st->argv[0], program, sizeof(program)), st->argv[1] ? " …" : "",
		*sign ? " " : "", sign, st->fails ? "it fails, " : "", step_seconds(ms));
}

int step_exec(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	uint64_t start = loop_now_ms(l->loop), deadline = start + st->within_ms;
	uint64_t least =
		st->within_ms < RUN_LEAST_MS ? st->within_ms : RUN_LEAST_MS; /* for the last attempt */
	bool again = (st->json_path || st->matches || st->is) && !st->fails;
	struct slowness_mark mark = slowness_now(l->slowness);
	int err;

	for (;;) {
		uint64_t now = loop_now_ms(l->loop);
		err = run_once(l, st, now + least < deadline ? deadline - now : least, eb);
		if (!err || err == ERR_MALFORMED || !again || l->interrupted || l->failed ||
			loop_now_ms(l->loop) >= lab_stretched_ms(l, &mark, start, deadline))
			break;
		lab_sleep(l, RUN_RETRY_MS);
	}
	if (again && err == ERR_REFUSED) /* it was the time that ended it */
		err = eb->code = -ETIMEDOUT;
	if (st->fails && (!err || err == ERR_REFUSED))
		err = err ? 0 : err_say(eb, ERR_REFUSED, "'%s' succeeded, and must not", st->argv[0]);
	if (!err)
		tell_run_good(l, st, loop_now_ms(l->loop) - start);
	l->gave_up &= err == ERR_REFUSED && !st->fails;
	return err;
}
