#include "mesh/base/fuzz/trouble.h"
#include "mesh/proto/control.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* As the server packs a node once for many viewers, of which each is told its own capability version. */
static void write_packed(struct arena *a, const struct ctl_node *n)
{
	struct buf once = { 0 }, b = { 0 };
	struct ctl_node packed = *n;
	struct ctl_map_response m = { .peers_changed = &packed, .n_changed = 1 }, again;
	bool ok = ctl_node_write(&once, n) && (packed.written = buf_cstr(&once));
	packed.cap = packed.cap ? 0 : 7;
	if (ok && ctl_map_response_write(&b, &m) &&
		ctl_map_response_read(a, (const char *)buf_data(&b), b.len, &again, NULL) != 0 &&
		!a->failed && !trouble_happened())
		__builtin_trap();
	buf_free(&b);
	buf_free(&once);
	if (n->addresses.n && !ctl_node_has(n, &n->addresses.v[n->addresses.n - 1].ip))
		__builtin_trap();
}

/* What was read must be writable, and what was written readable. */
static void map_response_target(const uint8_t *data, size_t len)
{
	struct arena a = { .cap = 64 << 20 };
	struct buf b = { 0 };
	struct ctl_map_response m;
	struct ctl_dns dns;
	struct ctl_derp_map derp;
	struct ctl_key_response key;
	struct ctl_hostinfo host;
	const struct ctl_blocking *blocking;
	char text[4096];
	trouble_begin();
	if (ctl_map_response_read(&a, (const char *)data, len, &m, NULL) == 0 &&
		ctl_map_response_write(&b, &m) &&
		ctl_map_response_read(&a, (const char *)buf_data(&b), b.len, &m, NULL) != 0 && !a.failed)
		__builtin_trap();
	buf_free(&b);
	if (ctl_map_response_read(&a, (const char *)data, len, &m, NULL) == 0 && m.node)
		write_packed(&a, m.node);
	/* its parts are also read alone: from files, and from the server's front page */
	if (ctl_dns_read(&a, (const char *)data, len, &dns, NULL) == 0)
		(void)ctl_dns_write(&b, &dns);
	buf_free(&b);
	if (len < sizeof(text)) {
		memcpy(text, data, len);
		text[len] = 0;
		if (ctl_blocking_read(&a, text, &blocking, NULL) == 0 && blocking)
			(void)ctl_blocking_write(&b, blocking);
	}
	buf_free(&b);
	if (ctl_derp_map_read(&a, (const char *)data, len, &derp, NULL) == 0)
		(void)ctl_derp_map_write(&b, &derp);
	buf_free(&b);
	if (ctl_hostinfo_read(&a, (const char *)data, len, &host, NULL) == 0)
		(void)ctl_hostinfo_write(&b, &host);
	buf_free(&b);
	if (ctl_key_response_read((const char *)data, len, &key, NULL) == 0)
		(void)ctl_key_response_write(&b, &key);
	buf_free(&b);
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(map_response_target, data, len);
}
