#include "mesh/base/wire.h"
#include "mesh/transport/control_link.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
	PREFIX = 4,
	MESSAGE_MAX = 16 * 1024 * 1024,
	LEVEL = 1,
	LEVEL_SHORT = -5, /* below that length the tables of the other cost more than they find */
	SHORT = 1024,
	UNPACK_STEP = 128 * 1024,
	WINDOW_LOG_MAX = 24, /* as large as a message: what a frame asks for beyond is memory for nothing */
};

struct map_packer {
	ZSTD_CCtx *zip;
};

struct map_packer *map_packer_new(void)
{
	struct map_packer *m = malloc(sizeof(*m));
	if (m && !(m->zip = ZSTD_createCCtx())) {
		free(m);
		return NULL;
	}
	return m;
}

void map_packer_free(struct map_packer *m)
{
	if (m)
		ZSTD_freeCCtx(m->zip);
	free(m);
}

static int pack(const void *json, size_t len, struct map_packer *packer, int level, struct buf *message)
{
	size_t room = packer ? ZSTD_compressBound(len) : len, n = len;
	uint8_t *p = len <= MESSAGE_MAX ? buf_room(message, room) : NULL;
	if (!p)
		return ERR_TOO_LARGE;
	if (packer)
		n = ZSTD_compressCCtx(packer->zip, p, room, json, len, level);
	else if (len)
		memcpy(p, json, len);
	if (ZSTD_isError(n))
		return ERR_MALFORMED;
	buf_grown(message, n);
	return 0;
}

int map_part_write(const void *json, size_t len, struct map_packer *packer, struct buf *message)
{
	return pack(json, len, packer, LEVEL, message);
}

int map_rest_write(const void *json, size_t len, struct map_packer *packer, struct buf *message)
{
	return pack(json, len, packer, len < SHORT ? LEVEL_SHORT : LEVEL, message);
}

int map_frame_write(const void *json, size_t len, struct map_packer *packer, struct buf *out)
{
	const size_t before = out->len;
	uint8_t *p =
		len <= MESSAGE_MAX ? buf_room(out, PREFIX + (packer ? ZSTD_compressBound(len) : len)) : NULL;
	if (!p)
		return ERR_TOO_LARGE;
	buf_grown(out, PREFIX);
	int err = map_part_write(json, len, packer, out);
	if (!err)
		le_put(buf_data(out) + before, PREFIX, out->len - before - PREFIX);
	return err;
}

struct map_frames {
	struct buf in;	  /* a message that is not whole yet */
	ZSTD_DCtx *unzip; /* NULL = plain */
	int failed;
};

struct map_frames *map_frames_new(bool zstd)
{
	struct map_frames *m = calloc(1, sizeof(*m));
	if (m && zstd && !(m->unzip = ZSTD_createDCtx())) {
		free(m);
		return NULL;
	}
	if (m && zstd)
		ZSTD_DCtx_setParameter(m->unzip, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	if (m)
		m->in.cap = PREFIX + MESSAGE_MAX;
	return m;
}

void map_frames_free(struct map_frames *m)
{
	if (!m)
		return;
	ZSTD_freeDCtx(m->unzip);
	buf_free(&m->in);
	free(m);
}

/* Grows step by step: the size a frame declares is a stranger's word. */
static int unpack(ZSTD_DCtx *unzip, const uint8_t *p, size_t len, struct buf *out)
{
	ZSTD_inBuffer in = { .src = p, .size = len };
	ZSTD_DCtx_reset(unzip, ZSTD_reset_session_only);
	for (;;) {
		uint8_t *to =
			buf_room(out, out->cap - out->len < UNPACK_STEP ? out->cap - out->len : UNPACK_STEP);
		if (!to)
			return ERR_TOO_LARGE;
		ZSTD_outBuffer o = { .dst = to,
			.size = out->cap - out->len < UNPACK_STEP ? out->cap - out->len : UNPACK_STEP };
		if (!o.size)
			return ERR_TOO_LARGE;
		size_t left = ZSTD_decompressStream(unzip, &o, &in);
		if (ZSTD_isError(left))
			return ERR_MALFORMED;
		buf_grown(out, o.pos);
		if (left == 0 && in.pos == in.size)
			return 0;
		if (left && in.pos == in.size && o.pos < o.size)
			return ERR_MALFORMED; /* cut short */
	}
}

static int map_frames_take(struct map_frames *m, const uint8_t *p, size_t len,
	void (*message)(void *arg, const char *json, size_t len), void *arg)
{
	struct buf out = { .cap = MESSAGE_MAX + 1 };
	int err = m->unzip ? unpack(m->unzip, p, len, &out) : buf_append(&out, p, len) ? 0 : ERR_TOO_LARGE;
	const char *text = err ? NULL : buf_cstr(&out);
	if (text)
		message(arg, text, out.len);
	buf_free(&out);
	return err ? err : text ? 0 : ERR_TOO_LARGE;
}

static int feed(struct map_frames *m, const uint8_t *p, size_t len,
	void (*message)(void *arg, const char *json, size_t len), void *arg)
{
	if (!buf_append(&m->in, p, len))
		return ERR_TOO_LARGE;
	while (m->in.len >= PREFIX) {
		size_t n = le_get(buf_data(&m->in), PREFIX);
		if (n > MESSAGE_MAX)
			return ERR_TOO_LARGE;
		if (m->in.len - PREFIX < n)
			return 0;
		int err = map_frames_take(m, buf_data(&m->in) + PREFIX, n, message, arg);
		if (err)
			return err;
		buf_consume(&m->in, PREFIX + n);
	}
	if (!m->in.len)
		buf_free(&m->in);
	return 0;
}

int map_frames_feed(struct map_frames *m, const uint8_t *p, size_t len,
	void (*message)(void *arg, const char *json, size_t len), void *arg)
{
	if (!m->failed)
		m->failed = feed(m, p, len, message, arg);
	return m->failed;
}
