/* Bodies between a server of the loop, errands and files. Each test has one server, which takes what comes. */
#include "mesh/transport/http_carry.h"
#include "mesh/os/errand.h"
#include "mesh/os/sock.h"
#include "mesh/transport/test/scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { BIG = 3 * 1024 * 1024 + 17 };

struct place {
	struct loop *loop;
	struct endpoint at;
	int fd;
	struct loop_fd *watch;
	FILE *file; /* where bodies go */
	struct http_carry *taken;
	struct errand *server, *client;
	int left; /* of the errands */
	int result, requests, gone, answer_status;
	int64_t told_left;
	bool refuse, early;
	char text[512];
	/* the client's part */
	const char *send;
	size_t body;
	bool chunked, cut, wait_first;
	int status, interim;
	char got[256];
};

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

/* --- the server --- */

static void server_run(void *arg, int stop)
{
	struct place *p = arg;
	struct errbuf eb = { 0 };
	http_carry_patience(p->taken, stop, 10000);
	p->told_left = http_carry_left(p->taken);
	if (p->early) {
		http_carry_answer(p->taken, 507, "text/plain", NULL, "full", 4);
	} else {
		if (p->wait_first)
			(void)http_carry_write(p->taken, "HTTP/1.1 100 Continue\r\n\r\n", 25, NULL);
		p->result = http_carry_to_file(p->taken, fileno(p->file), NULL, &eb);
		if (!p->result)
			http_carry_answer(p->taken, 200, "text/plain", "X-Mark: yes\r\n", "{}\n", 3);
	}
	snprintf(p->text, sizeof(p->text), "%s", eb.text);
	http_carry_close(p->taken);
}

static void one_done(void *arg)
{
	struct place *p = arg;
	if (--p->left == 0)
		loop_stop(p->loop);
}

static bool on_head(void *arg, struct http_server_conn *c, const struct http_head *head)
{
	struct place *p = arg;
	assert_non_null(head->method);
	if (!strcmp(head->target, "/plain"))
		return false;
	if (p->refuse) {
		http_reply(c, 403, "text/plain", NULL, "no", 2);
		one_done(p);
		return true;
	}
	p->taken = http_carry_take(c);
	assert_non_null(p->taken);
	assert_string_equal(http_carry_request(p->taken)->method, "PUT");
	p->server = errand_start(p->loop, server_run, one_done, p);
	assert_non_null(p->server);
	return true;
}

static void on_request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	(void)head;
	((struct place *)arg)->requests++;
	http_reply(c, 200, "text/plain", NULL, body, len);
}

static void on_gone(void *arg, struct http_server_conn *c)
{
	(void)c;
	((struct place *)arg)->gone++;
}

static void on_accept(void *arg, int events)
{
	struct place *p = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = {
		.request = on_request, .streamed = on_head, .gone = on_gone, .arg = p
	};
	(void)events;
	int fd = sock_accept(p->fd, NULL);
	assert_true(fd >= 0);
	assert_non_null(http_server_accept(p->loop, stream_accept(p->loop, fd, NULL, &none), &ops));
}

/* --- the client --- */

static void send_body(struct place *p, struct http_carry *c, struct errbuf *eb)
{
	uint8_t piece[5000];
	int err = 0;
	for (size_t at = 0; !err && at < p->body; at += sizeof(piece)) {
		size_t n = p->body - at < sizeof(piece) ? p->body - at : sizeof(piece);
		for (size_t i = 0; i < n; i++)
			piece[i] = byte_at(at + i);
		err = p->chunked ? http_carry_chunk(c, piece, n, eb) : http_carry_write(c, piece, n, eb);
	}
	if (!err && p->chunked)
		(void)http_carry_chunk(c, NULL, 0, eb);
}

