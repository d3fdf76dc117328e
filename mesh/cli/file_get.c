/* Taking out: each file comes whole under a name of its own that begins with a dot, then gets the one it was sent with. */
#include "mesh/base/text.h"
#include "mesh/cli/api.h"
#include "mesh/cli/file.h"
#include "mesh/transport/http_carry.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WAIT_S = 3600,
	NUMBERS_MAX = 1000,
	PAUSE_MS = 5000, /* of a loop in which something went wrong */
	PATIENCE_MS = 60000,
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
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	int code = api_call(c, &r, &b, NULL);
	*list = code == CLI_OK ? json_loadb((const char *)buf_data(&b), b.len, 0, NULL) : NULL;
	if (code == CLI_OK && !*list) {
		err_say(&eb, ERR_MALFORMED, "it is no list of files");
		code = api_tell_malformed(c, &eb);
	}
	buf_free(&b);
	return code;
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

/* An empty file under the name that it will have: nobody else gets it then. */
static bool claim(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* out: what it will be called; CLI_OK when that is ours. *held: by an empty file. */
static int choose_name(struct inbox *in, const char *name, char out[static FILE_NAME], bool *held)
{
	struct stat st;
	snprintf(out, FILE_NAME, "%s", name);
	bool ours = *held = claim(in->dir, name);
	int err = errno;
	if (!ours && in->conflict == CONFLICT_OVERWRITE &&
		fstatat(in->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
		ours = true; /* a link is replaced, not followed */
	for (unsigned i = 1; !ours && err == EEXIST && in->conflict == CONFLICT_RENAME && i < NUMBERS_MAX;
		i++) {
		text_numbered(name, i, out, FILE_NAME);
		ours = *held = claim(in->dir, out);
	}
	if (ours)
		return CLI_OK;
	if (err == EEXIST)
		return cli_fail(in->c, CLI_FAILED, "exists",
			"It waits on: move the other away, or say --conflict=rename or --conflict=overwrite.",
			"%s is in %s already", name, in->path);
	return cli_fail(
		in->c, CLI_FAILED, "file", NULL, "cannot write %s in %s: %s", name, in->path, strerror(err));
}

static int receive(struct inbox *in, const char *name)
{
	char fit[FILE_NAME], temp[64];
	bool held;
	if (!is_plain_name(name))
		return cli_fail(in->c, CLI_FAILED, "name", NULL, "ropewalkd has a file whose name is none");
	int code = choose_name(in, name, fit, &held);
	if (code != CLI_OK)
		return code;
	snprintf(temp, sizeof(temp), ".ropewalk-%d.part", (int)getpid());
	(void)unlinkat(in->dir, temp, 0);
	int fd = openat(in->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		code = cli_fail(in->c, CLI_FAILED, "file", NULL, "cannot write into %s: %s", in->path,
			strerror(errno));
	else
		code = fetch(in, name, fd);
	if (fd >= 0)
		close(fd);
	if (code == CLI_OK && renameat(in->dir, temp, in->dir, fit) != 0)
		code = cli_fail(in->c, CLI_FAILED, "file", NULL, "cannot name %s in %s: %s", fit, in->path,
			strerror(errno));
	if (code != CLI_OK) {
		(void)unlinkat(in->dir, temp, 0);
		if (held)
			(void)unlinkat(in->dir, fit, 0);
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
	do {
		code = take_batch(&in, (o->wait && !taken) || (o->loop && code == CLI_OK), &taken);
		if (o->loop && code == CLI_FAILED)
			cli_pause(c, PAUSE_MS); /* a file that cannot be taken does not go away by trying */
	} while (
		(o->loop && (code == CLI_OK || code == CLI_FAILED)) || (o->wait && code == CLI_OK && !taken));
	close(in.dir);
	return code;
}
