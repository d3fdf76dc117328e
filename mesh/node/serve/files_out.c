/* The errand that sends a file. First the peer is asked which blocks it has already (GET), then it gets the rest (PUT),
 * on a connection each. The asker waits meanwhile: who said "Expect: 100-continue" hears of the first answer, and so
 * that somebody is there. */
#include "mesh/node/serve/block_hash.h"
#include "mesh/node/serve/files_inner.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	CONNECT_MS = 120000,
	LOOK_MS = 1000,	   /* while nobody answers: whether the asker is still there */
	BLOCKS_MS = 10000, /* for the blocks that the peer has: without them all is sent */
	ANSWER_MAX = 64 * 1024,
	INTERIM_MAX = 8,
	HEAD_MAX = 2048,
};

struct sending {
	struct transfer *t;
	int stop;
	struct http_carry *peer; /* the connection of the moment */
	char target[3 * INBOX_NAME + 16];
	uint8_t block[BLOCK_SIZE]; /* read from the asker, and not known to be there */
	size_t n_block;
	uint64_t at; /* bytes that the peer has */
};

static void bind_to_mesh(void *arg, int fd)
{
	struct transfer *t = arg;
	sock_device_hook(t->ifname, fd);
	sock_tcp_liveness(fd, FILES_TCP_IDLE_S, FILES_TCP_MS);
}

/* Until it is there: as long as the asker stays, and no longer than CONNECT_MS. */
static int connect_peer(struct sending *s)
{
	struct errbuf *eb = &s->t->why;
	int err = -ETIMEDOUT;
	s->peer = http_carry_connect(&s->t->to, bind_to_mesh, s->t, eb);
	if (!s->peer)
		return eb->code;
	http_carry_patience(s->peer, s->stop, LOOK_MS);
	for (int waited = 0; err == -ETIMEDOUT && waited < CONNECT_MS; waited += LOOK_MS) {
		if (http_carry_is_gone(s->t->carry))
			return err_say(eb, ERR_CLOSED, "the asker left");
		*eb = (struct errbuf) { 0 };
		err = http_carry_opened(s->peer, eb);
	}
	if (err == -ETIMEDOUT)
		return err_say(
			eb, err, "it does not answer; is it on, and in the network? ropewalk ping says");
	http_carry_patience(s->peer, s->stop, FILES_IDLE_MS);
	return err;
}

static void hang_up(struct sending *s)
{
	http_carry_close(s->peer);
	s->peer = NULL;
}

static void make_target(struct sending *s)
{
	size_t n = (size_t)snprintf(s->target, sizeof(s->target), "/v0/put/");
	http_escape(s->t->name, s->target + n, sizeof(s->target) - n);
}

/* --- what is there --- */

/* The next block of the asker's body is the same as the one that the peer tells of. */
static bool block_matches(struct sending *s, const uint8_t hash[static BLOCK_HASH], size_t size)
{
	uint8_t own[BLOCK_HASH];
	s->n_block = 0;
	while (s->n_block < size) {
		long n = http_carry_read(s->t->carry, s->block + s->n_block, size - s->n_block, NULL);
		if (n <= 0)
			break;
		s->n_block += (size_t)n;
	}
	if (s->n_block != size || !block_hash(s->block, size, own) || memcmp(own, hash, sizeof(own)) != 0)
		return false;
	s->at += size;
	s->n_block = 0;
	return true;
}

/* Lines, as far as they match. */
static void skip_known(struct sending *s)
{
	char line[BLOCK_LINE_MAX];
	size_t n = 0, size;
	uint8_t hash[BLOCK_HASH];
	for (;;) {
		const char *end = memchr(line, '\n', n);
		if (end) {
			size_t used = (size_t)(end - line) + 1;
			if (!block_line_read(line, used - 1, hash, &size) || !block_matches(s, hash, size))
				return;
			n -= used;
			memmove(line, line + used, n);
			continue;
		}
		long got = n < sizeof(line)
				   ? http_carry_read(s->peer, (uint8_t *)line + n, sizeof(line) - n, NULL)
				   : 0;
		if (got <= 0)
			return;
		n += (size_t)got;
	}
}

static int say_somebody_is_there(struct sending *s)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *expect = http_header(http_carry_request(s->t->carry), "Expect");
	if (!expect || strcasecmp(expect, "100-continue") != 0)
		return 0;
	return http_carry_write(s->t->carry, go_on, sizeof(go_on) - 1, &s->t->why);
}

