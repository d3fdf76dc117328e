#include "mesh/os/file.h"
#include "mesh/base/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 16384, DEPTH_MAX = 64 };

static int read_rest(int fd, const char *path, size_t cap, struct buf *out, struct errbuf *eb)
{
	size_t had = out->len;
	for (;;) {
		uint8_t *p = buf_room(out, CHUNK);
		ssize_t n = p ? read(fd, p, CHUNK) : (errno = ENOMEM, -1);
		if (n < 0)
			return err_set(eb, -errno, "read %s", path);
		if (n == 0)
			return 0;
		buf_grown(out, (size_t)n);
		if (out->len - had > cap)
			return err_say(eb, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, cap);
	}
}

/* What came before an error is no file: it is forgotten. */
static int read_all(int fd, const char *path, size_t cap, struct buf *out, struct errbuf *eb)
{
	size_t had = out->len;
	int err = read_rest(fd, path, cap, out, eb);
	if (!err)
		return 0;
	out->len = had;
	if (!had)
		buf_free(out);
	return err;
}

int file_read(const char *path, size_t cap, struct buf *out, struct errbuf *eb)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(eb, -errno, "open %s", path);
	int err = read_all(fd, path, cap, out, eb);
	close(fd);
	return err;
}

bool file_is_shortage(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM;
}

const char *file_open_to_all(const char *path, bool secret)
{
	struct stat st;
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return NULL;
	if (st.st_mode & S_IWOTH)
		return "can be written by every user of this machine: chmod o-w it";
	return secret && (st.st_mode & S_IROTH) ? "can be read by every user of this machine: chmod o-r it"
						: NULL;
}

int file_read_given(const char *path, size_t cap, bool secret, struct buf *out, struct errbuf *eb)
{
	int err = file_read(path, cap, out, eb);
	const char *flaw = err ? NULL : file_open_to_all(path, secret);
	if (flaw)
		log_warn("%s %s", path, flaw);
	return err;
}

/* Of an open file, so that nobody swaps it between the look and the read. */
static int check_own(int fd, const char *path, enum file_own how, struct errbuf *eb)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return err_set(eb, -errno, "look at %s", path);
	if (!S_ISREG(st.st_mode))
		return err_say(eb, -EINVAL, "%s is no regular file: move it away", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_say(eb, -EPERM,
			"%s belongs to user %u, and user %u runs this program: start it as that one, as its "
			"unit "
			"does, or, if the content is to be trusted, chown it to %u",
			path, (unsigned)st.st_uid, (unsigned)geteuid(), (unsigned)geteuid());
	if (st.st_mode & 022)
		return err_say(eb, -EPERM,
			"%s can be written by others (mode %04o): if its content is to be trusted, chmod 600 "
			"it",
			path, (unsigned)st.st_mode & 07777);
	if (how == FILE_SHOWN || !(st.st_mode & 077))
		return 0;
	if (how == FILE_PRIVATE)
		return err_say(eb, -EPERM,
			"%s can be read by others (mode %04o), and holds a private key: if nobody has read "
			"it, chmod "
			"600 it; else remove it, and a new one is made",
			path, (unsigned)st.st_mode & 07777);
	if (fchmod(fd, 0600) == 0)
		log_warn("%s could be read by others; now it cannot", path);
	else
		log_warn("%s can be read by others, and holds private keys: chmod 600 it", path);
	return 0;
}

int file_read_own(const char *path, size_t cap, enum file_own how, struct buf *out, struct errbuf *eb)
{
	/* Not blocking: a pipe in the file's place would wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ELOOP)
		return err_say(eb, -ELOOP,
			"%s is a symbolic link, and what this program keeps is not followed through links: "
			"put the "
			"file itself there",
			path);
	if (fd < 0)
		return err_set(eb, -errno, "open %s", path);
	int err = check_own(fd, path, how, eb);
	if (!err)
		err = read_all(fd, path, cap, out, eb);
	close(fd);
	return err;
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

static void sync_folder_of(const char *path)
{
	char copy[PATH_MAX];
	snprintf(copy, sizeof(copy), "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

int file_write_atomic(const char *path, mode_t mode, const void *p, size_t len, struct errbuf *eb)
{
	char temp[PATH_MAX];
	if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >= sizeof(temp))
		return err_set(eb, -ENAMETOOLONG, "write %s", path);
	unlink(temp); /* left by a crash; its mode may be another */
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_set(eb, -errno, "write %s", path);
	int err = write_all(fd, p, len);
	if (!err && fchmod(fd, mode) != 0)
		err = -errno;
	close(fd);
	if (!err && rename(temp, path) != 0)
		err = -errno;
	if (err) {
		unlink(temp);
		if (err == -ENOSPC || err == -EDQUOT)
			return err_say(eb, err, "write %s: the disk is full; free space and try again", path);
		return err_set(eb, err, "write %s", path);
	}
	sync_folder_of(path);
	return 0;
}

int dir_make(const char *path, mode_t mode, struct errbuf *eb)
{
	char copy[PATH_MAX];
	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return err_set(eb, -ENAMETOOLONG, "make folder %s", path);
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(copy, 0755) != 0 && errno != EEXIST)
			return err_set(eb, -errno, "make folder %s", copy);
		*p = '/';
	}
	if (mkdir(copy, mode) != 0 && errno != EEXIST)
		return err_set(eb, -errno, "make folder %s", path);
	return 0;
}

int dir_make_of(const char *file, mode_t mode, struct errbuf *eb)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(file, '/');
	if (!slash || slash == file)
		return 0;
	if ((size_t)(slash - file) >= sizeof(folder))
		return err_set(eb, -ENAMETOOLONG, "make the folder of %s", file);
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - file), file);
	return dir_make(folder, mode, eb);
}

static int remove_in(int parent, const char *name, dev_t dev, int depth)
{
	struct stat st;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(parent, name, 0) == 0 ? 0 : -errno;
	if (st.st_dev != dev || depth >= DEPTH_MAX)
		return -EXDEV;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d)
		return -errno;
	int err = 0;
	for (struct dirent *e; !err && (e = readdir(d));) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			err = remove_in(dirfd(d), e->d_name, dev, depth + 1);
	}
	closedir(d);
	if (!err && unlinkat(parent, name, AT_REMOVEDIR) != 0)
		err = -errno;
	return err;
}

int dir_remove(const char *path, struct errbuf *eb)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : err_set(eb, -errno, "remove %s", path);
	int err = remove_in(AT_FDCWD, path, st.st_dev, 0);
	return err ? err_set(eb, err, "remove %s", path) : 0;
}

int file_lock(const char *path, struct errbuf *eb)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(eb, -errno, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int err = -errno;
		close(fd);
		if (err == -EWOULDBLOCK)
			return err_say(eb, err, "%s is held by another running program", path);
		return err_set(eb, err, "lock %s", path);
	}
	return fd;
}
