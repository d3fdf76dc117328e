/* Sending, from an asker through files_send to PeerAPI on loopback (loopback.h), and taking out what came. */
#include "mesh/node/serve/test/loopback.h"
#include "mesh/os/errand.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { BIG = 700 * 1024 + 3, BLOCK = 64 * 1024, WAIT_MS = 60000 };

/* An asker, and the door that it knocks at. */
struct asker {
	struct loopback *w;
	struct endpoint at;
	struct loop_fd *watch;
	int fd;
	struct files_target to;
	char name[64];
	bool over;
	/* the exchange */
	char head[256], reply[512];
	size_t from, to_byte; /* bytes of the pattern that are sent */
	bool chunked, expect, leaves;
	const bool *until; /* with half of it sent it waits for this to be so; NULL: it does not */
	int interim, status;
};

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 11 + i / 253);
}

static void wait_until(const struct asker *k)
{
	for (int ms = 0; ms < WAIT_MS && !__atomic_load_n(k->until, __ATOMIC_ACQUIRE); ms++)
		usleep(1000);
}

static void ask_run(void *arg, int stop)
{
	struct asker *k = arg;
	struct errbuf eb = { 0 };
	const struct http_head *h = NULL;
	struct http_carry *c = http_carry_connect(&k->at, NULL, NULL, &eb);
	http_carry_patience(c, stop, 30000);
	if (http_carry_opened(c, &eb) != 0 || http_carry_write(c, k->head, strlen(k->head), &eb) != 0)
		goto close;
	if (k->expect)
		k->interim = (h = http_carry_answer_read(c, &eb)) ? h->status : eb.code;
	if (k->expect && k->interim != 100)
		goto answered;
	for (size_t at = k->from; at < k->to_byte; at += 1000) {
		uint8_t p[1000];
		if (k->until && at >= k->to_byte / 2)
			wait_until(k);
		size_t n = k->to_byte - at < sizeof(p) ? k->to_byte - at : sizeof(p);
		for (size_t i = 0; i < n; i++)
			p[i] = byte_at(at + i);
		if (k->chunked ? http_carry_chunk(c, p, n, &eb) : http_carry_write(c, p, n, &eb))
			break;
	}
	if (k->chunked)
		(void)http_carry_chunk(c, NULL, 0, &eb);
	if (!k->leaves)
		h = http_carry_answer_read(c, &eb);
answered:
	k->status = h && !k->leaves ? h->status : 0;
	if (h && !k->leaves) {
		long n = http_carry_read(c, (uint8_t *)k->reply, sizeof(k->reply) - 1, &eb);
		k->reply[n > 0 ? n : 0] = 0;
	}
close:
	http_carry_close(c);
}

static void ask_done(void *arg)
{
	((struct asker *)arg)->over = true;
}

static bool on_head(void *arg, struct http_server_conn *http, const struct http_head *head)
{
	struct asker *k = arg;
	bool put = !strcmp(head->method, "PUT"), drop = !strcmp(head->method, "DELETE");
	struct http_carry *c = http_carry_take(http);
	assert_non_null(c);
	if (put)
		files_send(k->w->files, c, &k->to, k->name);
	else if (drop)
		files_remove(k->w->files, c, k->name);
	else
		files_hand_out(k->w->files, c, k->name);
	return true;
}

static void on_accept(void *arg, int events)
{
	struct asker *k = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .streamed = on_head, .arg = k };
	(void)events;
	int fd = sock_accept(k->fd, NULL);
	assert_non_null(http_server_accept(k->w->loop, stream_accept(k->w->loop, fd, NULL, &none), &ops));
}

static void asker_open(struct asker *k, struct loopback *w, const char *name)
{
	struct errbuf eb = { 0 };
	*k = (struct asker) { .w = w };
	assert_true(endpoint_parse("127.0.0.1:0", &k->at));
	k->fd = sock_tcp_listen(&k->at, &eb);
	assert_true(k->fd >= 0);
	assert_int_equal(sock_local(k->fd, &k->at), 0);
	k->watch = loop_fd_new(w->loop, k->fd, on_accept, k);
	loop_fd_set(k->watch, LOOP_READ);
	snprintf(k->name, sizeof(k->name), "%s", name);
	k->to = (struct files_target) { .peer = { 9, "bob" }, .stable_id = "nBob", .ifname = "lo" };
	assert_true(addr_parse(LOOPBACK_SELF, &k->to.at.ip));
	k->to.at.port = peer_api_port(w->api, true);
}

