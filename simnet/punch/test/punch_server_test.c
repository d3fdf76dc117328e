#include "simnet/punch/punch_server.h"

#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SENT_MAX = 8 };
struct bench {
	struct punch_server server;
	struct {
		struct endpoint to;
		struct punch_message m;
	} sent[SENT_MAX];
	size_t n_sent, n_open;
	struct endpoint open_to;
};

static void send_kept(void *owner, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct bench *b = owner;
	assert_true(b->n_sent < SENT_MAX);
	assert_true(punch_message_read(p, len, &b->sent[b->n_sent].m));
	b->sent[b->n_sent++].to = *to;
}

static void count_open(void *owner, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct bench *b = owner;
	struct punch_message m;
	assert_true(punch_message_read(p, len, &m) && m.kind == PUNCH_OPEN);
	b->open_to = *to;
	b->n_open++;
}

static const struct punch_server_ops ops = { .send = send_kept, .send_other = count_open };

static struct bench *new_bench(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	assert_non_null(b);
	punch_server_init(&b->server, &ops, b);
	return b;
}

static struct endpoint host(uint32_t n)
{
	return (struct endpoint) { .ip = addr_v4(0x0b000000 + n), .port = 9 };
}

static void say(struct bench *b, uint64_t now_us, uint32_t from, const struct punch_message *m)
{
	uint8_t msg[PUNCH_MESSAGE_MAX];
	struct endpoint at = host(from);
	b->n_sent = 0;
	punch_server_received(&b->server, now_us, &at, msg, punch_message_write(m, msg, sizeof(msg)));
}

static void enter(struct bench *b, uint64_t now_us, uint32_t from, const char *name)
{
	struct punch_message m = { .kind = PUNCH_REGISTER,
		.nonce = 5,
		.places = { { .ip = addr_v4(0x0a000001), .port = 9 } },
		.n_places = 1,
		.body = { 1, 2 },
		.n_body = 2 };
	snprintf(m.from, sizeof(m.from), "%s", name);
	say(b, now_us, from, &m);
}

static void test_seen_and_invited(void **state)
{
	struct bench *b = new_bench();
	struct endpoint one = host(1), two = host(2);
	(void)state;

	enter(b, 1, 1, "alice");
	assert_int_equal(b->n_sent, 1);
	assert_int_equal(b->sent[0].m.kind, PUNCH_SEEN);
	assert_true(b->sent[0].m.nonce == 5 && endpoint_equal(&b->sent[0].m.places[0], &one));
	say(b, 2, 1, &(struct punch_message) { .kind = PUNCH_CALL, .from = "alice", .to = "bob" });
	assert_int_equal(b->server.drops.unknown_name, 1);
	enter(b, 3, 2, "bob");
	say(b, 4, 1, &(struct punch_message) { .kind = PUNCH_CALL, .from = "alice", .to = "bob" });
	assert_int_equal(b->n_sent, 2);
	assert_true(endpoint_equal(&b->sent[0].to, &two));
	assert_string_equal(b->sent[0].m.from, "alice");
	assert_int_equal(b->sent[0].m.n_places, 2);
	assert_true(endpoint_equal(&b->sent[0].m.places[0], &one));
	assert_int_equal(b->sent[0].m.n_body, 2);
	assert_true(endpoint_equal(&b->sent[1].to, &one));
	assert_string_equal(b->sent[1].m.from, "bob");
	free(b);
}

static void test_relay_and_refusals(void **state)
{
	struct bench *b = new_bench();
	struct endpoint two = host(2);
	struct punch_message probe = { .kind = PUNCH_PROBE, .from = "alice", .to = "bob", .nonce = 77 };
	(void)state;

	enter(b, 1, 1, "alice");
	enter(b, 1, 2, "bob");
	say(b, 2, 1, &probe);
	assert_int_equal(b->n_sent, 1);
	assert_true(endpoint_equal(&b->sent[0].to, &two) && b->sent[0].m.nonce == 77);
	say(b, 2, 3, &probe); /* somebody else in alice's name */
	assert_int_equal(b->n_sent, 0);
	assert_int_equal(b->server.drops.unregistered, 1);
	say(b, 2, 1, &(struct punch_message) { .kind = PUNCH_INVITE, .from = "alice", .to = "bob" });
	say(b, 2, 1, &(struct punch_message) { .kind = PUNCH_REGISTER });
	assert_int_equal(b->n_sent, 0);
	assert_int_equal(b->server.drops.unexpected, 2);
	/* Silent for too long: gone. */
	say(b, 2 + PUNCH_CLIENT_SILENT_US, 1, &probe);
	assert_int_equal(b->server.drops.unregistered, 2);
	punch_server_received(&b->server, 3, &two, (const uint8_t *)"?", 1);
	assert_int_equal(b->server.drops.malformed, 1);
	free(b);
}

/* Often enough for one to arrive; anew at a new address. */
static void test_open_is_told(void **state)
{
	struct bench *b = new_bench();
	struct endpoint two = host(2);
	(void)state;

	for (uint64_t i = 0; i < 10; i++)
		enter(b, i, 1, "alice");
	assert_int_equal(b->n_open, PUNCH_OPEN_TIMES);
	enter(b, 11, 2, "alice");
	assert_int_equal(b->n_open, PUNCH_OPEN_TIMES + 1);
	assert_true(endpoint_equal(&b->open_to, &two));
	free(b);
}

static void test_clients_are_bounded(void **state)
{
	struct bench *b = new_bench();
	char name[PUNCH_NAME_MAX + 1];
	(void)state;

	for (uint32_t i = 0; i <= PUNCH_CLIENTS_MAX; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		enter(b, 1, i, name);
	}
	assert_int_equal(b->server.drops.full, 1);
	enter(b, 2, 9999, "n0"); /* a name that is there, from elsewhere: the newest holds */
	assert_int_equal(b->n_sent, 1);
	enter(b, 1 + PUNCH_CLIENT_SILENT_US, 7, "new");
	assert_int_equal(b->n_sent, 1);
	assert_int_equal(b->server.drops.full, 1);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seen_and_invited),
		cmocka_unit_test(test_relay_and_refusals),
		cmocka_unit_test(test_open_is_told),
		cmocka_unit_test(test_clients_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
