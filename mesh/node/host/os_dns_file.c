#include "mesh/node/host/os_dns_file.h"
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

#define NO_FILE "# Kept by ropewalkd: there was no file.\n"

enum { RESOLV_MAX = 64 * 1024, REWRITE_BURST = 3, REWRITE_MS = 10000 };

/* While active, `backup` is the machine's own file: the same inode (or symbolic link) where the folder allows
 * it, so that owner, mode and link come back by one rename; a copy where the file is a mount of its own.
 * With as_link our text is in `beside`, and the file a link to it. */
struct os_dns_file {
	char path[PATH_MAX - 64], backup[PATH_MAX], beside[PATH_MAX];
	char *ours; /* the text we wrote; NULL = not active */
	bool as_link;
	char kept[PATH_MAX]; /* what says at any time what the machine's own file would; "" = that itself */
	int kept_wd, uplinks_wd;
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

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Is the file our link? */
static bool is_our_link(const struct os_dns_file *d)
{
	char at[PATH_MAX];
	ssize_t n = readlink(d->path, at, sizeof(at) - 1);
	at[n < 0 ? 0 : n] = 0;
	return n > 0 && strcmp(at, last_part(d->beside)) == 0;
}

/* In one step, as a file is replaced. */
static int put_link(const struct os_dns_file *d, struct errbuf *eb)
{
	char made[PATH_MAX + 8];
	if (is_our_link(d))
		return 0;
	snprintf(made, sizeof(made), "%s.link", d->beside);
	unlink(made);
	if (symlink(last_part(d->beside), made) == 0 && rename(made, d->path) == 0)
		return 0;
	int err = -errno;
	unlink(made);
	return err_set(eb, err, "put a link at %s", d->path);
}

static bool has_backup(const struct os_dns_file *d)
{
	struct stat st;
	return lstat(d->backup, &st) == 0;
}

static void own_parse(struct os_dns_file *d)
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
 * removed is no word of the machine at all, and what cannot be read for want of descriptors is not known, rather than nothing. */
static void read_base(struct os_dns_file *d, const char *from)
{
	struct buf now = { 0 };
	int err = d->kept[0] ? file_read(d->kept, RESOLV_MAX, &now, NULL) : -ENOENT;
	if (err)
		err = file_read(from, RESOLV_MAX, &now, NULL);
	if (!file_is_shortage(err) && (err != -ENOENT || from != d->backup || has_backup(d))) {
		buf_free(&d->base);
		if (!err && !is_text(&now, NO_FILE, true)) {
			d->base = now;
			now = (struct buf) { 0 };
		}
	}
	buf_free(&now);
	own_parse(d);
}

static int keep_own(struct os_dns_file *d, struct errbuf *eb)
{
	struct buf now = { 0 };
	int err = file_read(d->path, RESOLV_MAX, &now, eb);
	/* A node's text is never the machine's own: what is kept already is. */
	bool by_node = !err && is_text(&now, RESOLV_CONF_MARK, false) && has_backup(d);
	if (!by_node && !file_is_shortage(err)) {
		unlink(d->backup);
		/* what somebody wrote through our link is a text, not that link */
		if (!is_our_link(d) && link(d->path, d->backup) == 0)
			err = 0;
		else if (err == -ENOENT)
			err = file_write_atomic(d->backup, 0644, NO_FILE, strlen(NO_FILE), eb);
		else if (!err)
			err = file_write_atomic(d->backup, 0644, buf_data(&now), now.len, eb);
	}
	buf_free(&now);
	return err;
}

/* Takes no memory: what it says decides what stays behind when a node ends for want of it. */
static bool backup_says_none(const struct os_dns_file *d)
{
	char text[sizeof(NO_FILE)];
	int fd = open(d->backup, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return file_is_shortage(-errno) && !d->base.len;
	ssize_t n = read(fd, text, sizeof(text));
	close(fd);
	return n == (ssize_t)strlen(NO_FILE) && memcmp(text, NO_FILE, strlen(NO_FILE)) == 0;
}

/* A file that its owner would have written anew since. */
static int bring_up_to_date(struct os_dns_file *d, struct errbuf *eb)
{
	struct buf now = { 0 };
	struct stat st;
	int err = 0;
	if (!d->kept[0] || lstat(d->path, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	read_base(d, d->path);
	if (d->base.len && file_read(d->path, RESOLV_MAX, &now, NULL) == 0 && !same_text(&now, &d->base))
		err = write_file(d->path, buf_data(&d->base), d->base.len, eb);
	buf_free(&now);
	return err;
}

/* The file as it was, unless another program has written its own meanwhile: the backup, or where somebody
 * removed that, what we remember of it. */
static void put_back(struct os_dns_file *d)
{
	struct errbuf eb;
	struct buf now = { 0 };
	bool there = file_read(d->path, RESOLV_MAX, &now, NULL) == 0;
	bool ours = !there || !now.len || is_text(&now, RESOLV_CONF_MARK, false);
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
	} else if (ours && bring_up_to_date(d, &eb) != 0) {
		log_warn("%s", eb.text);
	}
	if (!err)
		unlink(d->backup);
	if (is_our_link(d)) /* somebody wrote through it: a file then, as they meant */
		(void)rename(d->beside, d->path);
	else
		unlink(d->beside);
}

struct file_news {
	bool written; /* somebody has finished writing the file */
	bool kept;    /* what the machine's own word is read from has changed */
};

static struct file_news drain(const struct os_dns_file *d)
{
	union {
		struct inotify_event align;
		char b[4096];
	} news;
	struct file_news all = { 0 };
	ssize_t n;
	while ((n = read(d->watch_fd, news.b, sizeof(news.b))) > 0) {
		struct inotify_event e;
		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(e) + e.len)) {
			memcpy(&e, news.b + at, sizeof(e));
			const char *name = e.len ? news.b + at + sizeof(e) : "";
			bool done = e.mask & (IN_CLOSE_WRITE | IN_MOVED_TO);
			bool about = e.wd == d->file_wd || strcmp(name, last_part(d->path)) == 0;
			all.written = all.written || (about && (e.mask & IN_CLOSE_WRITE));
			all.kept = all.kept ||
				   (done && e.wd == d->kept_wd && !strcmp(name, last_part(d->kept))) ||
				   (done && e.wd == d->uplinks_wd && !strcmp(name, last_part(d->uplinks)));
		}
	}
	return all;
}

static void watch_file(struct os_dns_file *d)
{
	int wd = inotify_add_watch(d->watch_fd, d->path, IN_CLOSE_WRITE | IN_DELETE_SELF);
	if (d->file_wd >= 0 && d->file_wd != wd)
		inotify_rm_watch(d->watch_fd, d->file_wd);
	d->file_wd = wd;
}

static int write_ours(struct os_dns_file *d, struct errbuf *eb)
{
	int err = write_file(d->as_link ? d->beside : d->path, d->ours, strlen(d->ours), eb);
	if (!err && d->as_link)
		err = put_link(d, eb);
	watch_file(d);
	return err;
}

/* Is the file still what we wrote? An empty one may be about to be written: its end is told too. Where our link leads
 * nowhere, nobody has written anything. */
static bool is_ours(struct os_dns_file *d, bool written, bool *there)
{
	struct stat st;
	struct buf now = { 0 };
	*there = (is_our_link(d) ? stat(d->path, &st) : lstat(d->path, &st)) == 0;
	if (*there && S_ISREG(st.st_mode) && !st.st_size && !written)
		return true;
	int err = file_read(d->path, RESOLV_MAX, &now, NULL);
	bool same = is_text(&now, d->ours, true);
	buf_free(&now);
	return same || file_is_shortage(err);
}

static bool is_empty(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && !st.st_size;
}

static void os_dns_look(struct os_dns_file *d, bool written)
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
	struct os_dns_file *d = arg;
	(void)events;
	struct file_news news = drain(d);
	if (!loop_timer_is_set(d->again))
		os_dns_look(d, news.written);
	if (news.kept && os_dns_file_base_changed(d))
		d->changed(d->arg);
}