static void asker_close(struct asker *k)
{
	loop_fd_free(k->watch);
	close(k->fd);
}

static void exchange(struct asker *k, const char *method)
{
	char length[64] = "";
	if (k->chunked)
		snprintf(length, sizeof(length), "Transfer-Encoding: chunked\r\n");
	else if (!strcmp(method, "PUT"))
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
			k->leaves ? k->to_byte + 1 : k->to_byte);
	snprintf(k->head, sizeof(k->head), "%s /x HTTP/1.1\r\nHost: a\r\n%s%s\r\n", method, length,
		k->expect ? "Expect: 100-continue\r\n" : "");
	k->over = false;
	k->status = 0;
	k->reply[0] = 0;
	assert_non_null(errand_start(k->w->loop, ask_run, ask_done, k));
	while (!k->over)
		loop_run_once(k->w->loop);
}

static void check_file(struct loopback *w, const char *name, size_t len)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/files/%s", w->dir, name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	for (size_t i = 0; i < len; i++)
		if (fgetc(f) != byte_at(i))
			fail_msg("byte %zu", i);
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
}

static void test_sends(void **state)
{
	static const struct {
		size_t len;
		bool chunked, expect;
	} rows[] = {
		{ 0, false, false },
		{ 0, true, false },
		{ 5, false, true },
		{ BLOCK, true, true },
		{ BIG, false, true },
		{ BIG, true, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct loopback w;
		struct asker k;
		loopback_open(&w);
		asker_open(&k, &w, "a b.bin");
		k.to_byte = rows[i].len;
		k.chunked = rows[i].chunked;
		k.expect = rows[i].expect;
		exchange(&k, "PUT");
		if (k.status != 200)
			fail_msg("row %zu: %d %s", i, k.status, k.reply);
		assert_int_equal(k.interim, rows[i].expect ? 100 : 0);
		assert_string_equal(k.reply, "{}\n");
		check_file(&w, "a b.bin", rows[i].len);
		asker_close(&k);
		loopback_close(&w);
	}
}

static void write_partial(struct loopback *w, const char *name, size_t len, size_t wrong_at)
{
	struct inbox *in = inbox_open(w->dir, NULL);
	int fd = inbox_partial_write(in, MINE, name, 0, NULL);
	FILE *f = fdopen(fd, "wb");
	for (size_t i = 0; i < len; i++)
		fputc(i == wrong_at ? byte_at(i) ^ 1 : byte_at(i), f);
	fclose(f);
	inbox_close(in);
}

/* --- what who watches is told --- */

struct seen {
	struct files *files;
	size_t told, n; /* n: of the last time */
	struct files_outgoing last;
	char id[FILES_OUTGOING_ID], first_id[FILES_OUTGOING_ID];
	bool began, moving, went_back;
};

static void see_one(void *arg, const struct files_outgoing *o)
{
	struct seen *s = arg;
	assert_string_equal(o->peer, "nBob");
	assert_string_equal(o->name, "a b.bin");
	assert_int_equal(strlen(o->id), FILES_OUTGOING_ID - 1);
	if (!s->n)
		snprintf(s->first_id, sizeof(s->first_id), "%s", o->id);
	s->n++;
	s->last = *o;
	snprintf(s->id, sizeof(s->id), "%s", o->id);
}

static void seen_news(void *arg)
{
	struct seen *s = arg;
	uint64_t before = s->last.sent;
	bool ended = s->last.finished;
	s->told++;
	s->n = 0;
	files_outgoing(s->files, see_one, s);
	s->went_back |= !ended && s->last.sent < before;
	s->began |= !s->last.finished && !s->last.sent;
	if (!s->last.finished && s->last.sent)
		__atomic_store_n(&s->moving, true, __ATOMIC_RELEASE);
}

static void test_is_told(void **state)
{
	static const struct {
		size_t there; /* the peer has it already */
		bool chunked;
	} rows[] = { { 0, false }, { 0, true }, { 3 * BLOCK, false }, { BIG, false } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct loopback w;
		struct asker k;
		loopback_open(&w);
		struct seen s = { .files = w.files };
		if (rows[i].there)
			write_partial(&w, "a b.bin", rows[i].there, SIZE_MAX);
		asker_open(&k, &w, "a b.bin");
		files_outgoing_watch(w.files, seen_news, &s);
		int64_t before = clock_unix_ms();
		k.to_byte = BIG;
		k.chunked = rows[i].chunked;
		exchange(&k, "PUT");
		assert_int_equal(k.status, 200);
		while (!s.last.finished)
			loop_run_once(w.loop);
		assert_true(s.began && s.last.succeeded && !s.went_back);
		assert_int_equal(s.n, 1);
		assert_int_equal(s.last.sent, BIG);
		assert_int_equal(s.last.size, rows[i].chunked ? -1 : BIG);
		assert_true(s.last.started_ms >= before && s.last.started_ms <= clock_unix_ms());
		size_t told = s.told;
		files_outgoing_watch(w.files, NULL, NULL);
		exchange(&k, "PUT");
		assert_int_equal(s.told, told);
		asker_close(&k);
		loopback_close(&w);
	}
}

/* Who sends slowly hears on the way how far it is. */
static void test_is_told_on_the_way(void **state)
{
	struct loopback w;
	struct asker k;
	(void)state;
	loopback_open(&w);
	struct seen s = { .files = w.files };
	asker_open(&k, &w, "a b.bin");
	files_outgoing_watch(w.files, seen_news, &s);
	k.to_byte = BIG;
	k.until = &s.moving;
	exchange(&k, "PUT");
	assert_int_equal(k.status, 200);
	assert_true(s.moving);
	while (!s.last.finished)
		loop_run_once(w.loop);
	assert_false(s.went_back);
	asker_close(&k);
	loopback_close(&w);
}

/* What fails ends too. */
static void test_is_told_of_failure(void **state)
{
	struct loopback w;
	struct asker k;
	(void)state;
	loopback_open(&w);
	struct seen s = { .files = w.files };
	asker_open(&k, &w, "a b.bin");
	files_outgoing_watch(w.files, seen_news, &s);
	k.to_byte = BIG;
	k.leaves = true; /* a byte is missing */
	exchange(&k, "PUT");
	while (!s.last.finished)
		loop_run_once(w.loop);
	assert_false(s.last.succeeded);
	assert_int_equal(s.last.size, BIG + 1);
	asker_close(&k);
	loopback_close(&w);
}

/* Those that ended are kept in bounds, the oldest goes first. */
static void test_many_are_told(void **state)
{
	enum { KEPT = 32 };
	struct loopback w;
	struct asker k;
	char first[FILES_OUTGOING_ID] = "";
	(void)state;
	loopback_open(&w);
	struct seen s = { .files = w.files };
	asker_open(&k, &w, "a b.bin");
	files_outgoing_watch(w.files, seen_news, &s);
	for (size_t i = 0; i < KEPT + 2; i++) {
		s.last.finished = false;
		exchange(&k, "PUT");
		while (!s.last.finished)
			loop_run_once(w.loop);
		assert_int_equal(s.n, i < KEPT ? i + 1 : KEPT);
		if (i == 1)
			memcpy(first, s.id, sizeof(first));
	}
	assert_string_not_equal(s.first_id, first);
	asker_close(&k);
	loopback_close(&w);
}

static bool has_partial(const struct loopback *w, const char *name)
{
	struct inbox *in = inbox_open(w->dir, NULL);
	int fd = inbox_partial_read(in, MINE, name);
	if (fd >= 0)
		close(fd);
	inbox_close(in);
	return fd >= 0;
}

/* What is there already is not sent; where it is another, the sender's counts. The outcome says nothing of how many bytes
 * went: a file that grows from its partial keeps the inode. */
static void test_goes_on(void **state)
{
	static const struct {
		size_t there, wrong_at;
		bool chunked;
	} rows[] = {
		{ BLOCK - 1, SIZE_MAX, false },
		{ 3 * BLOCK, SIZE_MAX, false },
		{ 3 * BLOCK + 100, SIZE_MAX, true },
		{ 3 * BLOCK, 0, false },
		{ 3 * BLOCK, 2 * BLOCK + 1, false },
		{ 3 * BLOCK, 2 * BLOCK + 1, true },
		{ BIG, SIZE_MAX, false },
		{ BIG, SIZE_MAX, true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct loopback w;
		struct asker k;
		loopback_open(&w);
		write_partial(&w, "f", rows[i].there, rows[i].wrong_at);
		asker_open(&k, &w, "f");
		k.to_byte = BIG;
		k.chunked = rows[i].chunked;
		k.expect = true;
		exchange(&k, "PUT");
		if (k.status != 200)
			fail_msg("row %zu: %d %s", i, k.status, k.reply);
		check_file(&w, "f", BIG);
		asker_close(&k);
		loopback_close(&w);
	}
}

/* There is more of it than the sender has now: it is the sender's file all the same. */
static void test_shorter_now(void **state)
{
	struct loopback w;
	struct asker k;
	(void)state;
	loopback_open(&w);
	write_partial(&w, "f", 2 * BLOCK, SIZE_MAX);
	asker_open(&k, &w, "f");
	k.to_byte = BLOCK + 7;
	exchange(&k, "PUT");
	assert_int_equal(k.status, 200);
	check_file(&w, "f", BLOCK + 7);
	asker_close(&k);
	loopback_close(&w);
}

static void test_failures(void **state)
{
	struct loopback w;
	struct asker k;
	(void)state;
	loopback_open(&w);
	asker_open(&k, &w, "f");
	k.to_byte = BIG;
	k.expect = true;
	/* Refused by the other side: its words, and no byte was asked for before them. */
	w.peer[0].node.user = 8;
	exchange(&k, "PUT");
	assert_int_equal(k.status, 403);
	assert_non_null(strstr(k.reply, "takes no files from you"));
	w.peer[0].node.user = 7;
	/* Nobody there. */
	k.to.at.port = 1;
	exchange(&k, "PUT");
	assert_int_equal(k.status, 502);
	assert_non_null(strstr(k.reply, "cannot send to bob: connect: Connection refused"));
	k.to.at.port = peer_api_port(w.api, true);
	/* The asker leaves: what came is kept for the next time. */
	k.expect = false;
	k.leaves = true;
	exchange(&k, "PUT");
	k.leaves = false;
	assert_string_equal(loopback_waiting(&w), "");
	/* The other side may not have begun yet. */
	while (!has_partial(&w, "f") || files_is_receiving(w.files, MINE, "f"))
		loop_run_once(w.loop);
	exchange(&k, "PUT");
	assert_int_equal(k.status, 200);
	check_file(&w, "f", BIG);
	asker_close(&k);
	loopback_close(&w);
}

static void test_take_out(void **state)
{
	struct loopback w;
	struct asker k;
	(void)state;
	loopback_open(&w);
	asker_open(&k, &w, "f");
	k.to_byte = 5;
	exchange(&k, "PUT");
	assert_string_equal(loopback_waiting(&w), "f=5 ");
	k.to_byte = 0;
	exchange(&k, "GET");
	assert_int_equal(k.status, 200);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal((uint8_t)k.reply[i], byte_at(i));
	exchange(&k, "DELETE");
	assert_int_equal(k.status, 204);
	assert_string_equal(loopback_waiting(&w), ""); /* known before the answer */
	exchange(&k, "GET");
	assert_int_equal(k.status, 404);
	assert_non_null(strstr(k.reply, "no file f waits here"));
	asker_close(&k);
	loopback_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sends),
		cmocka_unit_test(test_is_told),
		cmocka_unit_test(test_is_told_on_the_way),
		cmocka_unit_test(test_is_told_of_failure),
		cmocka_unit_test(test_many_are_told),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_shorter_now),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_take_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
