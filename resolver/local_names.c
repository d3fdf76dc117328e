/* While a thread reads files anew (struct renewal) it looks at the entries and the zone of before, which nobody changes
 * then; who closes the names meanwhile leaves them to its end. */
#include "resolver/local_names.h"

#include "mesh/base/arena.h"
#include "mesh/base/log.h"
#include "mesh/base/table.h"
#include "mesh/base/wire.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"
#include "resolver/hosts.h"
#include "resolver/zone.h"
#include "resolver/zone_end.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	EVERY_MS = 2000,
	FILE_MAX = 16 << 20,
	FILES_MAX = 256,
	ENTRIES_MAX = 100000,
	PATH_LEN = 4096,
	STEPS_MAX = 64 /* that come and go in a zone that serves: a fraction of a millisecond */
};

struct reading {
	const struct local_source *from;
	struct buf entries;
	struct buf said; /* what could not be read, each with its zero */
	size_t n;
	int err;
};
struct local_names {
	struct loop *loop; /* NULL: not watched */
	struct loop_timer *timer;
	struct local_watch watch;
	struct zone *zone; /* a reference of our own */
	struct arena kept; /* owns sources */
	struct local_source *sources;
	size_t n_sources;
	uint64_t seen;		 /* hash over the files as they were */
	struct buf entries;	 /* as they are in the zone */
	struct reading first;	 /* without its entries; said when they are watched */
	struct renewal *renewal; /* NULL: no thread reads */
	bool closed;
};

/* ---- files ---- */

/* Whether a folder's entry is a file of names; its path to in. */
static bool is_source(const char *folder, const char *name, char in[static PATH_LEN])
{
	struct stat st;
	if (name[0] == '.' || name[strlen(name) - 1] == '~')
		return false;
	return snprintf(in, PATH_LEN, "%s/%s", folder, name) < PATH_LEN && !stat(in, &st) &&
	       S_ISREG(st.st_mode);
}

/* Calls file for each file of a source: itself, or those in it, in the order of their names. eb: what of a folder is left
 * out. */
static int file_each(const char *path, int (*file)(void *arg, const char *path), void *arg, struct errbuf *eb)
{
	struct dirent **found;
	struct stat st;
	char in[PATH_LEN];
	int err = 0;
	size_t files = 0;
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return file(arg, path);
	int n = scandir(path, &found, NULL, alphasort);
	if (n < 0)
		err_set(eb, -errno, "read the folder %s", path);
	for (int i = 0; i < n; i++) {
		if (!err && is_source(path, found[i]->d_name, in) && files++ < FILES_MAX)
			err = file(arg, in);
		free(found[i]);
	}
	if (n >= 0)
		free(found);
	if (files > FILES_MAX)
		err_say(eb, ERR_TOO_LARGE, "of the %zu files in %s only the first %d are read", files, path,
			FILES_MAX);
	return err;
}

static int file_look(void *arg, const char *path)
{
	uint64_t *seen = arg;
	struct stat st = { 0 };
	(void)stat(path, &st);
	uint64_t facts[] = { (uint64_t)st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
		(uint64_t)st.st_mtim.tv_nsec, (uint64_t)st.st_ctim.tv_nsec };
	*seen = hash_bytes(facts, sizeof(facts), *seen, 0);
	*seen = hash_bytes(path, strlen(path), *seen, 0);
	return 0;
}

static uint64_t files_look(const struct local_names *x)
{
	uint64_t seen = 0;
	for (size_t i = 0; i < x->n_sources; i++) {
		struct errbuf eb = { 0 };
		(void)file_each(x->sources[i].path, file_look, &seen, &eb);
		seen = hash_bytes(eb.text, strlen(eb.text), seen, 0); /* one more that is left out is news */
	}
	return seen;
}

/* ---- entries ---- */