static void look_again(void *arg)
{
	struct os_dns_file *d = arg;
	os_dns_look(d, true);
	if (d->ours)
		d->changed(d->arg);
}

struct os_dns_file *os_dns_file_open(
	struct loop *l, const char *path, const char *uplinks, void (*changed)(void *arg), void *arg)
{
	struct os_dns_file *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	snprintf(d->path, sizeof(d->path), "%s", path);
	snprintf(d->backup, sizeof(d->backup), "%s.before-ropewalk", d->path);
	snprintf(d->beside, sizeof(d->beside), "%s.ropewalk", d->path);
	d->uplinks = uplinks;
	d->loop = l;
	d->changed = changed;
	d->arg = arg;
	d->watch_fd = d->file_wd = d->kept_wd = d->uplinks_wd = -1;
	d->again = loop_timer_new(l, look_again, d);
	if (!d->again) {
		free(d);
		return NULL;
	}
	read_base(d, has_backup(d) ? d->backup : d->path);
	d->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return d;
}

void os_dns_file_recover(struct os_dns_file *d)
{
	if (!has_backup(d))
		return;
	log_info("putting %s back as it was before a crash", d->path);
	put_back(d);
	read_base(d, d->path);
}

bool os_dns_file_active(const struct os_dns_file *d)
{
	return d->ours != NULL;
}

