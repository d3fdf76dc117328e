#include "mesh/proto/localapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What the daemon reads from local users, and what the command line reads from whatever owns the socket. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena a = { .cap = 64 << 20 };
	struct buf b = { 0 };
	const char *json = (const char *)data;
	struct api_status status;
	struct api_prefs prefs;
	struct api_prefs_mask mask;
	struct api_start start;
	struct api_notify notify;
	struct api_dns_answer answer;
	struct api_dns_os os;
	struct api_ping_result ping;
	struct api_netcheck netcheck;
	struct api_whois whois;
	(void)api_prefs_read(&a, json, len, &prefs, &mask, NULL);
	(void)api_start_read(&a, json, len, &start, NULL);
	(void)api_notify_read(&a, json, len, &notify, NULL);
	(void)api_dns_answer_read(&a, json, len, &answer, NULL);
	(void)api_dns_os_read(&a, json, len, &os, NULL);
	(void)api_ping_read(&a, json, len, &ping, NULL);
	(void)api_netcheck_read(&a, json, len, &netcheck, NULL);
	(void)api_whois_read(&a, json, len, &whois, NULL);
	(void)api_error_read(&a, json, len);
	if (api_status_read(&a, json, len, &status, NULL) == 0 && api_status_write(&b, &status) &&
		api_status_read(&a, (const char *)buf_data(&b), b.len, &status, NULL) != 0 && !a.failed)
		__builtin_trap();
	buf_free(&b);
	arena_free(&a);
	return 0;
}
