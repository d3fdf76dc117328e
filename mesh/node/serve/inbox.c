#include "mesh/node/serve/inbox.h"
#include "mesh/base/text.h"
#include "mesh/node/serve/sharing.h"
#include "mesh/os/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { KEEP_S = 3600, NUMBERS_MAX = 1000, PEER_TEXT = 24, COMPARE_SIZE = 64 * 1024 };
static const uint64_t kept_free_most = UINT64_C(1) << 30; /* or a twentieth of the disk, when that is less */

struct inbox {
	int dir, partial; /* folders */
	char path[PATH_MAX];
	pthread_mutex_t lock;	  /* of what follows */
	struct inbox_file *files; /* sorted */
	size_t n, size;
};

/* --- what waits --- */

void inbox_files(struct inbox *i, void (*each)(void *arg, const struct inbox_file *file), void *arg)
{
	pthread_mutex_lock(&i->lock);
	for (size_t k = 0; k < i->n; k++)
		each(arg, &i->files[k]);
	pthread_mutex_unlock(&i->lock);
}

size_t inbox_count(struct inbox *i)
{
	pthread_mutex_lock(&i->lock);
	size_t n = i->n;
	pthread_mutex_unlock(&i->lock);
	return n;
}

/* Where the name stands, or would. */
static size_t place_of(const struct inbox *i, const char *name, bool *there)
{
	size_t lo = 0, hi = i->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (strcmp(i->files[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*there = lo < i->n && !strcmp(i->files[lo].name, name);
	return lo;
}

static void insert_file(struct inbox *i, const char *name, uint64_t size)
{
	bool there;
	size_t at = place_of(i, name, &there);
	if (there) {
		i->files[at].size = size;
		return;
	}
	if (i->n == i->size) {
		size_t more = i->size ? i->size * 2 : 16;
		struct inbox_file *v = realloc(i->files, more * sizeof(*v));
		if (!v)
			return;
		i->files = v;
		i->size = more;
	}
	memmove(i->files + at + 1, i->files + at, (i->n - at) * sizeof(*i->files));
	i->files[at] = (struct inbox_file) { .size = size };
	snprintf(i->files[at].name, INBOX_NAME, "%s", name);
	i->n++;
}

/* Without memory it is not shown before the next start: it is on the disk all the same. */
static void file_came(struct inbox *i, const char *name, uint64_t size)
{
	pthread_mutex_lock(&i->lock);
	insert_file(i, name, size);
	pthread_mutex_unlock(&i->lock);
}

static void file_left(struct inbox *i, const char *name)
{
	bool there;
	pthread_mutex_lock(&i->lock);
	size_t at = place_of(i, name, &there);
	if (there) {
		i->n--;
		memmove(i->files + at, i->files + at + 1, (i->n - at) * sizeof(*i->files));
	}
	pthread_mutex_unlock(&i->lock);
}

/* --- open --- */

static int open_folder(int at, const char *name, struct errbuf *eb)
{
	if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
		return err_set(eb, -errno, "make folder %s", name);
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(eb, -errno, "open folder %s", name);
	return fd;
}

/* Each name of a folder but "." and ".."; false from the callback ends it. */
static void list_folder(int folder, bool (*each)(void *arg, const char *name), void *arg)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d && fd >= 0)
		close(fd);
	for (struct dirent *e; d && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !each(arg, e->d_name))
			break;
	if (d)
		closedir(d);
}

static bool add_found(void *arg, const char *name)
{
	struct inbox *i = arg;
	struct stat st;
	if (sharing_name_is_fit(name) && fstatat(i->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode))
		file_came(i, name, (uint64_t)st.st_size);
	return inbox_count(i) < INBOX_FILES_MAX;
}

struct inbox *inbox_open(const char *state_dir, struct errbuf *eb)
{
	struct inbox *i = calloc(1, sizeof(*i));
	if (!i) {
		err_set(eb, -ENOMEM, "open the folder of received files");
		return NULL;
	}
	*i = (struct inbox) { .dir = -1, .partial = -1 };
	pthread_mutex_init(&i->lock, NULL);
	snprintf(i->path, sizeof(i->path), "%s/files", state_dir);
	i->dir = open_folder(AT_FDCWD, i->path, eb);
	if (i->dir >= 0)
		i->partial = open_folder(i->dir, "partial", eb);
	if (i->partial < 0) {
		inbox_close(i);
		return NULL;
	}
	list_folder(i->dir, add_found, i);
	return i;
}

void inbox_close(struct inbox *i)
{
	if (!i)
		return;
	if (i->dir >= 0)
		close(i->dir);
	if (i->partial >= 0)
		close(i->partial);
	pthread_mutex_destroy(&i->lock);
	free(i->files);
	free(i);
}

/* --- on their way --- */

int inbox_room(const struct inbox *i, uint64_t need, struct errbuf *eb)
{
	struct statvfs v;
	if (fstatvfs(i->dir, &v) != 0)
		return err_set(eb, -errno, "look at the disk of %s", i->path);
	uint64_t unit = v.f_frsize, free_now = v.f_bavail * unit, keep = v.f_blocks * unit / 20;
	if (keep > kept_free_most)
		keep = kept_free_most;
	if (free_now >= keep && need <= free_now - keep)
		return 0;
	return err_say(eb, -ENOSPC,
		"no room on the receiving machine: %" PRIu64
		" MiB are free on the disk of %s, of which %" PRIu64 " stay free, and %" PRIu64
		" are needed; free some, or take out files that wait: ropewalk file get",
		free_now >> 20, i->path, keep >> 20, (need + (1 << 20) - 1) >> 20);
}

static const char *peer_text(int64_t peer, char out[static PEER_TEXT])
{
	snprintf(out, PEER_TEXT, "%" PRId64, peer);
	return out;
}

static int open_peer(const struct inbox *i, int64_t peer)
{
	char text[PEER_TEXT];
	int fd = openat(i->partial, peer_text(peer, text), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool count_name(void *arg, const char *name)
{
	(void)name;
	return ++*(size_t *)arg < INBOX_PARTIALS_MAX;
}

static int cut_to(int fd, uint64_t at)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || at > (uint64_t)st.st_size)
		return -ERANGE;
	if (ftruncate(fd, (off_t)at) != 0 || lseek(fd, (off_t)at, SEEK_SET) < 0)
		return -errno;
	return 0;
}

int inbox_partial_write(const struct inbox *i, int64_t peer, const char *name, uint64_t at, struct errbuf *eb)
{
	char text[PEER_TEXT];
	size_t many = 0;
	int folder = open_folder(i->partial, peer_text(peer, text), eb);
	if (folder < 0)
		return folder;
	int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		list_folder(folder, count_name, &many);
		fd = many < INBOX_PARTIALS_MAX
			     ? openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				       0600)
			     : -1;
	}
	int err = fd >= 0 ? cut_to(fd, at) : many == INBOX_PARTIALS_MAX ? -EMFILE : -errno;
	close(folder);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	if (err == -EMFILE)
		return err_say(eb, err,
			"%d files from you are on their way to this machine already; finish them, or wait "
			"for an hour",
			INBOX_PARTIALS_MAX);
	if (err == -ERANGE)
		return err_say(eb, err, "there are fewer than %" PRIu64 " bytes of it to go on from", at);
	return err_set(eb, err, "write %s", i->path);
}

