/* Sending: the body goes to the daemon, which holds it up until the other machine answers. "Expect: 100-continue" makes
 * that moment visible: as long as no 100 comes, nobody is there. A file whose connection broke is sent once more; the
 * machine has a part of it, and takes the rest. */
#include "mesh/base/text.h"
#include "mesh/cli/api.h"
#include "mesh/cli/file.h"
#include "mesh/cli/progress.h"
#include "mesh/cli/status.h"
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
	SAY_MS = 3000,		/* without an answer: the user hears of it */
	ANSWER_MS = 15 * 60000, /* the daemon gives up before */
	TRIES = 4,		/* of a file whose connection broke */
	PAUSE_MS = 1000,	/* between them */
	READ_SIZE = 128 * 1024,
	ERROR_MAX = 64 * 1024,
	STABLE_ID = 64,
};

struct target {
	const char *word; /* as the user named it */
	char name[256], id[STABLE_ID];
	bool online;
};
struct push {
	struct cli *c;
	const struct file_options *o;
	const struct target *to;
	struct http_carry *carry;
	char name[FILE_NAME];
	int fd;
	int64_t size; /* -1: not known */
	bool said;    /* that nobody answers, or once was enough */
	bool begun;   /* the other machine was there */
	bool broke;   /* once: it may think for a moment that the old connection lives (409) */
	struct progress line;
};

/* --- where to --- */

/* "bob:", "100.64.0.2:", "[fd7a::2]:". */
static bool strip_target(const char *word, char out[static 256])
{
	size_t n = strlen(word);
	struct addr ip;
	if (n < 2 || word[n - 1] != ':' || n > 255)
		return false;
	snprintf(out, 256, "%.*s", (int)(n - 1), word);
	if (out[0] != '[')
		return !addr_parse(out, &ip) || addr_is_v4(&ip);
	n = strlen(out);
	if (out[n - 1] != ']')
		return false;
	out[n - 1] = 0;
	memmove(out, out + 1, n - 1);
	return addr_parse(out, &ip) && !addr_is_v4(&ip);
}

static int find_target(struct cli *c, const char *word, struct target *t)
{
	struct arena a = { 0 };
	struct api_status s;
	struct addr ip;
	*t = (struct target) { .word = word };
	if (!strip_target(word, t->name))
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk file cp FILES... MACHINE:",
			"file cp: \"%s\" is not a machine: its name or address with a colon behind it; an "
			"IPv6 address is "
			"written as [ADDRESS]:",
			word);
	int code = api_status(c, &a, &s);
	const char *sentence = code == CLI_OK ? status_sentence(&s) : NULL;
	const struct api_peer *p = code == CLI_OK && !sentence ? api_peer_find(&s, t->name, &ip) : NULL;
	if (sentence)
		code = cli_fail(c, CLI_FAILED, "not-up", "ropewalk up joins the network.", "%s", sentence);
	else if (code == CLI_OK && !p)
		code = cli_fail(c, CLI_FAILED, "no-peer",
			"ropewalk file cp --targets lists where files can go.",
			"no machine \"%s\" in the network", t->name);
	else if (p == &s.self)
		code = cli_fail(c, CLI_FAILED, "self", NULL, "%s is this machine", t->name);
	if (code == CLI_OK && p) {
		snprintf(t->id, sizeof(t->id), "%s", p->stable_id);
		t->online = p->online;
	}
	arena_free(&a);
	return code;
}

/* --- one file --- */

/* What can be told of what is sent: a file's size, and its name. */
static int open_file(struct push *p, const char *path)
{
	struct stat st;
	const char *slash = strrchr(path, '/');
	bool is_stdin = !strcmp(path, "-");
	const char *name = p->o->name ? p->o->name : is_stdin ? "stdin" : slash ? slash + 1 : path;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->size = -1;
	p->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0 || fstat(p->fd, &st) != 0)
		return cli_fail(p->c, CLI_FAILED, "file", NULL, "cannot read %s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return cli_fail(p->c, CLI_FAILED, "folder",
			"Pack it: tar cz FOLDER | ropewalk file cp --name=FOLDER.tgz - MACHINE:",
			"%s is a folder", path);
	if (S_ISREG(st.st_mode) && !is_stdin)
		p->size = st.st_size;
	return CLI_OK;
}