/* One after the other: flags, 4 or 16 bytes of an address, the name as text with its zero. */
enum { ENTRY_OWN = 1, ENTRY_V4 = 2, ENTRY_LEFT_OUT = 4 };
struct entry {
	uint8_t *flags;
	struct addr ip;
	const char *name;
};
struct entries { /* some of them */
	struct buf *of;
	size_t at, end; /* bytes */
};

static struct entries entries_all(struct buf *of)
{
	return (struct entries) { .of = of, .end = of->len };
}

static bool entry_next(struct entries *in, struct entry *e)
{
	if (in->at >= in->end)
		return false;
	uint8_t *b = buf_data(in->of) + in->at;
	bool v4 = b[0] & ENTRY_V4;
	e->flags = b;
	e->ip = v4 ? addr_v4((uint32_t)be_get(b + 1, 4)) : addr_v6_bytes(b + 1);
	e->name = (const char *)b + (v4 ? 5 : 17);
	in->at = (size_t)((const uint8_t *)e->name + strlen(e->name) + 1 - buf_data(in->of));
	return true;
}

static size_t entries_count(struct entries in)
{
	struct entry e;
	size_t n = 0;
	while (entry_next(&in, &e))
		n++;
	return n;
}

static int entry_keep(
	struct reading *r, const struct addr *ip, const char *name, const char *domain, bool own)
{
	bool v4 = addr_is_v4(ip);
	uint8_t flags = (uint8_t)((own ? ENTRY_OWN : 0) | (v4 ? ENTRY_V4 : 0));
	if (r->n == ENTRIES_MAX)
		return ERR_TOO_LARGE;
	bool ok = buf_append(&r->entries, &flags, 1) &&
		  buf_append(&r->entries, v4 ? ip->b + 12 : ip->b, v4 ? 4 : 16) &&
		  buf_append(&r->entries, name, strlen(name)) &&
		  (!domain || (buf_append(&r->entries, ".", 1) &&
				      buf_append(&r->entries, domain, strlen(domain)))) &&
		  buf_append(&r->entries, "", 1);
	r->n += ok;
	return ok ? 0 : -ENOMEM;
}

static int entry_read(void *arg, const struct addr *ip, const struct dns_name *name, bool own)
{
	struct reading *r = arg;
	char text[DNS_NAME_TEXT];
	bool below = r->from->domain && dns_name_labels(name) == 1;
	dns_name_format(name, text);
	int err = below ? entry_keep(r, ip, text, r->from->domain, own) : 0;
	return err ? err : entry_keep(r, ip, text, NULL, own && !below);
}

static void say(struct reading *r, const struct errbuf *eb)
{
	(void)buf_append(&r->said, eb->text, strlen(eb->text) + 1); /* where memory is short, that is said */
}

static int file_take(void *arg, const char *path)
{
	struct reading *r = arg;
	struct hosts_ops ops = { entry_read, r };
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	int err = file_read(path, FILE_MAX, &b, &eb);
	if (err)
		say(r, &eb);
	else if (r->from->leases)
		err = leases_read((const char *)buf_data(&b), b.len, clock_unix_ms() / 1000, &ops);
	else
		err = hosts_read((const char *)buf_data(&b), b.len, &ops);
	buf_free(&b);
	return err == -ENOMEM || err == ERR_TOO_LARGE ? err : 0;
}

static void files_read(const struct local_names *x, struct reading *r)
{
	for (size_t i = 0; !r->err && i < x->n_sources; i++) {
		struct errbuf eb = { 0 };
		r->from = &x->sources[i];
		r->err = file_each(r->from->path, file_take, r, &eb);
		if (eb.code)
			say(r, &eb);
	}
}

static void reading_free(struct reading *r)
{
	buf_free(&r->entries);
	buf_free(&r->said);
}

static const char too_many[] = "more than 100000";

/* What the log is told of it. */
static void reading_say(const struct reading *r)
{
	const char *text = (const char *)buf_data(&r->said);
	for (size_t at = 0; at < r->said.len; at += strlen(text + at) + 1)
		log_warn("names of machines: %s", text + at);
	if (r->err)
		log_error("names of machines: %s; the names stay as they were",
			r->err == -ENOMEM ? "out of memory" : too_many);
	else
		log_info("%zu names of machines out of files", r->n);
}

