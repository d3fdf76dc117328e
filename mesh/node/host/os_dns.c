#include "mesh/node/host/os_dns.h"
#include "mesh/base/addr.h"
#include "mesh/base/log.h"
#include "mesh/node/host/resolv_conf.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK "# Made by ropewalkd: the mesh's names are answered by its resolver.\n"
#define NO_FILE "# Kept by ropewalkd: there was no file.\n"

enum { RESOLV_MAX = 64 * 1024, REWRITE_BURST = 3, REWRITE_MS = 10000 };

/* While active, `backup` is the machine's own file: the same inode (or symbolic link) where the folder allows
 * it, so that owner, mode and link come back by one rename; a copy where the file is a mount of its own. */
struct os_dns {
	char path[PATH_MAX - 64], backup[PATH_MAX], *ours; /* ours: the text we wrote; NULL = not active */
	struct loop *loop;
	int watch_fd,
		file_wd; /* file_wd: our file itself; a mount is written to without news of its folder */
	struct loop_fd *watch;
	struct loop_timer *again; /* set: another program has rewritten it too often */
	void (*changed)(void *arg);
	void *arg;
	struct log_limit limit;
	struct buf base;	/* the machine's own text; outlives the backup, should somebody remove that */
	const char *uplinks;	/* who is behind systemd-resolved's stub; borrowed */
	struct buf behind;	/* its text, where base names the stub alone */
	struct resolv_conf own; /* what both say */
};

/* Rename where we can, in place where the file is a mount of its own (containers). */
static int write_file(const char *path, const void *p, size_t len, struct errbuf *eb)
{
	int err = file_write_atomic(path, 0644, p, len, eb);
	if (err != -EBUSY && err != -EXDEV)
		return err;
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return err_set(eb, -errno, "write %s", path);
	ssize_t n = write(fd, p, len);
	close(fd);
	return n == (ssize_t)len ? 0 : err_set(eb, n < 0 ? -errno : -EIO, "write %s", path);
}

static bool is_text(const struct buf *b, const char *text, bool whole)
{
	size_t n = strlen(text);
	return (whole ? b->len == n : b->len >= n) && memcmp(buf_data(b), text, n) == 0;
}

static bool same_text(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (!a->len || memcmp(buf_data(a), buf_data(b), a->len) == 0);
}

static bool has_backup(const struct os_dns *d)
{
	struct stat st;
	return lstat(d->backup, &st) == 0;
}

static void own_parse(struct os_dns *d)
{
	struct resolv_conf behind;
	resolv_conf_parse((const char *)buf_data(&d->base), d->base.len, &d->own);
	buf_free(&d->behind);
	if (!resolv_conf_is_stub(&d->own) || file_read(d->uplinks, RESOLV_MAX, &d->behind, NULL) != 0)
		return;
	resolv_conf_parse((const char *)buf_data(&d->behind), d->behind.len, &behind);
	/* nothing there, or its stub again: then the stub it is, and a ring is found out by the resolver */
	if (!behind.n_nameservers || resolv_conf_is_stub(&behind))
		return;
	memcpy(d->own.nameservers, behind.nameservers, sizeof(behind.nameservers));
	d->own.n_nameservers = behind.n_nameservers;
}

/* Into base: what the machine itself says. A dangling link and a missing file say nothing; a backup that was
 * removed is no word of the machine at all. */
static void read_base(struct os_dns *d, const char *from)
{
	struct buf now = { 0 };
	int err = file_read(from, RESOLV_MAX, &now, NULL);
	if (err != -ENOENT || from != d->backup || has_backup(d)) {
		buf_free(&d->base);
		if (!err && !is_text(&now, NO_FILE, true)) {
			d->base = now;
			now = (struct buf) { 0 };
		}
	}
	buf_free(&now);
	own_parse(d);
}

static int keep_own(struct os_dns *d, struct errbuf *eb)
{
	struct buf now = { 0 };
	/* A node's text is never the machine's own: what is kept already is. */
	bool by_node = file_read(d->path, RESOLV_MAX, &now, NULL) == 0 && is_text(&now, MARK, false);
	buf_free(&now);
	if (by_node && has_backup(d))
		return 0;
	unlink(d->backup);
	if (link(d->path, d->backup) == 0)
		return 0;
	int err = errno == ENOENT ? -ENOENT : file_read(d->path, RESOLV_MAX, &now, eb);
	if (err == -ENOENT)
		err = file_write_atomic(d->backup, 0644, NO_FILE, strlen(NO_FILE), eb);
	else if (!err)
		err = file_write_atomic(d->backup, 0644, buf_data(&now), now.len, eb);
	buf_free(&now);
	return err;
}

