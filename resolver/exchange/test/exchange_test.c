/* Questions against a server of this loop that answers, is silent or closes as it is told. */
#include "resolver/exchange/test/asker.h"

#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { LINKS = 8, QUESTION = 20 };

enum mode {
	ANSWER,
	ANSWER_IN_PAIRS, /* the second first */
	ANSWER_THEN_CLOSE,
	CLOSE_ON_SECOND, /* of the first connection */
	CLOSE_ALWAYS,
	SILENT_AT_FIRST, /* on the first connection */
};
struct link {
	struct server *server;
	int fd;
	struct loop_fd *watch;
	unsigned asked;
	uint8_t held[2 + QUESTION]; /* a question whose answer waits for the next's */
};
struct server {
	struct loop *loop;
	int fd;
	struct loop_fd *watch;
	struct endpoint at;
	enum mode mode;
	struct link links[LINKS];
	unsigned n_links;
};
struct fixture {
	struct asker asker;
	struct server server;
};

static void link_close(struct link *l)
{
	if (l->fd < 0)
		return;
	loop_fd_free(l->watch);
	close(l->fd);
	l->fd = -1;
}

static void link_ready(void *arg, int events)
{
	struct link *l = arg;
	struct server *s = l->server;
	uint8_t b[2 + QUESTION];
	(void)events;
	if (recv(l->fd, b, sizeof(b), MSG_WAITALL) != sizeof(b)) {
		link_close(l);
		return;
	}
	bool first = l == &s->links[0];
	l->asked++;
	if (s->mode == CLOSE_ALWAYS || (s->mode == CLOSE_ON_SECOND && first && l->asked == 2)) {
		link_close(l);
		return;
	}
	if (s->mode == SILENT_AT_FIRST && first)
		return;
	if (s->mode == ANSWER_IN_PAIRS && l->asked % 2) {
		memcpy(l->held, b, sizeof(b));
		return;
	}
	assert_int_equal(send(l->fd, b, sizeof(b), 0), sizeof(b));
	if (s->mode == ANSWER_IN_PAIRS)
		assert_int_equal(send(l->fd, l->held, sizeof(b), 0), sizeof(b));
	if (s->mode == ANSWER_THEN_CLOSE)
		link_close(l);
}

static void server_ready(void *arg, int events)
{
	struct server *s = arg;
	(void)events;
	assert_true(s->n_links < LINKS);
	struct link *l = &s->links[s->n_links++];
	*l = (struct link) { .server = s, .fd = accept(s->fd, NULL, NULL) };
	l->watch = loop_fd_new(s->loop, l->fd, link_ready, l);
	loop_fd_set(l->watch, LOOP_READ);
}

static void ask(struct fixture *f, uint64_t id, enum exchange_by by)
{
	asker_ask(&f->asker, id, &(struct exchange_to) { .at = f->server.at, .by = by });
}

static int setup(void **state)
{
	static struct fixture f;
	struct errbuf eb;
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	memset(&f, 0, sizeof(f));
	asker_open(&f.asker, QUESTION);
	f.server = (struct server) { .loop = f.asker.loop, .fd = sock_tcp_listen(&at, &eb) };
	if (f.server.fd < 0)
		fail_msg("%s", eb.text);
	sock_local(f.server.fd, &f.server.at);
	f.server.watch = loop_fd_new(f.asker.loop, f.server.fd, server_ready, &f.server);
	loop_fd_set(f.server.watch, LOOP_READ);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	exchange_close(f->asker.x);
	for (unsigned i = 0; i < f->server.n_links; i++)
		link_close(&f->server.links[i]);
	loop_fd_free(f->server.watch);
	if (f->server.fd >= 0)
		close(f->server.fd);
	loop_free(f->asker.loop);
	return 0;
}

/* One connection for all, answers in any order, each with the id it was sent with. */
static void test_shared(void **state)
{
	struct fixture *f = *state;
	f->server.mode = ANSWER_IN_PAIRS;
	for (uint64_t id = 1; id <= 6; id++)
		ask(f, id, EXCHANGE_TCP);
	asker_wait(&f->asker, 6);
	for (unsigned id = 1; id <= 6; id++)
		assert_int_equal(f->asker.answered[id], 1);
	assert_int_equal(f->server.n_links, 1);
	f->server.mode = ANSWER;
	for (uint64_t id = 7; id <= 9; id++) {
		ask(f, id, EXCHANGE_TCP);
		asker_wait(&f->asker, 1);
		assert_int_equal(be_get(f->asker.last, 2), 0x1000 + id);
		assert_int_equal(f->asker.last[QUESTION - 1], id);
	}
	assert_int_equal(f->server.n_links, 1);
}

/* A server closes what is idle, or at the very moment it is used again: nobody notices. */
static void test_closed_and_asked_again(void **state)
{
	struct fixture *f = *state;
	static const enum mode modes[] = { ANSWER_THEN_CLOSE, CLOSE_ON_SECOND };
	for (size_t i = 0; i < 2; i++) {
		f->server.mode = modes[i];
		for (uint64_t id = 1; id <= 3; id++) {
			unsigned before = f->asker.answered[id];
			ask(f, id, EXCHANGE_TCP);
			asker_wait(&f->asker, 1);
			assert_int_equal(f->asker.answered[id], before + 1);
		}
		exchange_forget(f->asker.x);
		for (unsigned k = 0; k < f->server.n_links; k++)
			link_close(&f->server.links[k]);
		f->server.n_links = 0;
	}
	assert_int_equal(f->asker.failed[1] + f->asker.failed[2] + f->asker.failed[3], 0);
}

