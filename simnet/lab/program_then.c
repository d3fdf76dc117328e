#include "simnet/lab/lab.h"

#include "simnet/scenario/jsonpath.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an adapter takes of what its program says, and the commands that make it ready. */

enum { COMMAND_TIMEOUT_MS = 10000 };

static int capture(struct program *p, const char *key, const char *value, size_t len)
{
	char *copy = strndup(value, len);

	for (size_t i = 0; i < p->n_captures && copy; i++)
		if (!strcmp(p->captures[i].key, key)) {
			free((char *)(uintptr_t)p->captures[i].value);
			p->captures[i].value = copy;
			return 0;
		}
	struct scn_param *grown = realloc(p->captures, (p->n_captures + 1) * sizeof(*grown));
	if (grown)
		p->captures = grown;
	char *name = strdup(key);
	if (!copy || !grown || !name) {
		free(copy);
		free(name);
		return -ENOMEM;
	}
	p->captures[p->n_captures++] = (struct scn_param) { .key = name, .value = copy };
	return 0;
}

bool program_first_value(const json_t *root, const char *path, struct buf *out)
{
	struct errbuf eb;
	if (jsonpath_select(root, path, out, &eb) <= 0)
		return false;
	uint8_t *nl = memchr(buf_data(out), '\n', out->len);
	if (nl)
		out->len = (size_t)(nl - buf_data(out));
	return true;
}

/* The texts of a command's templates: {each} may be part of a capture's name. */
int program_capture(struct program *p, const struct fields *f, const struct scn_param *list, size_t n,
	const json_t *root, const char *line)
{
	struct errbuf eb;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		struct buf value = { .cap = 1 << 16 }, key = { .cap = 256 };
		err = fields_expand(f, list[i].key, &key, &eb);
		if (!err && !strcmp(list[i].value, "line"))
			err = line && *line && buf_append(&value, line, strlen(line)) ? 0 : ERR_MALFORMED;
		else if (!err)
			err = root && program_first_value(root, list[i].value, &value) ? 0 : ERR_MALFORMED;
		if (!err)
			err = capture(p, buf_cstr(&key), (const char *)buf_data(&value), value.len);
		buf_free(&value);
		buf_free(&key);
	}
	return err;
}

/* ---- commands after readiness */

/* Word number p->word of the command's `each`; false at the end. */
static int each_word(struct program *p, const struct adapter_command *c, char *word, size_t cap, bool *end,
	struct errbuf *eb)
{
	struct fields f = program_fields(p);
	struct buf text = { .cap = 4096 };
	int err = fields_expand(&f, c->each, &text, eb);
	char *save = NULL, *w = err ? NULL : strtok_r((char *)(uintptr_t)buf_cstr(&text), " ", &save);

	for (size_t i = 0; w && i < p->word; i++)
		w = strtok_r(NULL, " ", &save);
	*end = !w;
	if (w)
		snprintf(word, cap, "%s", w);
	buf_free(&text);
	return err;
}

static bool holds(struct program *p, const struct adapter_command *c, const json_t *root)
{
	struct fields f = program_fields(p);

	for (size_t i = 0; i < c->n_until; i++) {
		struct buf have = { .cap = 1 << 16 }, want = { .cap = 4096 };
		struct errbuf eb;
		bool same = root && program_first_value(root, c->until[i].key, &have) &&
			    !fields_expand(&f, c->until[i].value, &want, &eb) && have.len == want.len &&
			    !memcmp(buf_data(&have), buf_data(&want), want.len);
		if (!same)
			err_say(&p->why, ERR_REFUSED, "%s: %s is '%.100s', waiting for '%.100s'",
				program_node(p)->name, c->until[i].key, have.len ? buf_cstr(&have) : "",
				want.len ? buf_cstr(&want) : "");
		buf_free(&have);
		buf_free(&want);
		if (!same)
			return false;
	}
	return true;
}

static bool take_result(struct program *p, const struct adapter_command *c, const struct job_result *r)
{
	struct fields f = program_fields(p);
	char word[256] = "";
	bool end;
	struct errbuf eb;
	const char *text = buf_cstr(r->out);
	json_t *root =
		text && (c->n_until || c->n_capture) ? json_loads(text, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	char line[1024];

	snprintf(line, sizeof(line), "%.*s", text ? (int)strcspn(text, "\n") : 0, text ? text : "");
	if (c->each && !each_word(p, c, word, sizeof(word), &end, &eb))
		f.each = word;
	bool good = r->status == 0 && holds(p, c, root) &&
		    !program_capture(p, &f, c->capture, c->n_capture, root, line);
	json_decref(root);
	return good;
}

static void command_done(void *owner, const struct job_result *r)
{
	struct program *p = owner;
	const struct adapter_command *c = &p->adapter->then[p->at];
	bool gave_up =
		r->timed_out || lab_may_have_given_up(r->status, loop_now_ms(p->lab->loop) - p->job_ms);
	char buf[200];

	p->job = NULL;
	if (p->state != PROGRAM_STARTING)
		return;
	if (take_result(p, c, r)) {
		if (c->each)
			p->word++;
		else
			p->at++;
		programs_advance(p->lab);
		return;
	}
	const char *last = job_last_words(r, buf, sizeof(buf));
	if (r->timed_out || r->status || !c->n_until)
		err_say(&p->why, ERR_REFUSED, "%s: '%s' %s%s%.200s", program_node(p)->name, c->argv[0],
			r->timed_out ? "did not end in time"
			: r->status  ? "failed"
				     : "says nothing to capture",
			*last ? ": " : "", last);
	if (c->again || (r->status == 0 && c->n_until))
		loop_timer_set(p->timer, PROGRAM_RETRY_MS);
	else
		program_fail(p, gave_up ? -ETIMEDOUT : ERR_REFUSED,
			p->why.text + strlen(program_node(p)->name) + 2);
}

int program_start_command(struct program *p, struct errbuf *eb)
{
	const struct adapter_command *c = &p->adapter->then[p->at];
	struct fields f = program_fields(p);
	char word[256] = "";
	char **argv = NULL;
	bool end = false;
	int on = p->node;

	if (c->each) {
		int err = each_word(p, c, word, sizeof(word), &end, eb);
		if (err)
			return err;
		f.each = word;
	}
	if (end || (c->once && p->started_before)) {
		p->at++;
		p->word = 0;
		return 0;
	}
	int err = 0;
	if (c->on) {
		struct buf name = { .cap = 128 };
		err = fields_expand(&f, c->on, &name, eb);
		on = err ? -1 : scenario_find_node(p->lab->s, buf_cstr(&name));
		buf_free(&name);
		if (!err && on < 0)
			err = err_say(eb, ERR_MALFORMED, "'on' names no node");
	}
	if (!err)
		err = fields_argv(&f, c->argv, &argv, eb);
	if (err)
		return err;
	struct proc_place at = lab_place(p->lab, on);
	at.as_user = on == p->node;
	p->job_ms = loop_now_ms(p->lab->loop);
	p->job = job_start(&at, (const char *const *)argv, lab_stretch_now(p->lab, COMMAND_TIMEOUT_MS),
		command_done, p, eb);
	fields_argv_free(argv);
	return p->job ? 0 : ERR_REFUSED;
}