static bool backup_says_none(const struct os_dns *d)
{
	struct buf saved = { 0 };
	bool none = file_read(d->backup, RESOLV_MAX, &saved, NULL) == 0 && is_text(&saved, NO_FILE, true);
	buf_free(&saved);
	return none;
}

/* The file as it was, unless another program has written its own meanwhile: the backup, or where somebody
 * removed that, what we remember of it. */
static void put_back(struct os_dns *d)
{
	struct errbuf eb;
	struct buf now = { 0 };
	bool there = file_read(d->path, RESOLV_MAX, &now, NULL) == 0;
	bool ours = !there || !now.len || is_text(&now, MARK, false);
	bool none = has_backup(d) ? backup_says_none(d) : !d->base.len;
	int err = 0;
	buf_free(&now);
	if (ours && none) {
		unlink(d->path);
	} else if (ours && rename(d->backup, d->path) != 0) {
		read_base(d, d->backup);
		err = write_file(d->path, buf_data(&d->base), d->base.len, &eb);
		if (err)
			log_error("%s; the machine's own file is %s", eb.text, d->backup);
	}
	if (!err)
		unlink(d->backup);
}

/* Takes the news; whether somebody has finished writing the file. */
static bool drain(const struct os_dns *d)
{
	union {
		struct inotify_event align;
		char b[4096];
	} news;
	const char *slash = strrchr(d->path, '/'), *name = slash ? slash + 1 : d->path;
	bool written = false;
	ssize_t n;
	while ((n = read(d->watch_fd, news.b, sizeof(news.b))) > 0) {
		struct inotify_event e;
		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(e) + e.len)) {
			memcpy(&e, news.b + at, sizeof(e));
			bool about =
				e.wd == d->file_wd || (e.len && strcmp(news.b + at + sizeof(e), name) == 0);
			written = written || (about && (e.mask & IN_CLOSE_WRITE));
		}
	}
	return written;
}

static void watch_file(struct os_dns *d)
{
	int wd = inotify_add_watch(d->watch_fd, d->path, IN_CLOSE_WRITE | IN_DELETE_SELF);
	if (d->file_wd >= 0 && d->file_wd != wd)
		inotify_rm_watch(d->watch_fd, d->file_wd);
	d->file_wd = wd;
}

static int write_ours(struct os_dns *d, struct errbuf *eb)
{
	int err = write_file(d->path, d->ours, strlen(d->ours), eb);
	watch_file(d);
	return err;
}

/* Is the file still what we wrote? An empty one may be about to be written: its end is told too. */
static bool is_ours(struct os_dns *d, bool written, bool *there)
{
	struct stat st;
	struct buf now = { 0 };
	*there = lstat(d->path, &st) == 0;
	if (*there && S_ISREG(st.st_mode) && !st.st_size && !written)
		return true;
	file_read(d->path, RESOLV_MAX, &now, NULL);
	bool same = is_text(&now, d->ours, true);
	buf_free(&now);
	return same;
}

static bool is_empty(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && !st.st_size;
}

static void os_dns_look(struct os_dns *d, bool written)
{
	bool there;
	if (!d->ours || is_ours(d, written, &there))
		return;
	/* What the other program wrote is the machine's own word now; an empty file is none. */
	if (there && !is_empty(d->path)) {
		keep_own(d, NULL);
		read_base(d, d->backup);
	}
	if (log_allowed(&d->limit, REWRITE_BURST, loop_now_ms(d->loop) * 1000 / REWRITE_MS)) {
		log_warn("%s was %s by another program; pointing it at the mesh resolver again", d->path,
			there ? "rewritten" : "removed");
		write_ours(d, NULL);
	} else {
		loop_timer_set(d->again, REWRITE_MS);
	}
	d->changed(d->arg);
}

static void file_changed(void *arg, int events)
{
	struct os_dns *d = arg;
	(void)events;
	bool written = drain(d);
	if (!loop_timer_is_set(d->again))
		os_dns_look(d, written);
}

static void look_again(void *arg)
{
	struct os_dns *d = arg;
	os_dns_look(d, true);
	if (d->ours)
		d->changed(d->arg);
}