static void client_run(void *arg, int stop)
{
	struct place *p = arg;
	struct errbuf eb = { 0 };
	struct http_carry *c = http_carry_connect(&p->at, NULL, NULL, &eb);
	const struct http_head *h = NULL;
	if (c)
		http_carry_patience(c, stop, 10000);
	if (!c || http_carry_opened(c, &eb) != 0 || http_carry_write(c, p->send, strlen(p->send), &eb) != 0)
		goto close;
	if (p->wait_first)
		p->interim = (h = http_carry_answer_read(c, &eb)) ? h->status : eb.code;
	send_body(p, c, &eb);
	if (!p->cut)
		h = http_carry_answer_read(c, &eb);
	p->status = p->cut ? 0 : h ? h->status : eb.code;
	for (size_t at = 0; h && at < sizeof(p->got) - 1;) {
		long n = http_carry_read(c, (uint8_t *)p->got + at, sizeof(p->got) - 1 - at, &eb);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
close:
	http_carry_close(c);
}

/* --- a test's frame --- */

static void place_open(struct place *p)
{
	*p = (struct place) { .loop = loop_new(), .file = tmpfile(), .left = 2 };
	assert_non_null(p->file);
	p->fd = scratch_listen(&p->at);
	p->watch = loop_fd_new(p->loop, p->fd, on_accept, p);
	loop_fd_set(p->watch, LOOP_READ);
}

static void place_run(struct place *p)
{
	p->client = errand_start(p->loop, client_run, one_done, p);
	assert_non_null(p->client);
	loop_run(p->loop);
}

static void place_close(struct place *p)
{
	loop_fd_free(p->watch);
	close(p->fd);
	fclose(p->file);
	loop_free(p->loop);
}

static void check_file(struct place *p, size_t len)
{
	struct stat st;
	assert_int_equal(fstat(fileno(p->file), &st), 0);
	assert_int_equal(st.st_size, len);
	rewind(p->file);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(fgetc(p->file), byte_at(i));
}

static void test_lengths(void **state)
{
	static const size_t rows[] = { 0, 1, 4999, 200000, BIG };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
		struct place p;
		char head[128];
		place_open(&p);
		p.body = rows[i / 2];
		p.chunked = i % 2;
		snprintf(head, sizeof(head), "PUT /x HTTP/1.1\r\nHost: a\r\n%s%zu\r\n\r\n",
			p.chunked ? "Transfer-Encoding: chunked\r\nX: " : "Content-Length: ", p.body);
		p.send = head;
		place_run(&p);
		assert_int_equal(p.result, 0);
		assert_int_equal(p.status, 200);
		assert_string_equal(p.got, "{}\n");
		assert_int_equal(p.gone, 1);
		assert_int_equal(p.told_left, p.chunked ? -1 : (int64_t)p.body);
		check_file(&p, p.body);
		place_close(&p);
	}
}

/* What the head's segment has behind it belongs to the body; a 100 comes when the taker wants it. */
static void test_waits_for_100(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	p.body = 100000;
	p.wait_first = true;
	p.send = "PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n";
	place_run(&p);
	assert_int_equal(p.interim, 100);
	assert_int_equal(p.status, 200);
	check_file(&p, p.body);
	place_close(&p);
}

/* The answer arrives, though the sender was in the middle of more than any buffer takes. */
static void test_early_answer(void **state)
{
	(void)state;
	for (int by_head = 0; by_head < 2; by_head++) {
		struct place p;
		place_open(&p);
		p.refuse = by_head;
		p.early = !by_head;
		p.send = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n";
		p.body = 10000;
		place_run(&p);
		assert_int_equal(p.status, by_head ? 403 : 507);
		assert_string_equal(p.got, by_head ? "no" : "full");
		assert_int_equal(p.requests, 0);
		place_close(&p);
	}
}

static void test_cut(void **state)
{
	(void)state;
	for (int chunked = 0; chunked < 2; chunked++) {
		struct place p;
		place_open(&p);
		p.cut = true;
		p.body = 5000;
		p.send = chunked ? "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n"
				 : "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5001\r\n\r\n";
		place_run(&p);
		assert_int_equal(p.result, ERR_CLOSED);
		assert_non_null(strstr(p.text, chunked ? "before the end" : "with 1 bytes still to come"));
		check_file(&p, 5000);
		place_close(&p);
	}
}

static void test_malformed_chunks(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	p.send = "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n";
	p.cut = true;
	place_run(&p);
	assert_int_equal(p.result, ERR_MALFORMED);
	place_close(&p);
}

/* A request that its owner does not take is read as ever, and the connection goes on. */
static void test_not_taken(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	p.left = 1;
	p.send = "PUT /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloPUT /plain "
		 "HTTP/1.1\r\nHost: "
		 "a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
	place_run(&p);
	assert_int_equal(p.requests, 2);
	assert_int_equal(p.status, 200);
	assert_string_equal(p.got, "hello");
	place_close(&p);
}

