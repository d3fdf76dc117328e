/* What anybody may ask over plain HTTP: the server's key, its health, and the few pages a person sees. */
#include "mesh/control/http/api.h"

#include "mesh/base/text.h"
#include "mesh/control/config/headscale.h"
#include "mesh/control/http/machine.h"
#include "mesh/proto/verify.h"
#include <string.h>

enum { CAPVER_KEY_MIN = 39, HEALTH_FRESH_MS = 1000, VERIFY_MEMORY = 8192 };

void pages_key(struct api_call *c)
{
	struct ctl_key_response m = { .server = *c->api->noise };
	struct buf json = { 0 };
	char version[16];
	uint64_t v;
	if (!http_target_query(c->head, "v", version, sizeof(version)) ||
		!text_u64(version, CAPVER_KEY_MIN, UINT16_MAX, &v))
		api_reply_text(&c->way, 400, "this client is too old for this server: update it\n");
	else if (ctl_key_response_write(&json, &m))
		api_reply(&c->way, 200, "application/json", NULL, buf_data(&json), json.len);
	else
		api_reply_text(&c->way, 503, "the server is short of memory\n");
	buf_free(&json);
}

static void answer_health(const struct api *a, const struct api_way *w, const char *trouble)
{
	(void)a;
	api_reply_json(w, *trouble ? 500 : 200, json_pack("{s:s}", "status", *trouble ? "fail" : "pass"));
}

/* Anybody may ask: the database is, once a second at most. */
void pages_health(struct api_call *c)
{
	const struct api *a = c->api;
	if (a->probed_ms && c->now_ms - a->probed_ms >= 0 && c->now_ms - a->probed_ms < HEALTH_FRESH_MS)
		answer_health(a, &c->way, a->probed_well ? "" : "fail");
	else
		api_probe(c, answer_health);
}

/* A relay asks which nodes it may carry, as it asks an admission controller. */
void pages_verify(struct api_call *c)
{
	struct arena a = { .cap = VERIFY_MEMORY };
	struct verify_request rq;
	struct errbuf eb = { 0 };
	struct buf out = { 0 };
	if (verify_request_read(&a, (const char *)c->body, c->len, &rq, &eb)) {
		api_reply_text(&c->way, 400, "not a question about a node key\n");
	} else {
		(void)verify_response_write(
			&out, &(struct verify_response) {
				      .allow = fleet_by_key(&c->api->reg->fleet, &rq.who) != NULL });
		api_reply(&c->way, 200, "application/json", NULL, buf_data(&out), out.len);
	}
	buf_free(&out);
	arena_free(&a);
}

/* As consoles read it that were made for Headscale: they show what a version of that has. */
void pages_version(struct api_call *c)
{
	api_reply_json(&c->way, 200,
		json_pack("{s:s, s:s, s:s, s:b, s:s}", "version", HEADSCALE_VERSION, "commit", "",
			"buildTime", "", "dirty", 0, "ropewalk", RW_VERSION));
}

void pages_no_upgrade(struct api_call *c)
{
	api_reply_text(&c->way, 400,
		"this address is for nodes: it needs an upgrade to tailscale-control-protocol\n");
}

void pages_root(struct api_call *c)
{
	const char *url = c->api->cfg->server_url;
	struct buf text = { 0 };
	if (buf_printf(&text,
		    "This is a ropewalk-control server. Join with: ropewalk up --login-server %s\n"
		    "Admins: %s/admin\n",
		    url, url))
		api_reply_text(&c->way, 200, buf_cstr(&text));
	else
		api_reply_error(&c->way, 503, "memory is short");
	buf_free(&text);
}
