#include "mesh/base/test/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

void secret_turn(uint8_t *out, const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)~in[i];
}

static size_t count(const uint8_t *p, size_t n_p, const uint8_t *turned, size_t len)
{
	size_t n = 0;
	for (size_t at = 0; at + len <= n_p; at += 4) { /* registers and structs are aligned */
		size_t i = 0;
		while (i < len && (p[at + i] ^ turned[i]) == 0xff)
			i++;
		n += i == len;
	}
	return n;
}

/* But for what a sanitizer keeps beside (maps of many gigabytes). */
size_t secret_count(const uint8_t *turned, size_t len)
{
	static uint8_t block[1 << 20];
	size_t n = 0;
	FILE *maps = fopen("/proc/self/maps", "re"), *mem = fopen("/proc/self/mem", "re");
	char line[600];
	assert_true(maps && mem);
	setvbuf(mem, NULL, _IONBF, 0);
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t from, to;
		char rights[5];
		if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || rights[1] != 'w' ||
			to - from > (size_t)256 << 20)
			continue;
		for (uintptr_t at = from; at < to; at += sizeof(block)) {
			size_t most = to - at < sizeof(block) ? to - at : sizeof(block), got;
			if (at <= (uintptr_t)block + sizeof(block) && at + most >= (uintptr_t)block)
				continue; /* what was read before */
			got = fseeko(mem, (off_t)at, SEEK_SET) == 0 ? fread(block, 1, most, mem) : 0;
			n += count(block, got, turned, len);
		}
	}
	memset(block, 0, sizeof(block));
	fclose(maps);
	fclose(mem);
	return n;
}