static int tell_progress(void *arg, uint64_t total, struct errbuf *eb)
{
	(void)eb;
	progress_at(arg, total, clock_now_ms());
	return 0;
}

static int send_stream(struct push *p, struct errbuf *eb)
{
	uint8_t *buf = malloc(READ_SIZE);
	uint64_t total = 0;
	int err = buf ? 0 : err_set(eb, -ENOMEM, "send %s", p->name);
	for (ssize_t n = 1; !err && n > 0;) {
		n = read(p->fd, buf, READ_SIZE);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		err = n < 0 ? err_set(eb, -errno, "read what is to be sent")
			    : http_carry_chunk(p->carry, buf, (size_t)n, eb);
		total += n > 0 ? (uint64_t)n : 0;
		progress_at(&p->line, total, clock_now_ms());
	}
	free(buf);
	return err;
}

static int send_head(struct push *p, struct errbuf *eb)
{
	char head[API_TARGET_MAX + 512], name[3 * FILE_NAME], length[64];
	http_escape(p->name, name, sizeof(name));
	if (p->size < 0)
		snprintf(length, sizeof(length), "Transfer-Encoding: chunked");
	else
		snprintf(length, sizeof(length), "Content-Length: %" PRId64, p->size);
	int n = snprintf(head, sizeof(head),
		"PUT /localapi/v0/file-put/%s/%s HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nConnection: "
		"close\r\n%s\r\n\r\n",
		p->to->id, name, api_host, length);
	return http_carry_write(p->carry, head, (size_t)n, eb);
}

/* The head of an answer; who waits for long hears why. */
static const struct http_head *wait_answer(struct push *p, struct errbuf *eb)
{
	http_carry_patience(p->carry, -1, p->said ? ANSWER_MS : SAY_MS);
	const struct http_head *h = http_carry_answer_read(p->carry, eb);
	if (h || eb->code != -ETIMEDOUT || p->said)
		return h;
	p->said = true;
	fprintf(p->c->err, "# warning: %s is %s; trying anyway\n", p->to->name,
		p->to->online ? "not replying" : "reportedly offline");
	http_carry_patience(p->carry, -1, ANSWER_MS);
	return http_carry_answer_read(p->carry, eb);
}

/* The body goes once the other machine is there. The head of the final answer. */
static const struct http_head *exchange(struct push *p, struct errbuf *eb)
{
	struct http_carry_told told = { .moved = tell_progress, .arg = &p->line };
	const struct http_head *h = wait_answer(p, eb);
	if (!h || h->status != 100)
		return h;
	p->said = p->begun = true;
	progress_begin(&p->line, p->c->terminal && !p->c->json ? p->c->err : NULL, p->name, p->size,
		p->o->update_ms, clock_now_ms());
	http_carry_patience(p->carry, -1, ANSWER_MS);
	int err = p->size < 0 ? send_stream(p, eb)
			      : http_carry_file(p->carry, p->fd, (uint64_t)p->size, &told, eb);
	/* Who answered early and closed, broke what was being sent. */
	bool answered = !err || err == HTTP_CARRY_ANSWERED || err == -EPIPE || err == -ECONNRESET;
	h = answered ? http_carry_answer_read(p->carry, eb) : NULL;
	progress_end(&p->line, clock_now_ms());
	return h;
}

static void read_error(struct push *p, struct buf *out)
{
	uint8_t *room;
	long n = 1;
	out->cap = ERROR_MAX;
	while (n > 0 && (room = buf_room(out, 4096))) {
		n = http_carry_read(p->carry, room, 4096, NULL);
		buf_grown(out, n > 0 ? (size_t)n : 0);
	}
	(void)buf_cstr(out);
	if (out->len)
		text_clean((char *)buf_data(out));
	while (out->len && buf_data(out)[out->len - 1] == '?')
		out->len--; /* line ends, cleaned */
}

