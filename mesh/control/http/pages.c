/* What anybody may ask over plain HTTP: the server's key, its health, and the few pages a person sees. */
#include "mesh/control/http/api.h"

#include "mesh/base/text.h"
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

void pages_version(struct api_call *c)
{
	api_reply_json(&c->way, 200, json_pack("{s:s}", "version", RW_VERSION));
}

void pages_no_upgrade(struct api_call *c)
{
	api_reply_text(&c->way, 400,
		"this address is for nodes: it needs an upgrade to tailscale-control-protocol\n");
}

void pages_root(struct api_call *c)
{
	api_reply_text(&c->way, 200,
		"This is a ropewalk-control server. Join with: ropewalk up --login-server URL\n");
}

static const char page_head[] = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta "
				"name=\"viewport\" content=\"width=device-width\">"
				"<title>Ropewalk</title><style>body{font:16px/1.5 "
				"system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}"
				"pre{background:#8882;padding:1em;overflow:auto}</style>";

/* Text from the node goes into the page only as letters, digits and a few marks. */
static void plain_text(const char *in, char *out, size_t cap)
{
	size_t n = 0;
	for (; *in && n + 1 < cap; in++)
		if ((*in >= 'a' && *in <= 'z') || (*in >= 'A' && *in <= 'Z') || (*in >= '0' && *in <= '9') ||
			strchr("-_. ", *in))
			out[n++] = *in;
	out[n] = 0;
}

void pages_register(struct api_call *c)
{
	const char *id = c->tail;
	struct pending_info p;
	struct buf page = { 0 };
	char host[128];
	machines_recall(c->api->machines, id);
	bool found = registry_pending_find(c->api->reg, id, &p);
	buf_printf(&page, "%s", page_head);
	if (found) {
		plain_text(p.hostname, host, sizeof(host));
		buf_printf(&page,
			"<h1>%s asks to join</h1><p>To let it in, an admin of this network runs on the "
			"server:</p>"
			"<pre>ropewalk-control nodes approve %s</pre>"
			"<p>With several users, say whose node it is: <code>--user NAME</code>. The node "
			"notices by itself.</p>",
			*host ? host : "A node", p.id);
	} else {
		buf_printf(&page, "<h1>Nothing waits here</h1><p>This node has been let in already, or its "
				  "request is too old. "
				  "In the second case run <code>ropewalk up</code> on it again.</p>");
	}
	api_reply(&c->way, found ? 200 : 404, "text/html; charset=utf-8",
		"Cache-Control: no-store\r\nContent-Security-Policy: default-src 'none'; style-src "
		"'unsafe-inline'\r\n",
		buf_data(&page), page.len);
	buf_free(&page);
}
