#include "resolver/alone/includes.h"

#include "mesh/os/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_among(const struct includes_file *v, size_t n, const struct stat *st)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].dev == st->st_dev && v[i].ino == st->st_ino)
			return true;
	return false;
}

/* Its first bytes, which say that it is one of SQLite. false: it is none; text is as it was. */
static bool database_begin(const char *path, const struct stat *st, struct buf *text)
{
	static const char begin[] = "SQLite format 3"; /* and a zero */
	char got[sizeof(begin)];
	int fd = S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	bool is = fd >= 0 && pread(fd, got, sizeof(got), 0) == (ssize_t)sizeof(got) &&
		  memcmp(got, begin, sizeof(got)) == 0;
	if (fd >= 0)
		close(fd);
	return is && buf_append(text, got, sizeof(got));
}

static enum includes_verdict file_open(
	struct includes *in, const char *path, const struct stat *st, struct buf *text, struct errbuf *eb)
{
	size_t had = text->len;
	if (in->n_read == INCLUDES_FILES) {
		(void)err_say(
			eb, ERR_TOO_LARGE, "%s is one file too many: %d are read", path, INCLUDES_FILES);
		return INCLUDES_REFUSED;
	}
	if (!database_begin(path, st, text) && file_read(path, INCLUDES_BYTES - in->bytes, text, eb) != 0)
		return INCLUDES_REFUSED;
	in->bytes += text->len - had;
	in->read[in->n_read++] = in->open[in->n_open++] = (struct includes_file) { st->st_dev, st->st_ino };
	return INCLUDES_NEW;
}

enum includes_verdict includes_begin(
	struct includes *in, const char *path, struct buf *text, struct errbuf *eb)
{
	struct stat st;
	if (stat(path, &st) != 0) {
		(void)err_set(eb, -errno, "open %s", path);
		return INCLUDES_REFUSED;
	}
	if (is_among(in->read, in->n_read, &st))
		return INCLUDES_READ_BEFORE;
	in->bytes = 0;
	return file_open(in, path, &st, text, eb);
}

enum includes_verdict includes_enter(
	struct includes *in, const char *path, bool once, struct buf *text, struct errbuf *eb)
{
	struct stat st;
	int err = 0;
	if (stat(path, &st) != 0)
		err = err_set(eb, -errno, "open %s", path);
	else if (!S_ISREG(st.st_mode))
		err = err_say(eb, ERR_MALFORMED, "%s is not a file", path);
	else if (is_among(in->open, in->n_open, &st))
		err = err_say(eb, ERR_MALFORMED, "%s would include itself", path);
	else if (once && is_among(in->read, in->n_read, &st))
		return INCLUDES_READ_BEFORE;
	else if (in->n_open == INCLUDES_DEPTH)
		err = err_say(eb, ERR_TOO_LARGE, "%s is included too deep: %d files are the most", path,
			INCLUDES_DEPTH);
	return err ? INCLUDES_REFUSED : file_open(in, path, &st, text, eb);
}

void includes_leave(struct includes *in)
{
	in->n_open--;
}

static void one_take(struct includes *in, struct target *t, const struct target_include *i, const char *path)
{
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	enum includes_verdict v = includes_enter(in, path, i->once, &text, &eb);
	if (v == INCLUDES_REFUSED)
		target_say(t, i->what, "not read: %s", eb.text);
	if (v == INCLUDES_NEW) {
		const char *file = t->file;
		unsigned line = t->line;
		i->take(i->arg, target_text(t, path, strlen(path)),
			text.len ? (const char *)buf_data(&text) : "", text.len);
		t->file = file;
		t->line = line;
		includes_leave(in);
	}
	buf_free(&text);
}

static bool ends_with(const char *name, const char *end, size_t len)
{
	size_t n = strlen(name);
	return n > len && memcmp(name + n - len, end, len) == 0;
}

/* dnsmasq's words: "*.conf" wants such an end, ".bak" wants none such. What editors leave behind is never read. */
static bool is_wanted(const char *name, const char *only)
{
	bool wants = false, has = false;
	if (name[0] == '.' || ends_with(name, "~", 1) || (name[0] == '#' && ends_with(name, "#", 1)))
		return false;
	while (*only) {
		only += strspn(only, " ,");
		size_t len = strcspn(only, " ,");
		bool star = *only == '*';
		bool ends = ends_with(name, only + star, len - star);
		if (!star && len && ends)
			return false;
		wants = wants || (star && len > 1);
		has = has || (star && len > 1 && ends);
		only += len;
	}
	return has || !wants;
}

static void folder_take(
	struct includes *in, struct target *t, const struct target_include *i, const char *path)
{
	struct dirent **v = NULL;
	struct errbuf eb = { 0 };
	int n = scandir(path, &v, NULL, alphasort), path_len = (int)strlen(path);
	while (path_len > 1 && path[path_len - 1] == '/')
		path_len--;
	if (n < 0) {
		(void)err_set(&eb, -errno, "open %s", path);
		target_say(t, i->what, "not read: %s", eb.text);
	}
	for (int k = 0; k < n; k++) {
		char file[PATH_MAX];
		struct stat st;
		int len = snprintf(file, sizeof(file), "%.*s/%s", path_len, path, v[k]->d_name);
		bool is_file = len < (int)sizeof(file) && stat(file, &st) == 0 && S_ISREG(st.st_mode);
		if (is_file && is_wanted(v[k]->d_name, i->only))
			one_take(in, t, i, file);
		free(v[k]);
	}
	free(v);
}

void includes_take(void *arg, struct target *t, const struct target_include *i)
{
	char path[PATH_MAX];
	glob_t found;
	const char *slash = i->path[0] == '/' ? NULL : strrchr(t->file, '/');
	int n = snprintf(
		path, sizeof(path), "%.*s%s", slash ? (int)(slash - t->file) + 1 : 0, t->file, i->path);
	if (n < 0 || n >= (int)sizeof(path)) {
		target_say(t, i->what, "not read: its path is too long");
		return;
	}
	if (i->only) {
		folder_take(arg, t, i, path);
		return;
	}
	if (glob(path, GLOB_NOMAGIC, NULL, &found) != 0) {
		target_say(t, i->what, "there is no file like %s", path);
		return;
	}
	for (size_t k = 0; k < found.gl_pathc; k++)
		one_take(arg, t, i, found.gl_pathv[k]);
	globfree(&found);
}
