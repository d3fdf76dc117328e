#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/pcap/pcapng.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A UDP datagram from 10.0.0.1:1 to 10.0.0.2:9, in Ethernet. */
static const uint8_t frame[] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17,
	0x66, 0xce, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 9, 0, 9, 0, 0, 'x' };

static struct pcapng_packet packet(uint32_t link, uint64_t at_ns, const char *comment)
{
	return (struct pcapng_packet) { .link = link,
		.at_ns = at_ns,
		.data = frame,
		.len = sizeof(frame),
		.wire_len = 1500,
		.comment = comment,
		.comment_len = comment ? strlen(comment) : 0 };
}

static void write_two(struct buf *out)
{
	struct pcapng_packet a = packet(0, 1000000000123456789, NULL),
			     b = packet(1, 1000000001000000001, "dropped here");
	assert_true(pcapng_write_head(out, "simnet") && pcapng_write_link(out, "alice", 256) &&
		    pcapng_write_link(out, "home.wan", 256));
	assert_true(pcapng_write_packet(out, &a) && pcapng_write_packet(out, &b));
}

static void test_round(void **state)
{
	struct buf out = { 0 };
	struct pcapng_reader r;
	struct pcapng_packet p;
	struct errbuf eb = { 0 };
	(void)state;
	write_two(&out);
	assert_int_equal(pcapng_open(&r, buf_data(&out), out.len, &eb), 0);
	assert_int_equal(pcapng_next(&r, &p, &eb), 1);
	assert_string_equal(r.names[p.link], "alice");
	assert_true(p.frame == 1 && p.at_ns == 1000000000123456789 && p.len == sizeof(frame) &&
		    p.wire_len == 1500);
	assert_memory_equal(p.data, frame, sizeof(frame));
	assert_null(p.comment);
	assert_int_equal(pcapng_next(&r, &p, &eb), 1);
	assert_string_equal(r.names[p.link], "home.wan");
	assert_true(p.frame == 2 && p.comment_len == strlen("dropped here"));
	assert_memory_equal(p.comment, "dropped here", p.comment_len);
	assert_int_equal(pcapng_next(&r, &p, &eb), 0);
	pcapng_close(&r);
	buf_free(&out);
}

static const char *remark(void *owner, const char *link, const struct pcapng_packet *p)
{
	(void)owner;
	return p->frame == 1 && !strcmp(link, "alice") ? "seen first" : NULL;
}

static void test_annotate(void **state)
{
	struct buf in = { 0 }, out = { 0 }, little = { .cap = 200 };
	struct pcapng_reader r;
	struct pcapng_packet p;
	struct errbuf eb = { 0 };
	(void)state;
	write_two(&in);
	assert_int_equal(pcapng_annotate(buf_data(&in), in.len, remark, NULL, &out, &eb), 0);
	assert_int_equal(pcapng_open(&r, buf_data(&out), out.len, &eb), 0);
	assert_int_equal(pcapng_next(&r, &p, &eb), 1);
	assert_memory_equal(p.comment, "seen first", p.comment_len);
	assert_int_equal(pcapng_next(&r, &p, &eb), 1);
	assert_memory_equal(p.comment, "dropped here", p.comment_len);
	pcapng_close(&r);
	assert_int_equal(pcapng_annotate(buf_data(&in), in.len, remark, NULL, &little, &eb), ERR_TOO_LARGE);
	buf_free(&in);
	buf_free(&out);
	buf_free(&little);
}

/* A change of one word, and what is said of it. */
static void test_wrong(void **state)
{
	static const struct {
		size_t at;
		uint32_t put;
		int err;
		const char *says;
	} rows[] = {
		{ 0, 1, ERR_MALFORMED, "does not begin as pcapng does" },
		{ 4, 44 + 1, ERR_MALFORMED, "no right length" },
		{ 4, 1 << 30, ERR_MALFORMED, "cut short" },
		{ 8, 0x4d3c2b1a, ERR_UNSUPPORTED, "a big-endian machine" },
		{ 8, 7, ERR_MALFORMED, "does not begin as pcapng does" },
		{ 12, 2, ERR_UNSUPPORTED, "another version" },
		{ 44 + 8, 113, ERR_UNSUPPORTED, "interface 0 is not Ethernet" },
		{ 44 + 16, 0x00400002, ERR_MALFORMED, "options are cut short" },
		{ 44 + 32, 12, ERR_UNSUPPORTED, "stamps that are not read here" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = { 0 };
		struct pcapng_reader r;
		struct pcapng_packet p;
		struct errbuf eb = { 0 };
		write_two(&out);
		le_put(buf_data(&out) + rows[i].at, 4, rows[i].put);
		int err = pcapng_open(&r, buf_data(&out), out.len, &eb);
		int got = err ? err : 1;
		while (got > 0)
			got = pcapng_next(&r, &p, &eb);
		err = got;
		if (err != rows[i].err || !strstr(eb.text, rows[i].says))
			fail_msg("row %zu: %d '%s'", i, err, eb.text);
		pcapng_close(&r);
		buf_free(&out);
	}
}

/* Every beginning of a capture is refused, or has fewer packets: never more than was written. */
static void test_cut(void **state)
{
	struct buf out = { 0 };
	(void)state;
	write_two(&out);
	for (size_t len = 0; len < out.len; len++) {
		uint8_t *copy = malloc(len + 1);
		struct pcapng_reader r;
		struct pcapng_packet p;
		int n = 0;
		assert_non_null(copy);
		memcpy(copy, buf_data(&out), len);
		if (!pcapng_open(&r, copy, len, NULL))
			while (pcapng_next(&r, &p, NULL) == 1)
				n++;
		assert_true(n < 2);
		pcapng_close(&r);
		free(copy);
	}
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_annotate),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
