/* The stream goes to the file as it comes. What does not begin as a capture does is a refusal's text. */
#include "mesh/cli/debug_capture.h"
#include "mesh/cli/api.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { MAGIC_BYTES = 4, REFUSAL_MAX = 64 * 1024 };
static const uint8_t magic[MAGIC_BYTES] = { 0xd4, 0xc3, 0xb2, 0xa1 };

struct capturing {
	struct cli *c;
	struct http_client *http;
	const char *name;
	FILE *to;
	struct buf first; /* until it is known what it is */
	bool begun;
	int code;
};

static void stop(struct capturing *k, int code)
{
	k->code = code;
	loop_stop(k->c->loop);
}

static void store(struct capturing *k, const uint8_t *p, size_t len)
{
	if (fwrite(p, 1, len, k->to) == len && fflush(k->to) == 0)
		return;
	int err = errno;
	http_client_cancel(k->http);
	k->http = NULL;
	stop(k, cli_fail(k->c, CLI_FAILED, "file", NULL, "write %s: %s", k->name, strerror(err)));
}

static void chunk_came(void *arg, const uint8_t *p, size_t len)
{
	struct capturing *k = arg;
	if (k->begun) {
		store(k, p, len);
		return;
	}
	if (k->first.len + len > REFUSAL_MAX || !buf_append(&k->first, p, len))
		return;
	k->begun = k->first.len >= MAGIC_BYTES && memcmp(buf_data(&k->first), magic, MAGIC_BYTES) == 0;
	if (k->begun)
		store(k, buf_data(&k->first), k->first.len);
}

static void done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct capturing *k = arg;
	(void)body;
	(void)len;
	k->http = NULL;
	stop(k, head->status / 100 == 2 && k->begun ? CLI_OK
						    : api_tell_refused(k->c, head->status, &k->first));
}

static void failed(void *arg, int code, const char *why)
{
	struct capturing *k = arg;
	k->http = NULL;
	stop(k, api_tell_unreachable(k->c, code, why));
}

/* Packets are nobody else's business. */
static FILE *open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (fd >= 0 && !f)
		close(fd);
	return f;
}

static int capture_into(struct cli *c, const struct capture_options *o, FILE *to)
{
	struct capturing k = { .c = c, .to = to, .name = o->file };
	char target[API_TARGET_MAX] = "/localapi/v0/debug-capture", count[24];
	struct http_client_events ev = { .done = done, .chunk = chunk_came, .failed = failed, .arg = &k };
	snprintf(count, sizeof(count), "%" PRIu64, o->count);
	if (o->raw)
		api_target_add(target, "form", "raw");
	if (o->count)
		api_target_add(target, "count", count);
	struct http_request rq = { .unix_path = c->socket,
		.method = "POST",
		.target = target,
		.host = api_host,
		.timeout_ms = UINT64_MAX };
	k.http = http_request(c->loop, &rq, &ev);
	if (!k.http)
		return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	if (c->terminal && !o->count)
		fputs("Press Ctrl-C to stop the capture.\n", c->err);
	loop_run(c->loop);
	http_client_cancel(k.http);
	buf_free(&k.first);
	return k.code;
}

int capture_run(struct cli *c, const struct capture_options *o)
{
	if (!o->file || !*o->file)
		return cli_fail(c, CLI_USAGE, "usage",
			"ropewalk debug capture -o FILE; -o - for a program that reads standard input",
			"debug capture: -o says where the packets go");
	if (strcmp(o->file, "-") == 0)
		return capture_into(c, o, c->out);
	FILE *to = open_file(o->file);
	if (!to)
		return cli_fail(c, CLI_FAILED, "file", NULL, "open %s: %s", o->file, strerror(errno));
	int code = capture_into(c, o, to);
	if (fclose(to) != 0 && code == CLI_OK)
		code = cli_fail(c, CLI_FAILED, "file", NULL, "write %s: %s", o->file, strerror(errno));
	return code;
}