int inbox_partial_read(const struct inbox *i, int64_t peer, const char *name)
{
	int folder = open_peer(i, peer);
	if (folder < 0)
		return folder;
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;
	close(folder);
	return err ? err : fd;
}

struct listing {
	void (*each)(void *arg, const char *name);
	void *arg;
};

static bool tell_name(void *arg, const char *name)
{
	const struct listing *l = arg;
	l->each(l->arg, name);
	return true;
}

void inbox_partials(const struct inbox *i, int64_t peer, void (*each)(void *arg, const char *name), void *arg)
{
	struct listing l = { each, arg };
	int folder = open_peer(i, peer);
	if (folder < 0)
		return;
	list_folder(folder, tell_name, &l);
	close(folder);
}

/* --- whole --- */

static bool same_bytes(int a, int b)
{
	uint8_t *p = malloc(2 * COMPARE_SIZE);
	bool same = p;
	for (ssize_t n = 1; same && n > 0;) {
		n = read(a, p, COMPARE_SIZE);
		ssize_t m = n > 0 ? read(b, p + COMPARE_SIZE, (size_t)n) : read(b, p + COMPARE_SIZE, 1);
		same = n == m && (n <= 0 || !memcmp(p, p + COMPARE_SIZE, (size_t)n)) && n >= 0;
	}
	free(p);
	return same;
}

