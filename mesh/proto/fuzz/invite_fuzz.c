#include "mesh/base/blake2s.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/proto/invite.h"
#include <stdlib.h>
#include <string.h>

enum { CHECK = 4 };
static const char server[] = "https://hq";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What was read can be written, and is the same when it is read again. */
static void look(const char *text, size_t len)
{
	struct invite v = { 0 }, again = { 0 };
	struct buf b = { 0 };
	if (invite_read(text, len, &v, NULL))
		return;
	trouble_begin();
	bool written = invite_write(&v, &b);
	trouble_end();
	if (!written && !trouble_happened())
		__builtin_trap();
	if (written && (invite_read((const char *)buf_data(&b), b.len, &again, NULL) ||
			       memcmp(&v, &again, sizeof(v)) != 0))
		__builtin_trap();
	buf_free(&b);
}

/* The input as a line; and as what stands in one, with a check that fits, which no mutation would find. */
static void invite_target(const uint8_t *data, size_t len)
{
	uint8_t bytes[1024 + CHECK], hash[32];
	char text[2048];
	look((const char *)data, len);
	if (len > sizeof(bytes) - CHECK)
		return;
	if (len)
		memcpy(bytes, data, len);
	const struct noise_part parts[] = { { server, sizeof(server) }, { bytes, len } };
	blake2s_hash(parts, 2, hash);
	memcpy(bytes + len, hash, CHECK);
	size_t n = strlen(strcpy(text, "ropewalk+https://"));
	base64url_encode(bytes, len + CHECK, text + n);
	strcat(text, "@hq");
	look(text, strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool ready;
	if (!ready && !(ready = key_setup() && blake2s_setup()))
		abort();
	return trouble_twice(invite_target, data, len);
}
