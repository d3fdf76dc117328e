#include "mesh/node/os_dns.h"
#include "mesh/base/log.h"
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

enum { RESOLV_MAX = 64 * 1024, SEARCH_MAX = 6, REWRITE_BURST = 3 };

struct os_dns {
	char path[PATH_MAX - 64], backup[PATH_MAX], *ours; /* ours: the text we wrote; NULL = not active */
	struct loop *loop;
	int watch_fd;
	struct loop_fd *watch;
	void (*changed)(void *arg);
	void *arg;
	struct log_limit limit;
	struct buf base; /* the machine's own text */
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

static bool is_ours(const struct buf *b)
{
	return b->len >= strlen(MARK) && memcmp(buf_data(b), MARK, strlen(MARK)) == 0;
}

static void put_back(struct os_dns *d)
{
	struct errbuf eb;
	struct buf now = { 0 }, saved = { 0 };
	file_read(d->path, RESOLV_MAX, &now, NULL);
	if (file_read(d->backup, RESOLV_MAX, &saved, NULL) == 0 && (is_ours(&now) || !now.len)) {
		if (write_file(d->path, buf_data(&saved), saved.len, &eb) != 0)
			log_error("%s", eb.text);
	}
	unlink(d->backup);
	buf_free(&now);
	buf_free(&saved);
}

static void file_changed(void *arg, int events)
{
	struct os_dns *d = arg;
	union {
		struct inotify_event align;
		char b[4096];
	} news;
	(void)events;
	while (read(d->watch_fd, news.b, sizeof(news.b)) > 0)
		;
	struct buf now = { 0 };
	if (!d->ours || file_read(d->path, RESOLV_MAX, &now, NULL) != 0) {
		buf_free(&now);
		return;
	}
	bool same = now.len == strlen(d->ours) && memcmp(buf_data(&now), d->ours, now.len) == 0;
	if (!same) {
		/* What the other program wrote is the machine's own word now. */
		buf_free(&d->base);
		buf_append(&d->base, buf_data(&now), now.len);
		write_file(d->backup, buf_data(&now), now.len, NULL);
		if (log_allowed(&d->limit, REWRITE_BURST, loop_now_ms(d->loop) / 10)) {
			log_warn(
				"%s was rewritten by another program; pointing it at the mesh resolver again",
				d->path);
			write_file(d->path, d->ours, strlen(d->ours), NULL);
			d->changed(d->arg);
		}
	}
	buf_free(&now);
}

struct os_dns *os_dns_open(struct loop *l, const char *path, void (*changed)(void *arg), void *arg)
{
	struct os_dns *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	snprintf(d->path, sizeof(d->path), "%s", path);
	snprintf(d->backup, sizeof(d->backup), "%s.before-ropewalk", d->path);
	d->loop = l;
	d->changed = changed;
	d->arg = arg;
	if (access(d->backup, F_OK) == 0) {
		log_info("putting %s back as it was before a crash", d->path);
		put_back(d);
	}
	file_read(d->path, RESOLV_MAX, &d->base, NULL);
	d->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return d;
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
	put_back(d);
}

void os_dns_close(struct os_dns *d)
{
	if (!d)
		return;
	os_dns_restore(d);
	loop_fd_free(d->watch);
	if (d->watch_fd >= 0)
		close(d->watch_fd);
	buf_free(&d->base);
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
	inotify_add_watch(d->watch_fd, slash && folder[0] ? folder : "/", IN_CLOSE_WRITE | IN_MOVED_TO);
	d->watch = loop_fd_new(d->loop, d->watch_fd, file_changed, d);
	if (d->watch)
		loop_fd_set(d->watch, LOOP_READ);
}

int os_dns_set(struct os_dns *d, const struct addr *nameserver, const char *const *search, size_t n,
	struct errbuf *eb)
{
	char ip[ADDR_TEXT];
	struct buf text = { 0 };
	buf_printf(&text, "%snameserver %s\n", MARK, addr_format(nameserver, ip));
	for (size_t i = 0; i < n && i < SEARCH_MAX; i++)
		buf_printf(&text, "%s%s%s", i ? " " : "search ", search[i],
			i + 1 == n || i + 1 == SEARCH_MAX ? "\n" : "");
	const char *s = buf_cstr(&text);
	int err = 0;
	if (!s) {
		err = err_set(eb, -ENOMEM, "write %s", d->path);
	} else if (!d->ours || strcmp(d->ours, s) != 0) {
		if (!d->ours)
			err = write_file(d->backup, d->base.len ? buf_data(&d->base) : (const void *)"",
				d->base.len, eb);
		char *copy = err ? NULL : strdup(s);
		if (copy) {
			/* Before the write, so that our own news of it is recognised. */
			free(d->ours);
			d->ours = copy;
			err = write_file(d->path, copy, strlen(copy), eb);
			start_watch(d);
		}
	}
	buf_free(&text);
	return err;
}

size_t os_dns_base(const struct os_dns *d, struct addr *out, size_t cap)
{
	size_t n = 0;
	const char *p = (const char *)buf_data(&d->base), *end = p ? p + d->base.len : NULL;
	while (p && p < end && n < cap) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((eol ? eol : end) - p);
		char line[256], ip[64];
		if (len < sizeof(line)) {
			memcpy(line, p, len);
			line[len] = 0;
			if (sscanf(line, " nameserver %63s", ip) == 1 && addr_parse(ip, &out[n]) &&
				!(addr_is_v4(&out[n]) && addr_v4_get(&out[n]) == 0x64646464))
				n++;
		}
		p = eol ? eol + 1 : end;
	}
	return n;
}
