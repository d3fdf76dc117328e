#include "mesh/transport/noise_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The vectors of tailscale-protocol.md 1.5: keys are one byte repeated. */
static void fill_byte(void *arg, void *dst, size_t len)
{
	memset(dst, *(const int *)arg, len);
}

static void expect_hex(const void *p, size_t len, const char *hex)
{
	char *text = malloc(2 * len + 1);
	assert_non_null(text);
	assert_string_equal(hex_encode(p, len, text), hex);
	free(text);
}

struct pair {
	struct noise_link *client, *server;
	uint8_t initiation[NOISE_INITIATION], response[NOISE_RESPONSE];
	struct machine_private client_private, server_private;
	struct machine_key client_public, server_public, seen;
	uint16_t capver;
};

static struct noise_initiator *initiate(struct pair *p)
{
	int byte = 3;
	memset(&p->client_private, 2, KEY_LEN);
	memset(&p->server_private, 1, KEY_LEN);
	key_clamp(p->client_private.b);
	key_clamp(p->server_private.b);
	key_public(p->client_private.b, p->client_public.b);
	key_public(p->server_private.b, p->server_public.b);
	return noise_initiate(&p->client_private, &p->server_public, 138,
		&(struct random) { .fill = fill_byte, .arg = &byte }, p->initiation);
}

static void respond(struct pair *p)
{
	int byte = 4;
	struct errbuf eb = { 0 };
	p->server = noise_respond(&p->server_private, p->initiation, sizeof(p->initiation),
		&(struct random) { .fill = fill_byte, .arg = &byte }, p->response, &p->seen, &p->capver, &eb);
}

static void handshake(struct pair *p)
{
	struct errbuf eb = { 0 };
	struct noise_initiator *i = initiate(p);
	assert_non_null(i);
	respond(p);
	assert_non_null(p->server);
	p->client = noise_finish(i, p->response, sizeof(p->response), &eb);
	assert_non_null(p->client);
}

static void drop(struct pair *p)
{
	noise_link_free(p->client);
	noise_link_free(p->server);
}

static void test_handshake(void **state)
{
	struct pair p = { 0 };
	(void)state;
	handshake(&p);
	expect_hex(p.server_public.b, KEY_LEN,
		"a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209");
	expect_hex(p.client_public.b, KEY_LEN,
		"ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59");
	expect_hex(p.initiation, sizeof(p.initiation),
		"008a0100605dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22e7e00fca1f8146f01b"
		"0be0912230bc"
		"1a3ddb89daa2a5b15f9a771c0f982782233c5bc2284aff35fecc598d3700e5d5f0545e69581af09e885653a19337"
		"38ce31");
	expect_hex(p.response, sizeof(p.response),
		"020030ac01b2209e86354fb853237b5de0f4fab13c7fcbf433a61c019369617fecf10b7b0b188fc72242e7b7b12d"
		"bc49a46af2");
	expect_hex(noise_link_hash(p.client), NOISE_HASH,
		"6d48e5caab327ce5175d55a9fb23a114f3ee89568cf89eed4a523fa479848518");
	assert_memory_equal(noise_link_hash(p.client), noise_link_hash(p.server), NOISE_HASH);
	assert_memory_equal(p.seen.b, p.client_public.b, KEY_LEN);
	assert_int_equal(p.capver, 138);
	drop(&p);
}

static void test_records(void **state)
{
	static const struct {
		int n;
		const char *hex;
	} rows[] = {
		{ 0, "0400135fd98c7cb702f08082c6159b06e8ccfc5d6e6b" },
		{ 1, "0400139f86510695146f9bae2058f3afeb4c36c5aa88" },
		{ 256, "04001387dd62e0ac52923241d8f26a18fa397bdb6a81" },
	};
	struct pair p = { 0 };
	struct buf wire = { 0 }, plain = { 0 };
	size_t row = 0;
	(void)state;
	handshake(&p);
	for (int n = 0; n <= 256; n++) {
		assert_int_equal(noise_link_send(p.server, "abc", 3, &wire), 0);
		assert_int_equal(wire.len, 22);
		if (n == rows[row].n)
			expect_hex(buf_data(&wire), 22, rows[row++].hex);
		assert_int_equal(noise_link_receive(p.client, buf_data(&wire), wire.len, &plain), 0);
		assert_int_equal(plain.len, 3);
		assert_memory_equal(buf_data(&plain), "abc", 3);
		buf_consume(&wire, wire.len);
		buf_consume(&plain, plain.len);
	}
	assert_int_equal(row, ARRAY_LEN(rows));
	/* Keys, by a record that anyone can open with the split keys of the reference. */
	uint8_t key[32], nonce[12] = { 0 }, back[3];
	assert_int_equal(noise_link_send(p.client, "abc", 3, &wire), 0);
	hex_decode("4441bbb14dc71c3129a719c8997891dd4f01b79d0281c6b6b76acb506ef2716e", 64, key, 32);
	assert_true(aead_open(key, nonce, NULL, 0, buf_data(&wire) + 3, 19, back));
	assert_memory_equal(back, "abc", 3);
	buf_free(&wire);
	buf_free(&plain);
	drop(&p);
}

