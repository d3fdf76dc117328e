/* The length-prefixed map stream; odd first byte = zstd. Bit 1: the bytes are a message that we write, in one piece and in
 * two, and read back, else what a stranger sends. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/wire.h"
#include "mesh/transport/control_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct heard {
	const uint8_t *want; /* NULL: anything */
	size_t len, n;
};

static void message(void *arg, const char *json, size_t len)
{
	struct heard *h = arg;
	if (json[len])
		abort(); /* a reader may rely on the NUL behind it */
	if (h->want && (len != h->len || (len && memcmp(json, h->want, len) != 0)))
		abort();
	h->n++;
}

static void feed_pieces(struct map_frames *m, const uint8_t *p, size_t len, struct heard *h)
{
	size_t half = len / 2;
	if (m && map_frames_feed(m, p, half, message, h) == 0)
		(void)map_frames_feed(m, p + half, len - half, message, h);
}

static int write_parts(const uint8_t *p, size_t len, struct map_packer *packer, struct buf *out)
{
	static const uint8_t length[4];
	const size_t before = out->len, half = len / 2;
	if (!buf_append(out, length, sizeof(length)))
		return -ENOMEM;
	int err = map_part_write(p, half, packer, out);
	if (!err)
		err = map_rest_write(p + half, len - half, packer, out);
	if (!err)
		le_put(buf_data(out) + before, sizeof(length), out->len - before - sizeof(length));
	return err;
}

static void write_and_read(bool zstd, const uint8_t *p, size_t len)
{
	struct heard h = { .want = p, .len = len };
	struct buf out = { 0 };
	trouble_begin();
	struct map_packer *packer = zstd ? map_packer_new() : NULL;
	int err = zstd && !packer ? -ENOMEM : map_frame_write(p, len, packer, &out);
	if (!err)
		err = write_parts(p, len, packer, &out);
	map_packer_free(packer);
	trouble_end();
	struct map_frames *m = map_frames_new(zstd);
	if (!err)
		feed_pieces(m, buf_data(&out), out.len, &h);
	if (!err && h.n != 2)
		abort();
	map_frames_free(m);
	buf_free(&out);
}

static void read_strange(bool zstd, const uint8_t *p, size_t len)
{
	struct heard h = { 0 };
	trouble_begin();
	struct map_frames *m = map_frames_new(zstd);
	feed_pieces(m, p, len, &h);
	map_frames_free(m);
	trouble_end();
}

static void map_frames_target(const uint8_t *data, size_t len)
{
	if (len && data[0] & 2)
		write_and_read(data[0] & 1, data + 1, len - 1);
	else if (len)
		read_strange(data[0] & 1, data + 1, len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(map_frames_target, data, len);
}
