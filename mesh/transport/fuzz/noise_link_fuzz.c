/* The record layer against a stranger's bytes, and both handshake readers. First byte chooses. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/transport/noise_link.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fill(void *arg, void *dst, size_t len)
{
	memset(dst, *(const uint8_t *)arg, len);
}

static void feed_records(const uint8_t *p, size_t len)
{
	uint8_t a = 3, b = 4, initiation[NOISE_INITIATION], response[NOISE_RESPONSE];
	struct machine_private client = { { 2 } }, server = { { 1 } };
	struct machine_key server_public, seen;
	uint16_t capver;
	struct buf out = { .cap = 1 << 20 }, wire = { 0 };
	key_public(server.b, server_public.b);
	trouble_begin();
	struct noise_initiator *i = noise_initiate(
		&client, &server_public, 119, &(struct random) { .fill = fill, .arg = &a }, initiation);
	struct noise_link *s =
		!i ? NULL
		   : noise_respond(&server, initiation, sizeof(initiation),
			     &(struct random) { .fill = fill, .arg = &b }, response, &seen, &capver, NULL);
	struct noise_link *c = s ? noise_finish(i, response, sizeof(response), NULL) : NULL;
	if (!s)
		noise_initiator_free(i);
	if (!s || !c) { /* memory was short */
		noise_link_free(s);
		return;
	}
	/* A true record in front, so that the nonce is not the first one. */
	bool sent = noise_link_send(c, p, len < 1000 ? len : 1000, &wire) == 0;
	trouble_end(); /* which is not asked about what follows: is the stranger's word right? */
	if (sent && noise_link_receive(s, buf_data(&wire), wire.len, &out) != 0)
		abort();
	trouble_begin();
	buf_consume(&out, out.len);
	size_t half = len / 2;
	if (noise_link_receive(s, p, half, &out) == 0)
		(void)noise_link_receive(s, p + half, len - half, &out);
	noise_link_free(s);
	noise_link_free(c);
	buf_free(&out);
	buf_free(&wire);
}

static void noise_target(const uint8_t *data, size_t len)
{
	uint8_t byte = 5, out[NOISE_RESPONSE], initiation[NOISE_INITIATION];
	struct machine_private us = { { 1 } };
	struct machine_key who;
	uint16_t capver;
	if (!len)
		return;
	if (data[0] % 3 == 0) {
		feed_records(data + 1, len - 1);
		return;
	}
	trouble_begin();
	struct random rnd = { .fill = fill, .arg = &byte };
	if (data[0] % 3 == 1) {
		noise_link_free(noise_respond(&us, data + 1, len - 1, &rnd, out, &who, &capver, NULL));
		return;
	}
	struct errbuf eb;
	key_public(us.b, who.b);
	(void)noise_response_len(data + 1, len - 1);
	struct noise_initiator *i = noise_initiate(&us, &who, 119, &rnd, initiation);
	if (i)
		noise_link_free(noise_finish(i, data + 1, len - 1, &eb));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(noise_target, data, len);
}