/* ---- in the zone ---- */

static void entries_remove(struct zone *z, struct entries in)
{
	struct entry e;
	while (entry_next(&in, &e))
		if (!(*e.flags & ENTRY_LEFT_OUT))
			zone_remove_address(z, e.name, &e.ip, *e.flags & ENTRY_OWN);
}

/* Those that the zone does not take (an alias has the name, or it is none) are marked. -ENOMEM: none of them is there. */
static int entries_add(struct zone *z, struct entries in)
{
	struct entries added = { .of = in.of, .at = in.at, .end = in.at };
	for (struct entry e; entry_next(&in, &e); added.end = in.at) {
		int err = zone_add_address(z, e.name, &e.ip, *e.flags & ENTRY_OWN);
		if (err == -ENOMEM) {
			entries_remove(z, added);
			return err;
		}
		if (err)
			*e.flags |= ENTRY_LEFT_OUT;
	}
	return 0;
}

/* Whether an entry begins there. */
static bool begins_at(struct entries in, size_t at)
{
	struct entry e;
	while (in.at < at && entry_next(&in, &e))
		;
	return in.at == at;
}

/* Leaves of both what is not the same at their beginnings and ends; what is has in the new the marks of the old. */
static void entries_compare(struct entries *old, struct entries *new)
{
	struct entries a = *old, b = *new;
	struct entry x, y;
	while (entry_next(&a, &x) && entry_next(&b, &y) && (*x.flags & ~ENTRY_LEFT_OUT) == *y.flags &&
		addr_equal(&x.ip, &y.ip) && strcmp(x.name, y.name) == 0) {
		*y.flags = *x.flags;
		*old = a;
		*new = b;
	}
	const uint8_t *p = buf_data(old->of), *q = buf_data(new->of);
	size_t from = old->end, to = new->end;
	while (from > old->at && to > new->at &&p[from - 1] == q[to - 1])
		from--, to--;
	for (struct entries in = *old; in.at < from && entry_next(&in, &x);)
		a = in;
	if (from > old->at) { /* where the first whole entry behind that begins */
		to += a.at - from;
		from = a.at;
	}
	if (!begins_at(*old, from) || !begins_at(*new, to))
		return;
	old->end = from;
	new->end = to;
}

/* ---- renewal ---- */

struct renewal {
	struct local_names *of;
	struct reading read;
	struct entries goes, comes;
	struct zone *zone; /* with what comes and without what goes; NULL: these are few */
};

static void renew(void *arg)
{
	struct renewal *w = arg;
	struct local_names *x = w->of;
	files_read(x, &w->read);
	if (w->read.err)
		return;
	w->goes = entries_all(&x->entries);
	w->comes = entries_all(&w->read.entries);
	entries_compare(&w->goes, &w->comes);
	if (entries_count(w->goes) + entries_count(w->comes) <= STEPS_MAX && !zone_is_sparse(x->zone))
		return;
	w->zone = zone_copy(x->zone);
	w->read.err = w->zone ? entries_add(w->zone, w->comes) : -ENOMEM;
	if (!w->read.err)
		entries_remove(w->zone, w->goes);
}

static void renewal_free(struct renewal *w)
{
	zone_put(w->zone);
	reading_free(&w->read);
	free(w);
}

static void names_free(struct local_names *x)
{
	if (x->loop)
		zone_end(x->loop, x->zone);
	else
		zone_put(x->zone);
	buf_free(&x->entries);
	reading_free(&x->first);
	arena_free(&x->kept);
	free(x);
}

/* What comes is in the zone. The owner may close the names when it is told. */
static void names_take(struct local_names *x, struct renewal *w)
{
	struct zone *z = w->zone, *old = z ? x->zone : NULL;
	struct loop *l = x->loop;
	if (!z)
		entries_remove(x->zone, w->goes);
	buf_free(&x->entries);
	x->entries = w->read.entries;
	w->read.entries = (struct buf) { 0 };
	if (!z)
		return;
	w->zone = NULL;
	x->zone = z;
	x->watch.changed(x->watch.arg, z);
	zone_end(l, old);
}