/* Any split of the stream gives the same plaintext. */
static void test_fragments(void **state)
{
	static const size_t lens[] = { 0, 1, 4076, 4077, 4078, 100000 },
			    steps[] = { 1, 2, 3, 7, 4095, 4096, 4097, 1 << 20 };
	uint8_t *text = malloc(100000);
	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < 100000; i++)
		text[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
		struct pair p = { 0 };
		struct buf wire = { 0 }, plain = { 0 }, want = { 0 };
		handshake(&p);
		for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
			assert_int_equal(noise_link_send(p.client, text, lens[i], &wire), 0);
			assert_true(buf_append(&want, text, lens[i]));
		}
		while (wire.len) {
			size_t n = wire.len < steps[s] ? wire.len : steps[s];
			assert_int_equal(noise_link_receive(p.server, buf_data(&wire), n, &plain), 0);
			buf_consume(&wire, n);
		}
		assert_int_equal(plain.len, want.len);
		assert_memory_equal(buf_data(&plain), buf_data(&want), want.len);
		buf_free(&wire);
		buf_free(&plain);
		buf_free(&want);
		drop(&p);
	}
	free(text);
}

static void test_bad_records(void **state)
{
	static const struct {
		const char *hex;
		int code;
	} rows[] = {
		{ "0500135fd98c7cb702f08082c6159b06e8ccfc5d6e6b", ERR_MALFORMED }, /* type */
		{ "04000f", ERR_MALFORMED },					   /* shorter than a tag */
		{ "040ffe", ERR_MALFORMED },					   /* 4094 */
		{ "0400135fd98c7cb702f08082c6159b06e8ccfc5d6e6c", ERR_CRYPTO },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p = { 0 };
		struct buf out = { 0 };
		uint8_t msg[64];
		size_t len = strlen(rows[i].hex) / 2;
		handshake(&p);
		assert_true(hex_decode(rows[i].hex, 2 * len, msg, len));
		assert_int_equal(noise_link_receive(p.client, msg, len, &out), rows[i].code);
		assert_int_equal(noise_link_receive(p.client, msg, 0, &out), rows[i].code);
		assert_int_equal(out.len, 0);
		buf_free(&out);
		drop(&p);
	}
}

static void test_bad_handshakes(void **state)
{
	struct errbuf eb;
	struct pair p = { 0 };
	struct noise_initiator *i;
	(void)state;
	for (size_t at = 0; at < NOISE_INITIATION; at++) {
		noise_initiator_free(initiate(&p));
		p.initiation[at] ^= 1;
		respond(&p);
		assert_null(p.server);
	}
	for (size_t at = 0; at < NOISE_RESPONSE; at++) {
		i = initiate(&p);
		respond(&p);
		p.response[at] ^= 1;
		assert_null(noise_finish(i, p.response, sizeof(p.response), &eb));
		noise_link_free(p.server);
	}
	i = initiate(&p);
	assert_null(noise_finish(i, (const uint8_t *)"\3\0\5no\n\"!", 8, &eb));
	assert_non_null(strstr(eb.text, "\"no?\"!\""));
	assert_int_equal(noise_response_len((const uint8_t *)"\2\0", 2), 0);
	assert_int_equal(noise_response_len((const uint8_t *)"\2\0\060", 3), NOISE_RESPONSE);

	struct machine_key zero = { { 0 } };
	assert_null(noise_initiate(&p.client_private, &zero, 138, &random_system, p.initiation));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_bad_handshakes),
	};
	return key_setup() ? cmocka_run_group_tests_name("noise_link", tests, NULL, NULL) : 1;
}
