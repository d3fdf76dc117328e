/* Taking out: each file comes whole under a name of its own that begins with a dot, then gets the one it was sent with. It is
 * locked until then; one that nobody holds is of a run that was killed, and goes when the next begins. */
#include "mesh/base/text.h"
#include "mesh/cli/api.h"
#include "mesh/cli/file.h"
#include "mesh/transport/http_carry.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WAIT_S = 3600,
	NUMBERS_MAX = 1000,
	PAUSE_MS = 5000, /* of a loop in which something went wrong */
	PATIENCE_MS = 60000,
	TEMP_NAME = 64,
	TEMP_TRIES = 10,
};
enum conflict { CONFLICT_SKIP, CONFLICT_OVERWRITE, CONFLICT_RENAME };

struct inbox {
	struct cli *c;
	const struct file_options *o;
	enum conflict conflict;
	const char *path; /* of the folder */
	int dir;
};

/* --- the daemon --- */

static int list_waiting(struct cli *c, bool wait, json_t **list)
{
	char target[64];
	snprintf(target, sizeof(target), "/localapi/v0/files/?waitsec=%d", wait ? WAIT_S : 0);
	struct api_request r = { .method = "GET", .target = target, .timeout_ms = wait ? UINT64_MAX : 0 };
	return api_call_json(c, &r, list);
}

static void target_of(const char *name, char target[static API_TARGET_MAX])
{
	int n = snprintf(target, API_TARGET_MAX, "/localapi/v0/files/");
	http_escape(name, target + n, (size_t)(API_TARGET_MAX - n));
}

static int drop_waiting(struct cli *c, const char *name)
{
	char target[API_TARGET_MAX];
	struct api_request r = { .method = "DELETE", .target = target, .timeout_ms = PATIENCE_MS };
	target_of(name, target);
	return api_call(c, &r, NULL, NULL);
}

/* The whole file into fd. */
static int fetch(struct inbox *in, const char *name, int fd)
{
	char target[API_TARGET_MAX], head[API_TARGET_MAX + 128];
	struct errbuf eb = { 0 };
	struct http_carry *x = http_carry_unix(in->c->socket, &eb);
	const struct http_head *h = NULL;
	int code = CLI_OK;
	target_of(name, target);
	int n = snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		target, api_host);
	if (x && !http_carry_opened(x, &eb) && !http_carry_write(x, head, (size_t)n, &eb))
		h = http_carry_answer_read(x, &eb);
	if (!h)
		code = api_tell_unreachable(in->c, eb.code, eb.text);
	else if (h->status != 200)
		code = cli_fail(in->c, CLI_FAILED, "refused", NULL, "ropewalkd does not hand out %s (%d)",
			name, h->status);
	else if (http_carry_to_file(x, fd, NULL, &eb) != 0)
		code = cli_fail(in->c, CLI_FAILED, "file", NULL, "cannot write %s in %s: %s", name, in->path,
			eb.text);
	http_carry_close(x);
	return code;
}

/* --- the folder --- */