static void renewed(void *arg)
{
	struct renewal *w = arg;
	struct local_names *x = w->of;
	x->renewal = NULL;
	if (x->closed) {
		names_free(x);
	} else {
		if (!w->read.err && !w->zone)
			w->read.err = entries_add(x->zone, w->comes);
		reading_say(&w->read);
		if (!w->read.err)
			names_take(x, w);
		else if (w->read.err == -ENOMEM)
			x->seen = 0; /* the next look tries it again */
	}
	renewal_free(w);
}

static void renewal_begin(struct local_names *x)
{
	struct renewal *w = calloc(1, sizeof(*w));
	if (w)
		w->of = x;
	if (w && work_start(x->loop, renew, renewed, w)) {
		x->renewal = w;
		return;
	}
	free(w);
	x->seen = 0; /* the next look tries it again */
}

static void look(void *arg)
{
	struct local_names *x = arg;
	uint64_t seen = x->renewal ? x->seen : files_look(x);
	if (seen != x->seen) {
		x->seen = seen;
		renewal_begin(x);
	}
	if (x->n_sources)
		loop_timer_set(x->timer, x->watch.every_ms);
}

/* ---- the outside ---- */

struct local_names *local_names_read(
	struct zone *z, const struct local_source *sources, size_t n, struct errbuf *eb)
{
	struct local_names *x = calloc(1, sizeof(*x));
	if (x) {
		x->zone = zone_get(z);
		x->n_sources = n;
		x->sources = arena_array(&x->kept, n, sizeof(*x->sources));
		for (size_t i = 0; x->sources && i < n; i++)
			x->sources[i] =
				(struct local_source) { .path = arena_strdup(&x->kept, sources[i].path),
					.leases = sources[i].leases,
					.domain = arena_strdup(&x->kept, sources[i].domain) };
	}
	if (!x || !x->sources || x->kept.failed) {
		err_say(eb, -ENOMEM, "out of memory for names of machines");
		local_names_close(x);
		return NULL;
	}
	x->seen = files_look(x);
	files_read(x, &x->first);
	if (!x->first.err) {
		x->entries = x->first.entries;
		x->first.entries = (struct buf) { 0 };
		x->first.err = entries_add(z, entries_all(&x->entries));
	}
	if (x->first.err != -ENOMEM)
		return x;
	err_say(eb, -ENOMEM, "out of memory for names of machines");
	local_names_close(x);
	return NULL;
}

bool local_names_check(const struct local_source *sources, size_t n, struct buf *said)
{
	const struct local_names x = { .sources = (struct local_source *)(uintptr_t)sources, .n_sources = n };
	struct reading r = { 0 };
	files_read(&x, &r);
	bool ok = r.err != -ENOMEM && (!r.said.len || buf_append(said, buf_data(&r.said), r.said.len));
	if (r.err == ERR_TOO_LARGE)
		ok = ok && buf_append(said, too_many, sizeof(too_many));
	reading_free(&r);
	return ok;
}

bool local_names_watch(struct local_names *x, struct loop *l, const struct local_watch *w)
{
	x->timer = loop_timer_new(l, look, x);
	if (!x->timer)
		return false;
	x->loop = l;
	x->watch = *w;
	x->watch.every_ms = w->every_ms ? w->every_ms : EVERY_MS;
	if (x->n_sources) {
		reading_say(&x->first);
		loop_timer_set(x->timer, x->watch.every_ms);
	}
	reading_free(&x->first);
	return true;
}

void local_names_close(struct local_names *x)
{
	if (!x)
		return;
	loop_timer_free(x->timer);
	x->timer = NULL;
	x->closed = true;
	if (!x->renewal)
		names_free(x);
}