/* One that never answers is not asked for ever. */
static void test_closed_always(void **state)
{
	struct fixture *f = *state;
	f->server.mode = CLOSE_ALWAYS;
	ask(f, 1, EXCHANGE_TCP);
	asker_wait(&f->asker, 1);
	assert_int_equal(f->asker.failed[1], 1);
	assert_true(f->asker.code == ERR_CLOSED || f->asker.code == -ECONNRESET);
	assert_int_equal(f->server.n_links, 1);
}

/* A connection on which a question was given up may be dead: the next has one of its own. */
static void test_given_up(void **state)
{
	struct fixture *f = *state;
	f->server.mode = SILENT_AT_FIRST;
	ask(f, 1, EXCHANGE_TCP);
	ask(f, 2, EXCHANGE_TCP);
	while (!f->server.n_links || f->server.links[0].asked < 2)
		loop_run_once(f->asker.loop);
	exchange_done(f->asker.x, 1);
	ask(f, 3, EXCHANGE_TCP);
	asker_wait(&f->asker, 1);
	assert_int_equal(f->asker.answered[3], 1);
	assert_int_equal(f->server.n_links, 2);
	exchange_done(f->asker.x, 2); /* the last of the old one: it goes */
	ask(f, 4, EXCHANGE_TCP);
	asker_wait(&f->asker, 1);
	assert_int_equal(f->server.n_links, 2);
}

/* What fails within the call is told afterwards, and what was given up is not told at all. */
static void test_nobody_there(void **state)
{
	struct fixture *f = *state;
	loop_fd_free(f->server.watch);
	close(f->server.fd);
	f->server.watch = NULL;
	f->server.fd = -1;
	for (int by = EXCHANGE_UDP; by <= EXCHANGE_TCP; by++) {
		ask(f, 1 + (uint64_t)by, (enum exchange_by)by);
		asker_wait(&f->asker, 1);
		assert_int_equal(f->asker.failed[1 + by], 1);
		assert_int_equal(f->asker.code, -ECONNREFUSED);
	}
	ask(f, 5, EXCHANGE_TCP);
	exchange_done(f->asker.x, 5);
	exchange_settle(f->asker.x);
	for (int i = 0; i < 5; i++) {
		ask(f, 6, EXCHANGE_UDP);
		asker_wait(&f->asker, 1);
	}
	assert_int_equal(f->asker.failed[5], 0);
}

/* What failed at once is told at the next settling, but of what was given up before that. */
static void test_failed_and_given_up(void **state)
{
	struct fixture *f = *state;
	const struct exchange_to nobody = { .by = EXCHANGE_VALIDATED }; /* there is no validator */
	uint8_t msg[40] = { 0 };
	for (uint64_t id = 1; id <= 3; id++)
		exchange_send(f->asker.x, id, &nobody, msg, sizeof(msg));
	exchange_done(f->asker.x, 2);
	f->asker.want = UINT32_MAX;
	assert_false(exchange_is_settled(f->asker.x));
	exchange_settle(f->asker.x);
	assert_true(exchange_is_settled(f->asker.x));
	assert_int_equal(f->asker.failed[1], 1);
	assert_int_equal(f->asker.failed[2], 0);
	assert_int_equal(f->asker.failed[3], 1);
	assert_int_equal(f->asker.code, ERR_REFUSED);
}

/* Who asks again at once for what cannot be sent, as often as he is told. */
struct insistent {
	struct exchange *x;
	unsigned told;
};

static void insist(void *arg, uint64_t id, int code)
{
	const struct exchange_to nobody = { .by = EXCHANGE_VALIDATED };
	struct insistent *i = arg;
	uint8_t msg[40] = { 0 };
	assert_int_equal(code, ERR_REFUSED);
	assert_int_not_equal(id, 2);
	assert_true(++i->told < 100);
	exchange_send(i->x, 3 + i->told, &nobody, msg, sizeof(msg));
	exchange_done(i->x, 2); /* and gives up another that was to be told */
}

static void not_received(void *arg, uint64_t id, const uint8_t *msg, size_t len)
{
	(void)arg, (void)id, (void)msg, (void)len;
	fail();
}

/* What fails of what is asked while failures are told is told the next time: each call ends. */
static void test_asked_again_at_once(void **state)
{
	const struct exchange_to nobody = { .by = EXCHANGE_VALIDATED };
	struct fixture *f = *state;
	struct insistent i = { .told = 0 };
	struct errbuf eb;
	uint8_t msg[40] = { 0 };
	struct exchange_options o = { .loop = f->asker.loop, .rnd = &random_system, .arg = &i };
	o.received = not_received;
	o.failed = insist;
	i.x = exchange_open(&o, &eb);
	assert_non_null(i.x);
	for (uint64_t id = 1; id <= 3; id++)
		exchange_send(i.x, id, &nobody, msg, sizeof(msg));
	for (unsigned told = 2; told <= 6; told += 2) { /* 3 and 1, then what was asked for each */
		exchange_settle(i.x);
		assert_int_equal(i.told, told);
		assert_false(exchange_is_settled(i.x));
	}
	exchange_close(i.x);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { CASE(test_shared), CASE(test_closed_and_asked_again),
		CASE(test_closed_always), CASE(test_given_up), CASE(test_nobody_there),
		CASE(test_failed_and_given_up), CASE(test_asked_again_at_once) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
