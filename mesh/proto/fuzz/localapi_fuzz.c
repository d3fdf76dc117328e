#include "mesh/base/fuzz/trouble.h"
#include "mesh/proto/localapi.h"
#include "mesh/proto/localapi_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What was read must be writable unless memory is short, and what was written readable. */
#define ROUND(kind, type) \
	do { \
		struct type m; \
		struct buf b = { 0 }; \
		if (api_##kind##_read(&a, json, len, &m, NULL) == 0 && api_##kind##_write(&b, &m) && \
			api_##kind##_read(&a, (const char *)buf_data(&b), b.len, &m, NULL) != 0 && \
			!a.failed && !trouble_happened()) \
			__builtin_trap(); \
		buf_free(&b); \
	} while (0)

/* As the daemon writes it for many peers: in parts. */
static void write_in_parts(const struct api_status *s)
{
	struct buf b = { 0 };
	bool first = true;
	(void)api_status_write_begin(&b, s);
	for (size_t i = 0; i < s->n_peers; i++)
		(void)api_status_write_peer(&b, &s->peers[i], &first);
	(void)api_status_write_end(&b);
	buf_free(&b);
}

static void read_prefs(struct arena *a, const char *json, size_t len)
{
	struct buf b = { 0 };
	struct api_prefs prefs, again;
	struct api_prefs_mask mask, mask_again;
	if (api_prefs_read(a, json, len, &prefs, &mask, NULL) == 0) {
		if (api_prefs_write(&b, &prefs, &mask) &&
			api_prefs_read(a, (const char *)buf_data(&b), b.len, &again, &mask_again, NULL) !=
				0 &&
			!a->failed && !trouble_happened())
			__builtin_trap();
		buf_free(&b);
		(void)api_prefs_write(&b, &prefs, NULL);
	}
	buf_free(&b);
}

/* What the daemon reads from local users, and what the command line reads from whatever owns the socket. */
static void localapi_target(const uint8_t *data, size_t len)
{
	struct arena a = { .cap = 64 << 20 };
	struct buf error = { 0 };
	const char *json = (const char *)data;
	struct api_status status;
	trouble_begin();
	ROUND(start, api_start);
	ROUND(notify, api_notify);
	ROUND(dns_answer, api_dns_answer);
	ROUND(dns_os, api_dns_os);
	ROUND(dns_servers, api_dns_servers);
	ROUND(dns_flushed, api_dns_flushed);
	ROUND(dns_blocked, api_dns_blocked);
	ROUND(dns_blocking, api_dns_blocking);
	ROUND(dns_log, api_dns_log);
	ROUND(dns_top, api_dns_top);
	ROUND(ping, api_ping_result);
	ROUND(netcheck, api_netcheck);
	ROUND(whois, api_whois);
	ROUND(status, api_status);
	read_prefs(&a, json, len);
	if (api_status_read(&a, json, len, &status, NULL) == 0)
		write_in_parts(&status);
	const char *why = api_error_read(&a, json, len);
	if (why)
		(void)api_error_write(&error, why);
	buf_free(&error);
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(localapi_target, data, len);
}
