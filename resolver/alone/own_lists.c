#include "resolver/alone/own_lists.h"

#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"
#include "resolver/block_list.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = OWN_NAMES_MAX * DNS_NAME_TEXT, LINE_TEXT = DNS_NAME_TEXT + 2, LISTS = OWN_FORGET };

struct own_lists {
	struct loop *loop;
	struct blocker *blocker;
	char state[PATH_MAX - 32], files[LISTS][PATH_MAX];
	struct work *work; /* a change that is being written; NULL: none */
	enum own_verb verb;
	char line[LINE_TEXT];
	struct errbuf eb;
	int code;
	void (*done)(void *arg, int code, const char *why);
	void *arg;
};

struct own_lists *own_lists_new(struct loop *l, struct blocker *b, const char *state)
{
	struct own_lists *o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->loop = l;
	o->blocker = b;
	snprintf(o->state, sizeof(o->state), "%s", state);
	snprintf(o->files[OWN_ALLOW], sizeof(o->files[0]), "%s/allowed.txt", o->state);
	snprintf(o->files[OWN_DENY], sizeof(o->files[0]), "%s/denied.txt", o->state);
	return o;
}

void own_lists_free(struct own_lists *o)
{
	if (!o)
		return;
	if (o->work)
		(void)work_finish(o->work);
	free(o);
}

int own_lists_text(const struct own_lists *o, enum own_verb which, struct buf *out, struct errbuf *eb)
{
	int err = file_read(o->files[which], TEXT_MAX, out, eb);
	return err == -ENOENT ? 0 : err;
}

/* ---- a change, on its own thread ---- */

/* All lines of text but `line`, into out; how many. */
static size_t lines_without(struct buf *text, const char *line, struct buf *out, bool *had, bool *ok)
{
	size_t n = 0;
	const char *at = buf_cstr(text);
	*had = false;
	*ok = at;
	for (size_t len; at && *at; at += len + (at[len] == '\n')) {
		len = strcspn(at, "\n");
		if (len == strlen(line) && memcmp(at, line, len) == 0) {
			*had = true;
		} else if (len) {
			*ok = *ok && buf_append(out, at, len) && buf_append(out, "\n", 1);
			n++;
		}
	}
	return n;
}

static int list_change(struct own_lists *o, enum own_verb which)
{
	struct buf text = { 0 }, out = { 0 };
	bool wanted = o->verb == which, had, ok;
	int err = own_lists_text(o, which, &text, &o->eb);
	size_t n = err ? 0 : lines_without(&text, o->line, &out, &had, &ok);
	if (!err && wanted && n >= OWN_NAMES_MAX)
		err = err_say(&o->eb, ERR_TOO_LARGE,
			"%d names are on that list; more belong in a file of their own", OWN_NAMES_MAX);
	if (!err && wanted)
		ok = ok && buf_printf(&out, "%s\n", o->line);
	if (!err && !ok)
		err = err_say(&o->eb, -ENOMEM, "memory is short");
	if (!err && had != wanted)
		err = file_write_atomic(o->files[which], 0600, buf_data(&out), out.len, &o->eb);
	buf_free(&text);
	buf_free(&out);
	return err;
}

/* First off the one list, then on the other: whatever happens between, the name is on one at most. */
static void change_run(void *arg)
{
	struct own_lists *o = arg;
	enum own_verb first = o->verb == OWN_ALLOW ? OWN_DENY : OWN_ALLOW;
	o->code = dir_make(o->state, 0700, &o->eb);
	o->code = o->code ? o->code : list_change(o, first);
	o->code = o->code ? o->code : list_change(o, first == OWN_ALLOW ? OWN_DENY : OWN_ALLOW);
}

static void change_done(void *arg)
{
	static const char *const did[] = {
		[OWN_ALLOW] = "let through", [OWN_DENY] = "blocked", [OWN_FORGET] = "on neither list any more"
	};
	struct own_lists *o = arg;
	o->work = NULL;
	if (o->code)
		log_error("%s", o->eb.text);
	else
		log_info("%s is %s, by hand", o->line, did[o->verb]);
	blocker_reread(o->blocker);
	if (o->done)
		o->done(o->arg, o->code, o->code ? o->eb.text : did[o->verb]);
}

struct item_seen {
	struct dns_name name;
	unsigned reach;
};

static int item_see(void *arg, const struct block_item *i)
{
	struct item_seen *s = arg;
	if (i->name.len)
		*s = (struct item_seen) { .name = i->name, .reach = i->reach };
	return 0;
}

/* As a list says it, so that the same name is the same line. */
static bool line_make(const char *text, char out[static LINE_TEXT], struct errbuf *eb)
{
	struct item_seen seen = { .reach = 0 };
	struct block_list_ops ops = { item_see, &seen };
	struct block_list *l = malloc(sizeof(*l));
	char name[DNS_NAME_TEXT];
	if (l && !strpbrk(text, " \t\r\n#/|")) {
		block_list_begin(l, true, &ops);
		(void)block_list_read(l, text, strlen(text));
		(void)block_list_end(l);
	}
	free(l);
	if (!seen.reach) {
		err_say(eb, ERR_MALFORMED, "this is no name as ads.example or *.ads.example");
		return false;
	}
	dns_name_format(&seen.name, name);
	size_t len = strlen(name);
	if (len && name[len - 1] == '.')
		name[len - 1] = 0;
	snprintf(out, LINE_TEXT, "%s%s", seen.reach & BLOCK_BELOW ? "*." : "", name);
	return true;
}

int own_lists_change(struct own_lists *o, enum own_verb verb, const char *name,
	void (*done)(void *arg, int code, const char *why), void *arg, struct errbuf *eb)
{
	if (o->work)
		return err_say(eb, -EBUSY, "another change is being written: try again in a moment");
	if (!line_make(name, o->line, eb))
		return ERR_MALFORMED;
	o->verb = verb;
	o->eb = (struct errbuf) { 0 };
	o->done = done;
	o->arg = arg;
	o->work = work_start(o->loop, change_run, change_done, o);
	return o->work ? 0 : err_say(eb, -ENOMEM, "memory is short");
}

void own_lists_unask(struct own_lists *o, void *arg)
{
	if (o->work && o->arg == arg)
		o->done = NULL;
}
