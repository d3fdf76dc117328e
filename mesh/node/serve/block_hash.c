#include "mesh/node/serve/block_hash.h"
#include "mesh/proto/json_memory.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>

bool block_hash(const uint8_t *p, size_t len, uint8_t out[static BLOCK_HASH])
{
	return EVP_Digest(p, len, out, NULL, EVP_sha256(), NULL) == 1;
}

bool block_line_write(struct buf *out, const uint8_t hash[static BLOCK_HASH], size_t size)
{
	char hex[2 * BLOCK_HASH + 1];
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < BLOCK_HASH; i++) {
		hex[2 * i] = digits[hash[i] >> 4];
		hex[2 * i + 1] = digits[hash[i] & 15];
	}
	hex[2 * BLOCK_HASH] = 0;
	return buf_printf(out, "{\"checksum\":\"%s\",\"algo\":\"sha256\",\"size\":%zu}\n", hex, size);
}

static bool read_hex(const char *s, uint8_t hash[static BLOCK_HASH])
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	if (!s || strlen(s) != 2 * BLOCK_HASH)
		return false;
	for (size_t i = 0; i < 2 * BLOCK_HASH; i++) {
		const char *d = strchr(digits, s[i]);
		if (!d)
			return false;
		hash[i / 2] = (uint8_t)(hash[i / 2] << 4 | (d - digits) % 16);
	}
	return true;
}

bool block_line_read(const char *line, size_t len, uint8_t hash[static BLOCK_HASH], size_t *size)
{
	uint8_t sum[BLOCK_HASH] = { 0 };
	json_t *o = len <= BLOCK_LINE_MAX ? json_memory_load(line, len, 0, NULL, NULL) : NULL;
	const char *algo = json_string_value(json_object_get(o, "algo"));
	json_int_t n = json_integer_value(json_object_get(o, "size"));
	bool ok = algo && !strcmp(algo, "sha256") && n > 0 && n <= BLOCK_SIZE &&
		  read_hex(json_string_value(json_object_get(o, "checksum")), sum);
	json_decref(o);
	if (!ok)
		return false;
	memcpy(hash, sum, BLOCK_HASH);
	*size = (size_t)n;
	return true;
}
