/* Errands for files that come from peers, and for those that wait here. */
#include "mesh/base/text.h"
#include "mesh/node/serve/block_hash.h"
#include "mesh/node/serve/files_inner.h"
#include "mesh/proto/json.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { ROOM_EACH = 64 * 1024 * 1024 /* bytes, after which the disk is looked at again */ };

/* --- one that comes --- */

struct room_watch {
	const struct inbox *inbox;
	uint64_t *moved, next;
};

static int room_still(void *arg, uint64_t total, struct errbuf *eb)
{
	struct room_watch *w = arg;
	*w->moved = total;
	if (total < w->next)
		return 0;
	w->next = total + ROOM_EACH;
	return inbox_room(w->inbox, 0, eb);
}

static int status_of(int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT: return 507;
	case -ERANGE: return 416;
	case -EMFILE: return 429;
	default: return 500;
	}
}

static int take_body(struct transfer *t, int fd)
{
	const struct inbox *in = files_inbox(t->files);
	const char *expect = http_header(http_carry_request(t->carry), "Expect");
	struct room_watch w = { .inbox = in, .moved = &t->moved, .next = ROOM_EACH };
	struct http_carry_told told = { .moved = room_still, .arg = &w };
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	int err = 0;
	if (expect && !strcasecmp(expect, "100-continue"))
		err = http_carry_write(t->carry, go_on, sizeof(go_on) - 1, &t->why);
	return err ? err : http_carry_to_file(t->carry, fd, &told, &t->why);
}

void transfer_receive(struct transfer *t, int stop)
{
	struct inbox *in = files_inbox(t->files);
	int64_t left = http_carry_left(t->carry);
	(void)stop;
	int err = inbox_room(in, left > 0 ? (uint64_t)left : 0, &t->why);
	int fd = err ? err : inbox_partial_write(in, t->peer, t->name, t->at, &t->why);
	if (fd >= 0) {
		err = take_body(t, fd);
		close(fd);
		if (!err)
			err = inbox_finish(in, t->peer, t->name, &t->stored, &t->fresh, &t->why);
	} else {
		err = fd;
	}
	/* Who has the answer may send it anew, and is heard before the loop hears of this end. */
	t->settled = true;
	if (err) {
		transfer_answer_text(t->carry, status_of(err), t->why.text);
		return;
	}
	if (t->fresh)
		files_came(t->files);
	http_carry_answer(t->carry, 200, "application/json", NULL, "{}\n", 3);
}

/* --- what is here of one on its way --- */

static const char chunked_head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
				   "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";

static bool read_block(int fd, uint8_t *p, size_t *len)
{
	*len = 0;
	while (*len < BLOCK_SIZE) {
		ssize_t n = read(fd, p + *len, BLOCK_SIZE - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (!n)
			break;
		*len += (size_t)n;
	}
	return *len > 0;
}

static void tell_blocks(struct transfer *t, int fd, uint8_t *p)
{
	size_t len;
	int err = 0;
	while (!err && read_block(fd, p, &len)) {
		uint8_t hash[BLOCK_HASH];
		struct buf line = { 0 };
		bool ok = block_hash(p, len, hash) && block_line_write(&line, hash, len);
		err = ok ? http_carry_chunk(t->carry, buf_data(&line), line.len, &t->why)
			 : err_set(&t->why, -ENOMEM, "tell what is here");
		buf_free(&line);
	}
	if (!err)
		(void)http_carry_chunk(t->carry, NULL, 0, &t->why);
}

void transfer_tell_blocks(struct transfer *t, int stop)
{
	(void)stop;
	uint8_t *p = malloc(BLOCK_SIZE);
	if (!p || http_carry_write(t->carry, chunked_head, sizeof(chunked_head) - 1, &t->why) != 0) {
		free(p);
		return;
	}
	int fd = inbox_partial_read(files_inbox(t->files), t->peer, t->name);
	if (fd >= 0) {
		tell_blocks(t, fd, p);
		close(fd);
	} else {
		(void)http_carry_chunk(t->carry, NULL, 0, &t->why);
	}
	free(p);
}

struct partial_list {
	struct json_out out;
	struct buf text;
	int64_t peer;
	bool any;
};

/* As official clients call them: NAME.PEER.partial. */
static void add_partial(void *arg, const char *name)
{
	struct partial_list *l = arg;
	char whole[INBOX_NAME + 40];
	snprintf(whole, sizeof(whole), "%s.n%" PRId64 ".partial", name, l->peer);
	json_put(&l->out, l->any ? "," : "");
	json_put_string(&l->out, whole);
	l->any = true;
}

void transfer_tell_partials(struct transfer *t, int stop)
{
	struct partial_list l = { .peer = t->peer };
	(void)stop;
	l.out.to = &l.text;
	json_put(&l.out, "[");
	inbox_partials(files_inbox(t->files), t->peer, add_partial, &l);
	json_put(&l.out, "]\n");
	if (l.out.bad)
		transfer_answer_text(t->carry, 500, "memory is short");
	else
		http_carry_answer(t->carry, 200, "application/json", NULL, buf_data(&l.text), l.text.len);
	buf_free(&l.text);
}

/* --- those that wait --- */

void transfer_hand_out(struct transfer *t, int stop)
{
	char head[256];
	uint64_t size;
	(void)stop;
	int fd = inbox_read(files_inbox(t->files), t->name, &size, &t->why);
	if (fd < 0) {
		transfer_answer_text(t->carry, fd == -ENOENT ? 404 : 500, t->why.text);
		return;
	}
	int n = snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %" PRIu64
		"\r\nConnection: close\r\n\r\n",
		size);
	if (http_carry_write(t->carry, head, (size_t)n, &t->why) == 0)
		(void)http_carry_file(t->carry, fd, size, NULL, &t->why);
	close(fd);
}

void transfer_remove(struct transfer *t, int stop)
{
	(void)stop;
	int err = inbox_remove(files_inbox(t->files), t->name, &t->why);
	if (err)
		transfer_answer_text(t->carry, 500, t->why.text);
	else
		http_carry_answer(t->carry, 204, "text/plain", NULL, "", 0);
}
