#include "resolver/answer.h"

#include "mesh/base/err.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define QUESTION "\1a\3com\0\0\1\0\1"
#define FIXED "\0\1\0\1\0\0\0\1\0\4\1\2\3\4"
#define OPT "\0\51\4\320\0\0\0\0\0\0"
#define TEXT(s) (const uint8_t *)(s), sizeof(s) - 1

/* Whose a record is: an address behind each owner, then an OPT behind each. */
static void test_owners(void **state)
{
	static const struct {
		const uint8_t *owner;
		size_t len;
		enum answer_read address, opt;
		bool is_asked;
	} rows[] = {
		{ TEXT("\300\14"), ANSWER_OK, ANSWER_MALFORMED, true },
		{ TEXT("\1a\3com\0"), ANSWER_OK, ANSWER_MALFORMED, true },
		{ TEXT("\1A\3Com\0"), ANSWER_OK, ANSWER_MALFORMED, true },
		{ TEXT("\1a\300\16"), ANSWER_OK, ANSWER_MALFORMED, true },
		{ TEXT("\300\16"), ANSWER_OK, ANSWER_MALFORMED, false },
		{ TEXT("\1b\300\16"), ANSWER_OK, ANSWER_MALFORMED, false },
		{ TEXT("\0"), ANSWER_OK, ANSWER_OK, false },
		{ TEXT("\300\22"), ANSWER_OK, ANSWER_OK, false },		 /* to the root */
		{ TEXT("\300\377"), ANSWER_MALFORMED, ANSWER_MALFORMED, false }, /* beyond */
		{ TEXT("\300\27"), ANSWER_MALFORMED, ANSWER_MALFORMED, false },	 /* to itself */
		{ TEXT("\300\15"), ANSWER_MALFORMED, ANSWER_MALFORMED, false },	 /* into a label */
	};
	static struct answer_work work;
	static uint8_t clean[DNS_MESSAGE_MAX];
	struct dns_name name;
	struct dns_ask asked = { .id = 0x1234, .type = DNS_A, .name = &name };
	(void)state;
	assert_true(dns_name_parse("a.com", &name));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int opt = 0; opt < 2; opt++) {
			uint8_t msg[128] = "\x12\x34\x81\x80\0\1\0\0\0\0\0";
			struct answer got;
			size_t len = DNS_HEADER + sizeof(QUESTION) - 1;
			msg[opt ? 11 : 7] = 1;
			memcpy(msg + DNS_HEADER, QUESTION, sizeof(QUESTION) - 1);
			memcpy(msg + len, rows[i].owner, rows[i].len);
			len += rows[i].len;
			memcpy(msg + len, opt ? OPT : FIXED, (opt ? sizeof(OPT) : sizeof(FIXED)) - 1);
			len += (opt ? sizeof(OPT) : sizeof(FIXED)) - 1;
			enum answer_read read = answer_read(&work, msg, len, &asked, true, &got, clean);
			if (read != (opt ? rows[i].opt : rows[i].address))
				fail_msg("row %zu, %s: %d", i, opt ? "OPT" : "A", read);
			if (!opt && read == ANSWER_OK && got.complete != rows[i].is_asked)
				fail_msg("row %zu: %s", i, got.complete ? "taken" : "not taken");
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owners),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