struct os_dns *os_dns_open(
	struct loop *l, const char *path, const char *uplinks, void (*changed)(void *arg), void *arg)
{
	struct os_dns *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	snprintf(d->path, sizeof(d->path), "%s", path);
	snprintf(d->backup, sizeof(d->backup), "%s.before-ropewalk", d->path);
	d->uplinks = uplinks;
	d->loop = l;
	d->changed = changed;
	d->arg = arg;
	d->watch_fd = d->file_wd = -1;
	d->again = loop_timer_new(l, look_again, d);
	if (!d->again) {
		free(d);
		return NULL;
	}
	read_base(d, has_backup(d) ? d->backup : d->path);
	d->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return d;
}

void os_dns_recover(struct os_dns *d)
{
	if (!has_backup(d))
		return;
	log_info("putting %s back as it was before a crash", d->path);
	put_back(d);
	read_base(d, d->path);
}

bool os_dns_active(const struct os_dns *d)
{
	return d->ours != NULL;
}

void os_dns_restore(struct os_dns *d)
{
	if (!d->ours)
		return;
	free(d->ours);
	d->ours = NULL;
	loop_timer_clear(d->again);
	put_back(d);
	read_base(d, d->path);
}

void os_dns_close(struct os_dns *d)
{
	if (!d)
		return;
	os_dns_restore(d);
	loop_timer_free(d->again);
	loop_fd_free(d->watch);
	if (d->watch_fd >= 0)
		close(d->watch_fd);
	buf_free(&d->base);
	buf_free(&d->behind);
	free(d);
}

static void start_watch(struct os_dns *d)
{
	char folder[PATH_MAX];
	if (d->watch || d->watch_fd < 0)
		return;
	snprintf(folder, sizeof(folder), "%s", d->path);
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = 0;
	const char *at = !slash ? "." : folder[0] ? folder : "/";
	inotify_add_watch(
		d->watch_fd, at, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM);
	d->watch = loop_fd_new(d->loop, d->watch_fd, file_changed, d);
	if (d->watch)
		loop_fd_set(d->watch, LOOP_READ);
}

/* The mesh's nameserver alone; its search domains, then the machine's own; the machine's own options. What
 * comes from the server is names or it does not reach the file. */
static char *text_make(
	const struct os_dns *d, const struct addr *nameserver, const char *const *search, size_t n)
{
	struct resolv_conf c = { .nameservers = { { .ip = *nameserver, .port = 53 } }, .n_nameservers = 1 };
	struct buf text = { 0 };
	for (size_t i = 0; i < n; i++)
		resolv_conf_search_add(&c, search[i], strlen(search[i]));
	for (size_t i = 0; i < d->own.n_search; i++)
		resolv_conf_search_add(&c, d->own.search[i], strlen(d->own.search[i]));
	memcpy(c.options, d->own.options, sizeof(c.options));
	bool ok = buf_append(&text, MARK, strlen(MARK)) && resolv_conf_write(&c, &text);
	const char *s = ok ? buf_cstr(&text) : NULL;
	char *copy = s ? strdup(s) : NULL;
	buf_free(&text);
	return copy;
}

int os_dns_set(struct os_dns *d, const struct addr *nameserver, const char *const *search, size_t n,
	struct errbuf *eb)
{
	char *text = text_make(d, nameserver, search, n);
	if (!text)
		return err_set(eb, -ENOMEM, "write %s", d->path);
	if (d->ours && strcmp(d->ours, text) == 0) {
		free(text);
		return loop_timer_is_set(d->again) ? err_say(eb, -EBUSY,
							     "another program rewrites %s again and again; "
							     "let it leave the file alone, or run "
							     "`ropewalk up --accept-dns=false`",
							     d->path)
						   : 0;
	}
	bool fresh = !d->ours;
	int err = fresh ? keep_own(d, eb) : 0;
	/* Before the write, so that our own news of it is recognised. */
	if (!err) {
		free(d->ours);
		d->ours = text;
		start_watch(d);
		err = write_ours(d, eb);
	} else {
		free(text);
	}
	if (err && fresh) {
		free(d->ours);
		d->ours = NULL;
		unlink(d->backup);
	}
	return err;
}

bool os_dns_base_changed(struct os_dns *d)
{
	struct buf base = { 0 }, behind = d->behind;
	bool ok = buf_append(&base, buf_data(&d->base), d->base.len);
	d->behind = (struct buf) { 0 };
	read_base(d, d->ours ? d->backup : d->path);
	bool same = ok && same_text(&base, &d->base) && same_text(&behind, &d->behind);
	buf_free(&base);
	buf_free(&behind);
	return !same;
}

size_t os_dns_base(const struct os_dns *d, struct endpoint *out, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < d->own.n_nameservers && n < cap; i++)
		if (!addr_is_service(&d->own.nameservers[i].ip))
			out[n++] = d->own.nameservers[i];
	return n;
}