static bool same_file(int folder_a, const char *a, int folder_b, const char *b)
{
	struct stat sa, sb;
	int fa = openat(folder_a, a, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int fb = openat(folder_b, b, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool same = fa >= 0 && fb >= 0 && fstat(fa, &sa) == 0 && fstat(fb, &sb) == 0 && S_ISREG(sb.st_mode) &&
		    sa.st_size == sb.st_size && same_bytes(fa, fb);
	if (fa >= 0)
		close(fa);
	if (fb >= 0)
		close(fb);
	return same;
}

/* Where it shall wait; 0, -EEXIST when it waits there already, or a code. */
static int move_to_place(const struct inbox *i, int folder, const char *name, char out[static INBOX_NAME])
{
	for (unsigned number = 0; number < NUMBERS_MAX; number++) {
		if (number)
			text_numbered(name, number, out, INBOX_NAME);
		else
			snprintf(out, INBOX_NAME, "%s", name);
		if (renameat2(folder, name, i->dir, out, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
		if (same_file(folder, name, i->dir, out))
			return unlinkat(folder, name, 0) == 0 ? -EEXIST : -errno;
	}
	return -ENOSPC;
}

int inbox_finish(struct inbox *i, int64_t peer, const char *name, struct inbox_file *out, bool *fresh,
	struct errbuf *eb)
{
	struct stat st = { 0 };
	int folder = open_peer(i, peer);
	if (folder < 0)
		return err_set(eb, folder, "keep %s", name);
	*out = (struct inbox_file) { 0 };
	int err = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
	if (!err)
		err = move_to_place(i, folder, name, out->name);
	close(folder);
	*fresh = !err;
	out->size = (uint64_t)st.st_size;
	if (!err)
		file_came(i, out->name, out->size);
	if (err == -ENOSPC)
		return err_say(eb, err, "too many files of the name %s wait on the receiving machine", name);
	return err && err != -EEXIST ? err_set(eb, err, "keep %s in %s", name, i->path) : 0;
}

int inbox_read(struct inbox *i, const char *name, uint64_t *size, struct errbuf *eb)
{
	struct stat st = { 0 };
	int fd = openat(i->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	int err = fd < 0 ? -errno : fstat(fd, &st) != 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -ENOENT;
	if (err && fd >= 0)
		close(fd);
	if (err == -ENOENT) {
		file_left(i, name); /* by another's hand */
		return err_say(eb, err, "no file %s waits here", name);
	}
	if (err)
		return err_set(eb, err, "read %s in %s", name, i->path);
	*size = (uint64_t)st.st_size;
	return fd;
}

int inbox_remove(struct inbox *i, const char *name, struct errbuf *eb)
{
	if (unlinkat(i->dir, name, 0) == 0 || errno == ENOENT) {
		file_left(i, name);
		return 0;
	}
	return err_set(eb, -errno, "remove %s from %s", name, i->path);
}

struct sweep {
	const struct inbox *i;
	int folder;
	int64_t unix_s;
};

static bool sweep_file(void *arg, const char *name)
{
	const struct sweep *s = arg;
	struct stat st;
	if (fstatat(s->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime + KEEP_S <= s->unix_s)
		(void)unlinkat(s->folder, name, 0);
	return true;
}

static bool sweep_peer(void *arg, const char *name)
{
	struct sweep s = *(const struct sweep *)arg;
	uint64_t peer;
	if (!text_u64(name, 0, INT64_MAX, &peer))
		return true;
	s.folder = open_peer(s.i, (int64_t)peer);
	if (s.folder < 0)
		return true;
	list_folder(s.folder, sweep_file, &s);
	close(s.folder);
	return true;
}

void inbox_sweep(const struct inbox *i, int64_t unix_s)
{
	struct sweep s = { .i = i, .folder = -1, .unix_s = unix_s };
	list_folder(i->partial, sweep_peer, &s);
}