void os_dns_file_restore(struct os_dns_file *d)
{
	if (!d->ours)
		return;
	free(d->ours);
	d->ours = NULL;
	loop_timer_clear(d->again);
	put_back(d);
	read_base(d, d->path);
}

void os_dns_file_close(struct os_dns_file *d)
{
	if (!d)
		return;
	os_dns_file_restore(d);
	loop_timer_free(d->again);
	loop_fd_free(d->watch);
	if (d->watch_fd >= 0)
		close(d->watch_fd);
	buf_free(&d->base);
	buf_free(&d->behind);
	free(d);
}

static int watch_folder(const struct os_dns_file *d, const char *path)
{
	char folder[PATH_MAX];
	snprintf(folder, sizeof(folder), "%s", path);
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = 0;
	const char *at = !slash ? "." : folder[0] ? folder : "/";
	return inotify_add_watch(
		d->watch_fd, at, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM);
}

void os_dns_file_watch(struct os_dns_file *d)
{
	if (d->watch_fd >= 0 && d->kept[0])
		d->kept_wd = watch_folder(d, d->kept);
	if (d->watch || d->watch_fd < 0)
		return;
	(void)watch_folder(d, d->path);
	if (*d->uplinks)
		d->uplinks_wd = watch_folder(d, d->uplinks);
	d->watch = loop_fd_new(d->loop, d->watch_fd, file_changed, d);
	if (d->watch)
		loop_fd_set(d->watch, LOOP_READ);
}

int os_dns_file_set(struct os_dns_file *d, const struct addr *nameserver, const char *const *search, size_t n,
	struct errbuf *eb)
{
	char *text = resolv_conf_ours(&d->own, nameserver, search, n);
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
		os_dns_file_watch(d);
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

bool os_dns_file_base_changed(struct os_dns_file *d)
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

size_t os_dns_file_base(const struct os_dns_file *d, struct endpoint *out, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < d->own.n_nameservers && n < cap; i++)
		if (!addr_is_service(&d->own.nameservers[i].ip))
			out[n++] = d->own.nameservers[i];
	return n;
}

void os_dns_file_way(struct os_dns_file *d, bool as_link, const char *kept)
{
	d->as_link = as_link;
	if (strcmp(d->kept, kept) == 0)
		return;
	snprintf(d->kept, sizeof(d->kept), "%s", kept);
	read_base(d, d->ours || has_backup(d) ? d->backup : d->path);
}

const struct buf *os_dns_file_text(const struct os_dns_file *d, const char **own, bool *missing)
{
	bool saved = has_backup(d);
	struct stat st;
	*own = saved ? d->backup : d->path;
	*missing = saved ? backup_says_none(d) : lstat(d->path, &st) != 0;
	return &d->base;
}