/* *again: the connection to the machine broke in the middle. */
static int push_once(struct push *p, bool *again)
{
	struct errbuf eb = { 0 };
	int code = CLI_OK;
	*again = p->begun = false;
	p->carry = http_carry_unix(p->c->socket, &eb);
	const struct http_head *h =
		p->carry && !http_carry_opened(p->carry, &eb) && !send_head(p, &eb) ? exchange(p, &eb) : NULL;
	if (!h) {
		code = eb.code == -ETIMEDOUT ? cli_fail(p->c, CLI_TIMEOUT, "timeout", NULL,
						       "%s did not answer", p->to->name)
					     : api_tell_unreachable(p->c, eb.code, eb.text);
	} else if (h->status != 200) {
		struct buf why = { 0 };
		int status = h->status;
		read_error(p, &why);
		*again = p->size >= 0 && ((status == 502 && p->begun) || (status == 409 && p->broke));
		/* 403 by the other machine is not a matter of this one's users. */
		if (*again)
			code = CLI_FAILED;
		else if (status == 403 && p->begun)
			code = cli_fail(p->c, CLI_FAILED, "refused", NULL, "%s refuses it: %.*s", p->to->name,
				(int)why.len, (const char *)buf_data(&why));
		else
			code = api_tell_refused(p->c, status, &why);
		buf_free(&why);
	}
	http_carry_close(p->carry);
	p->carry = NULL;
	return code;
}

static int push_file(struct push *p)
{
	bool again = false;
	int code = push_once(p, &again);
	for (int i = 1; again && i < TRIES; i++) {
		fprintf(p->c->err, "# the connection to %s broke; going on where it ended\n", p->to->name);
		if (lseek(p->fd, 0, SEEK_SET) != 0)
			break;
		p->broke = true;
		cli_pause(p->c, PAUSE_MS);
		code = push_once(p, &again);
	}
	if (again)
		code = cli_fail(p->c, CLI_FAILED, "broken",
			"Send it once more: what is there already is not sent again within an hour.",
			"the connection to %s broke", p->to->name);
	if (code == CLI_OK && p->o->verbose)
		fprintf(p->c->err, "sent \"%s\" to %s\n", p->name, p->to->name);
	return code;
}

int file_cp(struct cli *c, const struct file_options *o, const char *const *words, int n)
{
	struct target to;
	if (n > 2 && o->name)
		return cli_fail(c, CLI_USAGE, "usage", NULL, "file cp: --name is for one file");
	for (int i = 0; n > 2 && i < n - 1; i++)
		if (!strcmp(words[i], "-"))
			return cli_fail(
				c, CLI_USAGE, "usage", NULL, "file cp: standard input (-) goes alone");
	int code = find_target(c, words[n - 1], &to);
	for (int i = 0; code == CLI_OK && i < n - 1; i++) {
		struct push p = { .c = c, .o = o, .to = &to, .fd = -1, .said = i > 0 };
		code = open_file(&p, words[i]);
		if (code == CLI_OK)
			code = push_file(&p);
		if (p.fd > STDIN_FILENO)
			close(p.fd);
	}
	return code;
}

/* --- who can be sent to --- */

static void print_target(struct cli *c, const json_t *target)
{
	const json_t *node = json_object_get(target, "Node"), *online = json_object_get(node, "Online");
	const char *ip = json_string_value(json_array_get(json_object_get(node, "Addresses"), 0));
	const char *name = json_string_value(json_object_get(node, "ComputedName"));
	const char *note = json_is_true(online)	   ? ""
			   : json_is_false(online) ? "\toffline"
						   : "\tunknown-status";
	if (ip && name)
		fprintf(c->out, "%.*s\t%s%s\n", (int)strcspn(ip, "/"), ip, name, note);
}

int file_cp_targets(struct cli *c)
{
	struct api_request r = { .method = "GET", .target = "/localapi/v0/file-targets" };
	json_t *list;
	int code = api_call_json(c, &r, &list);
	if (code == CLI_OK && c->json) {
		(void)json_dumpf(list, c->out, JSON_COMPACT);
		fputc('\n', c->out);
	}
	for (size_t i = 0; code == CLI_OK && !c->json && i < json_array_size(list); i++)
		print_target(c, json_array_get(list, i));
	json_decref(list);
	return code;
}