static void test_stopped(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	p.cut = true;
	p.body = 10;
	/* A client that says nothing more and does not leave. */
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&p.at, false, &ss);
	static const char head[] = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, n), 0);
	assert_int_equal(write(fd, head, sizeof(head) - 1), sizeof(head) - 1);
	while (!p.taken)
		loop_run_once(p.loop);
	errand_finish(p.server);
	assert_int_equal(p.result, -ECANCELED);
	close(fd);
	place_close(&p);
}

static void test_nothing_behind_the_last(void **state)
{
	static const char answer[] = "HTTP/1.0 200 OK\r\n\r\nhello";
	struct place p;
	struct errbuf eb = { 0 };
	uint8_t got[16];
	(void)state;
	place_open(&p);
	struct http_carry *c = http_carry_connect(&p.at, NULL, NULL, &eb);
	int fd = sock_accept(p.fd, NULL);
	assert_true(c && fd >= 0);
	assert_int_equal(http_carry_opened(c, &eb), 0);
	assert_int_equal(write(fd, answer, sizeof(answer) - 1), sizeof(answer) - 1);
	close(fd);
	assert_int_equal(http_carry_answer_read(c, &eb)->status, 200);
	assert_int_equal(http_carry_read(c, got, sizeof(got), &eb), 5);
	assert_int_equal(http_carry_read(c, got, sizeof(got), &eb), 0);
	assert_null(http_carry_answer_read(c, &eb));
	assert_int_equal(eb.code, ERR_CLOSED);
	http_carry_close(c);
	place_close(&p);
}

/* It may be another's word, and cuts no line of ours. */
static void test_long_type(void **state)
{
	struct place p;
	struct errbuf eb = { 0 };
	char type[400], got[1024] = "";
	(void)state;
	place_open(&p);
	memset(type, 'a', sizeof(type) - 1);
	type[sizeof(type) - 1] = 0;
	struct http_carry *c = http_carry_connect(&p.at, NULL, NULL, &eb);
	int fd = sock_accept(p.fd, NULL);
	assert_true(c && fd >= 0);
	assert_int_equal(http_carry_opened(c, &eb), 0);
	http_carry_answer(c, 200, type, NULL, "{}", 2);
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_non_null(strstr(got, "aaa\r\nContent-Length: 2\r\nConnection: close\r\n"));
	close(fd);
	http_carry_close(c);
	place_close(&p);
}

/* --- a file out --- */

static int count_moved(void *arg, uint64_t total, struct errbuf *eb)
{
	uint64_t *most = arg;
	return total <= *most ? 0 : err_say(eb, -ENOSPC, "enough");
}

static void send_file_run(void *arg, int stop)
{
	struct place *p = arg;
	struct errbuf eb = { 0 };
	uint64_t most = p->body;
	struct http_carry_told told = { .moved = count_moved, .arg = &most };
	struct http_carry *c = http_carry_connect(&p->at, NULL, NULL, &eb);
	char head[128];
	snprintf(head, sizeof(head), "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", p->body);
	if (p->cut)
		most = 1;
	http_carry_patience(c, stop, 10000);
	FILE *f = tmpfile();
	for (size_t i = 0; i < p->body; i++)
		fputc(byte_at(i), f);
	rewind(f);
	(void)http_carry_opened(c, &eb);
	(void)http_carry_write(c, head, strlen(head), &eb);
	p->interim = http_carry_file(c, fileno(f), p->body, &told, &eb);
	const struct http_head *h = p->interim ? NULL : http_carry_answer_read(c, &eb);
	p->status = h ? h->status : 0;
	http_carry_close(c);
	fclose(f);
}

static void test_file_out(void **state)
{
	(void)state;
	for (int cut = 0; cut < 2; cut++) {
		struct place p;
		place_open(&p);
		p.body = BIG;
		p.cut = cut;
		p.client = errand_start(p.loop, send_file_run, one_done, &p);
		loop_run(p.loop);
		assert_int_equal(p.interim, cut ? -ENOSPC : 0);
		assert_int_equal(p.status, cut ? 0 : 200);
		if (!cut)
			check_file(&p, BIG);
		place_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_waits_for_100),
		cmocka_unit_test(test_early_answer),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_malformed_chunks),
		cmocka_unit_test(test_not_taken),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_nothing_behind_the_last),
		cmocka_unit_test(test_long_type),
		cmocka_unit_test(test_file_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
