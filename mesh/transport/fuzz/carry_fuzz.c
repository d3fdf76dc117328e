/* Bodies that a thread moves, against a stranger who has said all of it before anybody hears him. First byte: bit 0 we ask and he
 * answers, else he asks our server and its connection is taken; bits 1-2 what becomes of the body: read in parts, into a file,
 * to a third, to a third in chunks; bit 3 he ends there, else he says nothing more; bit 4 it is stopped from outside; bit 5
 * who is told of the progress ends it; bit 6 the third answers before he has all; bit 7 we send, and he reads nothing. Second
 * byte: how much of the rest he has said when he is heard first. With memory short at one place. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/key.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http_carry.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { WE_ASK = 1, WHAT = 6, ENDS = 8, STOPPED = 16, TOLD_ENDS = 32, EARLY = 64, WE_SEND = 128 };
enum { READ_PARTS, INTO_FILE = 2, TO_THIRD = 4, TO_THIRD_CHUNKED = 6 };
enum {
	PATIENCE_MS = 1,
	TURNS = 4,
	SMALL = 4096,
	ANSWERS_MAX = 4,
	PART = 1000,
	BLOB = 600000,
	TOLD_MAX = 100
};

struct exchange {
	struct loop *loop;
	int listener, ends[2]; /* ends: the stranger's and the third's; -1: none */
	struct endpoint at;
	struct http_carry *ours, *third;
	int stop;
	uint8_t how;
};

static uint8_t blob[BLOB];

static int was_told(void *arg, uint64_t total, struct errbuf *eb)
{
	const struct exchange *x = arg;
	must(total > 0);
	return x->how & TOLD_ENDS && total > TOLD_MAX ? err_say(eb, -ECANCELED, "enough") : 0;
}

/* 0, a word of the other side's, or a code with its sentence. */
static int checked(int err, const struct errbuf *eb)
{
	must(err >= 0 || eb->text[0] || trouble_happened());
	return err;
}

/* --- the parts that move --- */

/* A connection to somebody who waits; his end into *end. */
static struct http_carry *dial(struct exchange *x, int *end)
{
	struct errbuf eb = { 0 };
	const struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	struct http_carry *c = http_carry_connect(&x->at, NULL, NULL, &eb);
	must(c || eb.text[0]);
	*end = sock_accept(x->listener, NULL); /* without memory for c there is one as well */
	if (!c) {
		if (*end >= 0)
			close(*end);
		*end = -1;
		return NULL;
	}
	http_carry_patience(c, x->stop, PATIENCE_MS);
	must(*end >= 0);
	setsockopt(*end, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)checked(http_carry_opened(c, &eb), &eb);
	return c;
}

static void pass_on(struct exchange *x, const struct http_carry_told *told)
{
	struct errbuf eb = { 0 };
	bool chunked = (x->how & WHAT) == TO_THIRD_CHUNKED;
	x->third = dial(x, &x->ends[1]);
	if (!x->third)
		return;
	if (x->how & EARLY)
		(void)!send(
			x->ends[1], "HTTP/1.1 507 Full\r\nContent-Length: 4\r\n\r\nfull", 44, MSG_NOSIGNAL);
	int err = checked(http_carry_to(x->ours, x->third, chunked, told, &eb), &eb);
	if (err != HTTP_CARRY_ANSWERED)
		return;
	const struct http_head *h = http_carry_answer_read(x->third, &eb);
	must(h ? h->status == 507 : eb.text[0] != 0);
}

static void take_body(struct exchange *x)
{
	struct errbuf eb = { 0 };
	const struct http_carry_told told = { .moved = was_told, .arg = x };
	uint8_t part[PART];
	long n;
	int file;
	switch (x->how & WHAT) {
	case READ_PARTS:
		while ((n = http_carry_read(x->ours, part, sizeof(part), &eb)) > 0)
			must(n <= PART);
		(void)checked((int)n, &eb);
		break;
	case INTO_FILE:
		file = memfd_create("body", MFD_CLOEXEC);
		must(file >= 0);
		(void)checked(http_carry_to_file(x->ours, file, &told, &eb), &eb);
		close(file);
		break;
	default: pass_on(x, &told); break;
	}
}

/* More than a socket takes, from a file and from memory. */
static void send_much(struct exchange *x)
{
	struct errbuf eb = { 0 };
	int file = memfd_create("much", MFD_CLOEXEC);
	must(file >= 0 && write(file, blob, BLOB) == BLOB &&
		lseek(file, x->how & ENDS ? BLOB - 9 : 0, SEEK_SET) >= 0);
	(void)checked(http_carry_file(x->ours, file, BLOB, NULL, &eb), &eb);
	close(file);
	(void)checked(http_carry_chunk(x->ours, blob, x->how & ENDS ? PART : BLOB, &eb), &eb);
	(void)checked(http_carry_chunk(x->ours, NULL, 0, &eb), &eb);
}

