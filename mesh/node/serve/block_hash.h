/* What a file on its way is compared by: a digest for each block, as PeerAPI tells them. tailscale-protocol.md 7.2. */
#ifndef RW_NODE_SERVE_BLOCK_HASH_H
#define RW_NODE_SERVE_BLOCK_HASH_H

#include "mesh/base/buf.h"

enum { BLOCK_SIZE = 64 * 1024, BLOCK_HASH = 32, BLOCK_LINE_MAX = 512 };

bool block_hash(
	const uint8_t *p, size_t len, uint8_t out[static BLOCK_HASH]); /* SHA-256; false: memory is short */
/* One line of JSON, with its end: {"checksum":"HEX","algo":"sha256","size":N}. */
bool block_line_write(struct buf *out, const uint8_t hash[static BLOCK_HASH], size_t size);
/* Such a line of at most BLOCK_LINE_MAX bytes; false when it is none, or of a block that is larger than ours. */
bool block_line_read(const char *line, size_t len, uint8_t hash[static BLOCK_HASH], size_t *size);

#endif