/* The daemon's word is not enough to write outside the folder, or over what begins with a dot by chance. */
static bool is_plain_name(const char *name)
{
	return *name && strlen(name) < FILE_NAME && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static int tell_there(struct inbox *in, const char *name)
{
	return cli_fail(in->c, CLI_FAILED, "exists",
		"It waits on: move the other away, or say --conflict=rename or --conflict=overwrite.",
		"%s is in %s already", name, in->path);
}

/* Whether nothing that comes could have the name: then it is not fetched. */
static bool is_taken(const struct inbox *in, const char *name)
{
	struct stat st;
	return in->conflict != CONFLICT_RENAME && !fstatat(in->dir, name, &st, AT_SYMLINK_NOFOLLOW) &&
	       (in->conflict == CONFLICT_SKIP || S_ISDIR(st.st_mode));
}

/* From one name to another that nobody has: 0, or -errno. */
static int move_to_free(int dir, const char *from, const char *to)
{
	if (!renameat2(dir, from, dir, to, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* not on every file system: an empty file holds the name meanwhile */
	int fd = openat(dir, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	close(fd);
	if (!renameat(dir, from, dir, to))
		return 0;
	int err = -errno;
	(void)unlinkat(dir, to, 0);
	return err;
}

/* The whole file, in temp, gets its name. out: which. */
static int publish(struct inbox *in, const char *temp, const char *name, char out[static FILE_NAME])
{
	int err;
	snprintf(out, FILE_NAME, "%s", name);
	if (in->conflict == CONFLICT_OVERWRITE) /* a link is replaced, not followed */
		err = renameat(in->dir, temp, in->dir, name) ? -errno : 0;
	else
		err = move_to_free(in->dir, temp, name);
	for (unsigned i = 1; err == -EEXIST && in->conflict == CONFLICT_RENAME && i < NUMBERS_MAX; i++) {
		text_numbered(name, i, out, FILE_NAME);
		err = move_to_free(in->dir, temp, out);
	}
	if (err == -EEXIST)
		return tell_there(in, name);
	return err ? cli_fail(in->c, CLI_FAILED, "file", NULL, "cannot write %s in %s: %s", name, in->path,
			     strerror(-err))
		   : CLI_OK;
}

/* Ours, locked, under its name. A run that begins just then may have taken it for a dead one's. */
static int temp_open(struct inbox *in, char name[static TEMP_NAME])
{
	struct stat st;
	snprintf(name, TEMP_NAME, ".ropewalk-%d.part", (int)getpid());
	for (int tries = 0;; tries++) {
		(void)unlinkat(in->dir, name, 0);
		int fd = openat(in->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
		if (fd < 0)
			return -errno;
		bool locks = !flock(fd, LOCK_EX | LOCK_NB); /* not on every file system */
		if (!locks || tries == TEMP_TRIES || (!fstat(fd, &st) && st.st_nlink))
			return fd;
		close(fd);
	}
}

static bool is_temp_name(const char *name)
{
	int pid, end = 0;
	return sscanf(name, ".ropewalk-%9d.part%n", &pid, &end) == 1 && end && !name[end] && name[10] != '-';
}

static void sweep_one(struct inbox *in, const char *name)
{
	struct stat st;
	int fd = openat(in->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		!flock(fd, LOCK_EX | LOCK_NB))
		(void)unlinkat(in->dir, name, 0);
	if (fd >= 0)
		close(fd);
}

static void sweep(struct inbox *in)
{
	int fd = openat(in->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d && fd >= 0)
		close(fd);
	for (struct dirent *e; d && (e = readdir(d));)
		if (is_temp_name(e->d_name))
			sweep_one(in, e->d_name);
	if (d)
		closedir(d);
}

static int receive(struct inbox *in, const char *name)
{
	char fit[FILE_NAME], temp[TEMP_NAME];
	if (!is_plain_name(name))
		return cli_fail(in->c, CLI_FAILED, "name", NULL, "ropewalkd has a file whose name is none");
	if (is_taken(in, name))
		return tell_there(in, name);
	int fd = temp_open(in, temp);
	if (fd < 0)
		return cli_fail(
			in->c, CLI_FAILED, "file", NULL, "cannot write into %s: %s", in->path, strerror(-fd));
	int code = fetch(in, name, fd);
	if (code == CLI_OK)
		code = publish(in, temp, name, fit);
	close(fd);
	if (code != CLI_OK) {
		(void)unlinkat(in->dir, temp, 0);
		return code;
	}
	if (in->o->verbose)
		fprintf(in->c->out, "wrote %s as %s/%s\n", name, in->path, fit);
	return drop_waiting(in->c, name);
}

/* --- the whole --- */

/* All that wait, each tried; the last failure, or CLI_OK. */
static int take_batch(struct inbox *in, bool wait, size_t *taken)
{
	json_t *list;
	int code = list_waiting(in->c, wait, &list);
	*taken = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_object_get(json_array_get(list, i), "Name"));
		int one = receive(in, name ? name : "");
		code = one == CLI_OK ? code : one;
		*taken += one == CLI_OK;
	}
	if (list && in->o->verbose)
		fprintf(in->c->out, "moved %zu of %zu files\n", *taken, json_array_size(list));
	fflush(in->c->out);
	json_decref(list);
	return code;
}

static int drop_all(struct cli *c)
{
	json_t *list;
	int code = list_waiting(c, false, &list);
	for (size_t i = 0; code == CLI_OK && i < json_array_size(list); i++) {
		const char *name = json_string_value(json_object_get(json_array_get(list, i), "Name"));
		code = name ? drop_waiting(c, name) : CLI_FAILED;
	}
	json_decref(list);
	return code;
}

static bool read_conflict(const char *word, enum conflict *out)
{
	static const char *const words[] = {
		[CONFLICT_SKIP] = "skip", [CONFLICT_OVERWRITE] = "overwrite", [CONFLICT_RENAME] = "rename"
	};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(word, words[i])) {
			*out = (enum conflict)i;
			return true;
		}
	return false;
}

int file_get(struct cli *c, const struct file_options *o, const char *dir)
{
	struct inbox in = { .c = c, .o = o, .path = dir };
	size_t taken = 0;
	if (!read_conflict(o->conflict, &in.conflict))
		return cli_fail(
			c, CLI_USAGE, "usage", NULL, "file get: --conflict is skip, overwrite or rename");
	if (!strcmp(dir, "/dev/null"))
		return o->wait || o->loop ? cli_fail(c, CLI_USAGE, "usage", NULL,
						    "file get: /dev/null waits for nothing")
					  : drop_all(c);
	in.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in.dir < 0)
		return cli_fail(c, CLI_FAILED, "file", NULL, "cannot use %s: %s", dir, strerror(errno));
	int code = CLI_OK;
	sweep(&in);
	do {
		code = take_batch(&in, (o->wait && !taken) || (o->loop && code == CLI_OK), &taken);
		if (o->loop && code == CLI_FAILED)
			cli_pause(c, PAUSE_MS); /* a file that cannot be taken does not go away by trying */
	} while (
		(o->loop && (code == CLI_OK || code == CLI_FAILED)) || (o->wait && code == CLI_OK && !taken));
	close(in.dir);
	return code;
}