/* The peer's answer; 1xx before it, which nobody asked for, say nothing (RFC 9110 15.2). */
static const struct http_head *read_answer(struct sending *s, struct errbuf *eb)
{
	for (int i = 0; i < INTERIM_MAX; i++) {
		const struct http_head *h = http_carry_answer_read(s->peer, eb);
		if (!h || h->status / 100 != 1)
			return h;
	}
	err_say(eb, ERR_MALFORMED, "it says on and on that it will answer");
	return NULL;
}

/* A peer that does not know this is asked nothing more: it gets all. */
static int ask_known(struct sending *s)
{
	char head[HEAD_MAX];
	const struct http_head *h = NULL;
	int err = connect_peer(s);
	int n = snprintf(
		head, sizeof(head), "GET %s HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n", s->target);
	if (!err)
		err = http_carry_write(s->peer, head, (size_t)n, &s->t->why);
	if (!err) {
		http_carry_patience(s->peer, s->stop, BLOCKS_MS);
		h = read_answer(s, &s->t->why);
		err = h || s->t->why.code == -ETIMEDOUT ? 0 : s->t->why.code;
	}
	if (!err)
		err = say_somebody_is_there(s);
	if (h && !err && h->status == 200)
		skip_known(s);
	hang_up(s);
	return err;
}

/* --- the rest --- */

static int count_sent(void *arg, uint64_t total, struct errbuf *eb)
{
	struct sending *s = arg;
	(void)eb;
	s->t->moved = total;
	transfer_sent(s->t, s->at + s->n_block + total);
	return 0;
}

static int put_head(struct sending *s, int64_t left)
{
	char head[HEAD_MAX], length[64], range[64] = "";
	if (left < 0)
		snprintf(length, sizeof(length), "Transfer-Encoding: chunked\r\n");
	else
		snprintf(length, sizeof(length), "Content-Length: %" PRId64 "\r\n",
			left + (int64_t)s->n_block);
	if (s->at)
		snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-\r\n", s->at);
	int n = snprintf(head, sizeof(head), "PUT %s HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n%s%s\r\n",
		s->target, length, range);
	return http_carry_write(s->peer, head, (size_t)n, &s->t->why);
}

/* 0 also when the peer answered before it had all. */
static int put_rest(struct sending *s)
{
	struct http_carry_told told = { .moved = count_sent, .arg = s };
	int64_t left = http_carry_left(s->t->carry);
	int err = connect_peer(s);
	if (!err)
		err = put_head(s, left);
	if (!err && s->n_block)
		err = left < 0 ? http_carry_chunk(s->peer, s->block, s->n_block, &s->t->why)
			       : http_carry_write(s->peer, s->block, s->n_block, &s->t->why);
	if (!err)
		err = http_carry_to(s->t->carry, s->peer, left < 0, &told, &s->t->why);
	s->t->moved += s->n_block;
	transfer_sent(s->t, s->at + s->t->moved);
	/* Who has answered and left, leaves a broken connection behind his answer. */
	return err == HTTP_CARRY_ANSWERED || err == -EPIPE || err == -ECONNRESET ? 0 : err;
}

/* The peer's answer is the asker's. */
static int pass_answer(struct sending *s)
{
	struct errbuf eb = { 0 };
	const struct http_head *h = read_answer(s, &eb);
	if (!h) {
		s->t->why = eb;
		return eb.code;
	}
	struct buf body = { .cap = ANSWER_MAX };
	uint8_t *room;
	long n = 1;
	while (n > 0 && (room = buf_room(&body, 4096))) {
		n = http_carry_read(s->peer, room, 4096, NULL);
		buf_grown(&body, n > 0 ? (size_t)n : 0);
	}
	if (h->status != 200)
		err_say(&s->t->why, ERR_REFUSED, "it answered %d (%s)", h->status,
			http_status_text(h->status));
	else
		s->t->why = (struct errbuf) { 0 };
	const char *type = http_header(h, "Content-Type");
	http_carry_answer(s->t->carry, h->status, type ? type : "text/plain; charset=utf-8", NULL,
		buf_data(&body), body.len);
	buf_free(&body);
	return 0;
}

void transfer_send(struct transfer *t, int stop)
{
	struct sending *s = calloc(1, sizeof(*s));
	int err = s ? 0 : err_set(&t->why, -ENOMEM, "send the file");
	if (s) {
		*s = (struct sending) { .t = t, .stop = stop };
		make_target(s);
		err = ask_known(s);
		if (!err)
			err = put_rest(s);
		if (!err)
			err = pass_answer(s);
		hang_up(s);
	}
	if (err) {
		char text[400];
		snprintf(text, sizeof(text), "cannot send to %s: %s", t->peer_name, t->why.text);
		transfer_answer_text(t->carry, 502, text);
	}
	free(s);
}
