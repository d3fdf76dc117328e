/* Questions handed to libunbound, which asks a socket of this test. */
#include "resolver/exchange/test/asker.h"

#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include "resolver/exchange/validate.h"
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { HEADER = 12, NAME = 255, LONGEST = 490, LABEL = 63, LIMIT_MS = 20000 };

static const struct exchange_to validated = { .by = EXCHANGE_VALIDATED };
static struct asker a;
static struct endpoint at;
static int asked = -1;

static int setup(void **state)
{
	static const char *const all[] = { "." };
	struct errbuf eb;
	(void)state;
	asker_open(&a, ASKER_QUESTION);
	at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	asked = sock_udp(&at, NULL);
	assert_true(asked >= 0);
	assert_int_equal(sock_local(asked, &at), 0);
	const struct exchange_validation how = {
		.ask = at, .word = "word", .anchors = "/dev/null", .insecure = all, .n_insecure = 1
	};
	int err = exchange_validate(a.x, &how, &eb);
	if (err == ERR_UNSUPPORTED) {
		print_message("skipped: %s\n", eb.text);
		exchange_close(a.x);
		loop_free(a.loop);
		close(asked);
		a.x = NULL;
		return 0;
	}
	assert_int_equal(err, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!a.x)
		return 0;
	exchange_close(a.x);
	loop_free(a.loop);
	close(asked);
	return 0;
}

/* A question whose name has so many bytes on the wire, labels of `!`; its length. */
static size_t question(uint8_t msg[static HEADER + LONGEST + 4], size_t name)
{
	memset(msg, 0, HEADER);
	msg[2] = 1;
	msg[5] = 1;
	memset(msg + HEADER, '!', name);
	for (size_t i = 0; i + 1 < name; i += 1 + LABEL) {
		size_t left = name - 1 - i - 1;
		msg[HEADER + i] = (uint8_t)(left < LABEL ? left : LABEL);
	}
	msg[HEADER + name - 1] = 0;
	memcpy(msg + HEADER + name, "\0\1\0\1", 4);
	return HEADER + name + 4;
}

/* The longest that a name can be goes out whole, however long its text is; a byte more is no name. */
static void test_long_names(void **state)
{
	static const size_t wrong[] = { NAME + 1, 400, LONGEST };
	uint8_t msg[HEADER + LONGEST + 4], got[HEADER + LONGEST + 4];
	(void)state;
	if (!a.x)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		exchange_send(a.x, i, &validated, msg, question(msg, wrong[i]));
		a.code = 0;
		asker_wait(&a, 1);
		assert_int_equal(a.failed[i], 1);
		assert_int_equal(a.code, ERR_MALFORMED);
	}
	size_t len = question(msg, NAME);
	exchange_send(a.x, ARRAY_LEN(wrong), &validated, msg, len);
	exchange_settle(a.x);
	struct pollfd p = { .fd = asked, .events = POLLIN };
	assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
	assert_true(recv(asked, got, sizeof(got), 0) >= (ssize_t)len);
	assert_memory_equal(got + HEADER, msg + HEADER, len - HEADER);
	exchange_done(a.x, ARRAY_LEN(wrong));
}

/* What is cut within its name or behind it is no question. */
static void test_cut(void **state)
{
	static const size_t lens[] = { HEADER + 1, HEADER + 3, HEADER + 6, HEADER + 9 };
	uint8_t msg[HEADER + LONGEST + 4];
	(void)state;
	if (!a.x)
		skip();
	(void)question(msg, 6);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		exchange_send(a.x, i, &validated, msg, lens[i]);
		a.code = 0;
		asker_wait(&a, 1);
		assert_int_equal(a.code, ERR_MALFORMED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_long_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