/* --- who asks --- */

static void say(const struct exchange *x, const uint8_t *p, size_t len)
{
	if (x->ends[0] >= 0)
		(void)!send(x->ends[0], p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void we_ask(struct exchange *x, const uint8_t *p, size_t len)
{
	struct errbuf eb = { 0 };
	x->ours = dial(x, &x->ends[0]);
	if (!x->ours)
		return;
	if (x->how & WE_SEND)
		send_much(x);
	else
		(void)checked(http_carry_write(x->ours, "GET / HTTP/1.1\r\n\r\n", 18, &eb), &eb);
	say(x, p, len);
	if (x->how & ENDS)
		shutdown(x->ends[0], SHUT_WR);
	for (int i = 0; i < ANSWERS_MAX; i++) {
		const struct http_head *h = http_carry_answer_read(x->ours, &eb);
		if (!h) {
			must(eb.text[0] || trouble_happened());
			break;
		}
		must(http_carry_left(x->ours) >= -1);
		if (h->status / 100 != 1)
			take_body(x);
	}
}

static bool head_is_there(void *arg, struct http_server_conn *c, const struct http_head *head)
{
	struct exchange *x = arg;
	must(head->method);
	if (!strcmp(head->method, "GET"))
		return false;
	if (!strcmp(head->target, "/no")) {
		http_reply(c, 403, NULL, NULL, "no", 2);
		return true;
	}
	x->ours = http_carry_take(c);
	return true;
}

static void requested(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	(void)arg, (void)head;
	http_reply(c, 200, NULL, NULL, body, len);
}

static size_t most(void *arg, struct http_server_conn *c, const struct http_head *head)
{
	(void)arg, (void)c;
	return strlen(head->target) * PART;
}

static void turn(struct exchange *x)
{
	for (int i = 0; i < TURNS; i++)
		loop_run_once(x->loop);
}

static void he_asks(struct exchange *x, const uint8_t *p, size_t len, size_t first)
{
	const struct stream_events none = { 0 };
	const struct http_server_ops ops = {
		.request = requested, .streamed = head_is_there, .body_most = most, .arg = x
	};
	int fd[2], small = SMALL;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	x->ends[0] = fd[1];
	(void)http_server_accept(x->loop, stream_accept(x->loop, fd[0], NULL, &none), &ops);
	say(x, p, first);
	turn(x);
	say(x, p + first, len - first);
	if (x->how & ENDS)
		shutdown(x->ends[0], SHUT_WR);
	if (!x->ours)
		turn(x);
	if (!x->ours)
		return;
	http_carry_patience(x->ours, x->stop, PATIENCE_MS);
	must(http_carry_request(x->ours)->method);
	if (http_carry_left(x->ours))
		(void)http_carry_write(x->ours, "HTTP/1.1 100 Continue\r\n\r\n", 25, NULL);
	take_body(x);
	if (x->how & WE_SEND)
		send_much(x);
	http_carry_answer(x->ours, x->how & TOLD_ENDS ? 204 : 200, "text/plain", "X: y\r\n", blob, PART);
	(void)http_carry_is_gone(x->ours);
}

/* --- the world --- */

static void run(const uint8_t *data, size_t len)
{
	static int listener = -1;
	static struct endpoint at;
	if (len < 2)
		return;
	if (listener < 0) {
		at.ip = addr_v4(0x7f000001);
		listener = sock_tcp_listen(&at, NULL);
		must(key_setup() && listener >= 0 && sock_local(listener, &at) == 0);
	}
	struct awake awake = awake_loop(loop_new());
	struct exchange x = { .loop = awake.loop,
		.listener = listener,
		.at = at,
		.ends = { -1, -1 },
		.stop = eventfd(data[0] & STOPPED, EFD_NONBLOCK | EFD_CLOEXEC),
		.how = data[0] };
	must(x.stop >= 0);
	len -= 2;
	trouble_begin();
	if (data[0] & WE_ASK)
		we_ask(&x, data + 2, len);
	else
		he_asks(&x, data + 2, len, len * data[1] / UINT8_MAX);
	trouble_end();
	for (int i = 0; i < 2; i++)
		if (x.ends[i] >= 0)
			close(x.ends[i]); /* before ours, which would wait for what he still says */
	http_carry_close(x.ours);
	http_carry_close(x.third);
	turn(&x);
	awake_free(&awake);
	close(x.stop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
