/* A client's message: whatever it is, at most one reply, never longer than allowed, and one our own reader
 * takes. Asked again it gets the same, and so it does from a resolver that keeps no answer ready. */
#include "resolver/core.h"
#include <stdlib.h>

static size_t replied, most, reply_len;
static uint8_t last[DNS_MESSAGE_MAX];

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	(void)arg;
	(void)client;
	if (++replied > 1 || len < DNS_HEADER || len > most || !(msg[2] & 0x80))
		abort();
	reply_len = len;
	memcpy(last, msg, len);
}
static void upstream_send(
	void *arg, uint64_t id, const struct resolver_target *to, const uint8_t *msg, size_t len)
{
	(void)arg, (void)id, (void)to, (void)msg, (void)len;
}
static void upstream_done(void *arg, uint64_t id)
{
	(void)arg, (void)id;
}

static struct resolver *make(void)
{
	struct resolver_ops ops = {
		.reply = reply, .upstream_send = upstream_send, .upstream_done = upstream_done
	};
	struct resolver_upstream up = { .at = { .ip = addr_v4(0xc0000201), .port = 53 } };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	struct addr ip = addr_v4(0x64400001);
	struct dns_name alias, wild;
	struct zone *z = key_setup() ? zone_new() : NULL;
	struct resolver *r = resolver_new(&ops, &random_system);
	if (!z || !r || !dns_name_parse("c.m", &alias) || !dns_name_parse("*.w.m", &wild) ||
		zone_add_authority(z, "m") || zone_add_address(z, "a.m", &ip, true) ||
		zone_add_record(z, &alias, DNS_CNAME, (const uint8_t *)"\1x\1w\1m", 7) ||
		zone_add_record(z, &wild, DNS_CNAME, (const uint8_t *)"\1c\1m", 5) ||
		resolver_configure(r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL))
		abort();
	resolver_zone_set(r, z);
	zone_put(z);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* 0: no reply, or none yet. Nothing may come when nobody waits for it any more. */
static size_t ask(struct resolver *r, uint64_t now_ms, const uint8_t *data, size_t len, bool tcp)
{
	most = tcp ? DNS_MESSAGE_MAX : DNS_UDP_SIZE;
	replied = reply_len = 0;
	bool owed = resolver_query(r, now_ms, 1, data, len, tcp);
	if (!owed && replied)
		abort();
	resolver_client_gone(r, 1);
	replied = 0;
	size_t got = reply_len;
	resolver_tick(r, now_ms + 10000);
	if (replied)
		abort();
	return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct resolver *r, *bare;
	static uint64_t now_ms = 1000;
	static uint8_t said[DNS_MESSAGE_MAX];
	if (!r) {
		r = make();
		bare = make();
		ready_free(bare->ready);
		bare->ready = NULL;
	}
	for (int tcp = 0; tcp < 2; tcp++) {
		for (int again = 0; again < 2; again++, now_ms += 10000) {
			size_t said_len = ask(r, now_ms, data, len, tcp);
			memcpy(said, last, said_len);
			if (ask(bare, now_ms, data, len, tcp) != said_len ||
				memcmp(said, last, said_len) != 0)
				abort();
		}
	}
	return 0;
}
