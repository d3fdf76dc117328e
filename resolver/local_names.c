#include "resolver/local_names.h"

#include "mesh/base/arena.h"
#include "mesh/base/log.h"
#include "mesh/base/table.h"
#include "mesh/base/wire.h"
#include "mesh/os/file.h"
#include "resolver/hosts.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EVERY_MS = 2000, FILE_MAX = 16 << 20, FILES_MAX = 256, ENTRIES_MAX = 100000, PATH_LEN = 4096 };

struct local_names {
	struct loop_timer *timer;
	struct zone *zone; /* a reference of our own */
	struct arena kept; /* owns sources */
	struct local_source *sources;
	size_t n_sources;
	uint64_t every_ms;
	uint64_t seen;	    /* hash over the files as they were */
	struct buf entries; /* as they are in the zone */
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

static bool entry_next(struct buf *entries, size_t *at, struct entry *e)
{
	if (*at == entries->len)
		return false;
	uint8_t *b = buf_data(entries) + *at;
	bool v4 = b[0] & ENTRY_V4;
	e->flags = b;
	e->ip = v4 ? addr_v4((uint32_t)be_get(b + 1, 4)) : addr_v6_bytes(b + 1);
	e->name = (const char *)b + (v4 ? 5 : 17);
	*at = (size_t)((const uint8_t *)e->name + strlen(e->name) + 1 - buf_data(entries));
	return true;
}

struct reading {
	const struct local_source *from;
	struct buf entries;
	size_t n;
};

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

static int file_take(void *arg, const char *path)
{
	struct reading *r = arg;
	struct hosts_ops ops = { entry_read, r };
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	int err = file_read(path, FILE_MAX, &b, &eb);
	if (err)
		log_warn("names of machines: %s", eb.text);
	else if (r->from->leases)
		err = leases_read((const char *)buf_data(&b), b.len, clock_unix_ms() / 1000, &ops);
	else
		err = hosts_read((const char *)buf_data(&b), b.len, &ops);
	buf_free(&b);
	return err == -ENOMEM || err == ERR_TOO_LARGE ? err : 0;
}

/* Those that the zone does not take (an alias has the name, or it is none) are marked. */
static void entries_add(struct local_names *x, struct buf *entries)
{
	struct entry e;
	for (size_t at = 0; entry_next(entries, &at, &e);)
		if (zone_add_address(x->zone, e.name, &e.ip, *e.flags & ENTRY_OWN))
			*e.flags |= ENTRY_LEFT_OUT;
}

static void entries_remove(struct local_names *x, struct buf *entries)
{
	struct entry e;
	for (size_t at = 0; entry_next(entries, &at, &e);)
		if (!(*e.flags & ENTRY_LEFT_OUT))
			zone_remove_address(x->zone, e.name, &e.ip, *e.flags & ENTRY_OWN);
}

static void entries_read(struct local_names *x)
{
	struct reading r = { 0 };
	int err = 0;
	for (size_t i = 0; !err && i < x->n_sources; i++) {
		struct errbuf eb = { 0 };
		r.from = &x->sources[i];
		err = file_each(r.from->path, file_take, &r, &eb);
		if (eb.code)
			log_warn("names of machines: %s", eb.text);
	}
	if (err) {
		log_error("names of machines: %s; the names stay as they were",
			err == -ENOMEM ? "out of memory" : "more than 100000");
		buf_free(&r.entries);
		return;
	}
	entries_add(x, &r.entries);
	entries_remove(x, &x->entries);
	buf_free(&x->entries);
	x->entries = r.entries;
	log_info("%zu names of machines out of files", r.n);
}

static void look(void *arg)
{
	struct local_names *x = arg;
	uint64_t seen = files_look(x);
	if (seen != x->seen) {
		x->seen = seen;
		entries_read(x);
	}
	if (x->n_sources)
		loop_timer_set(x->timer, x->every_ms);
}

struct local_names *local_names_open(struct loop *l, struct zone *z, const struct local_source *sources,
	size_t n, uint64_t every_ms, struct errbuf *eb)
{
	struct local_names *x = calloc(1, sizeof(*x));
	bool ok = x;
	if (x) {
		x->zone = zone_get(z);
		x->every_ms = every_ms ? every_ms : EVERY_MS;
		x->n_sources = n;
		x->sources = arena_array(&x->kept, n, sizeof(*x->sources));
		for (size_t i = 0; x->sources && i < n; i++)
			x->sources[i] =
				(struct local_source) { .path = arena_strdup(&x->kept, sources[i].path),
					.leases = sources[i].leases,
					.domain = arena_strdup(&x->kept, sources[i].domain) };
		x->timer = loop_timer_new(l, look, x);
		ok = x->timer && x->sources && !x->kept.failed;
	}
	if (!ok) {
		err_say(eb, -ENOMEM, "out of memory for names of machines");
		local_names_close(x);
		return NULL;
	}
	look(x);
	return x;
}

void local_names_close(struct local_names *x)
{
	if (!x)
		return;
	loop_timer_free(x->timer);
	zone_put(x->zone);
	buf_free(&x->entries);
	arena_free(&x->kept);
	free(x);
}
