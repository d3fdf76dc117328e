#include "mesh/node/local/dns_ask.h"
#include "mesh/node/local/local_request.h"
#include "mesh/proto/control.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked {
	struct dns_asking *q;
	struct local_client *client;
};

static void local_dns_answered(void *arg, int code, const uint8_t *answer, size_t len)
{
	struct asked *a = arg;
	struct http_server_conn *c = a->client->conn;
	a->client->asked = NULL;
	free(a);
	char *text = code ? NULL : malloc(base64_text(len));
	if (code || !text) {
		local_reply_error(c, 504, "the mesh resolver did not answer");
		return;
	}
	local_reply_object(
		c, json_pack("{s:s, s:[]}", "Bytes", base64_encode(answer, len, text), "Resolvers"));
	free(text);
}

void local_dns_gone(struct local_client *c)
{
	if (!c->asked)
		return;
	dns_ask_cancel(c->asked->q);
	free(c->asked);
	c->asked = NULL;
}

void local_dns_query(struct request *r)
{
	char name[256], type[16] = "A";
	struct errbuf eb = { 0 };
	if (!http_target_query(r->head, "name", name, sizeof(name))) {
		local_reply_error(r->conn, 400, "name= is missing");
		return;
	}
	http_target_query(r->head, "type", type, sizeof(type));
	if (!dns_ask_valid(name, type)) {
		local_reply_error(r->conn, 400, "name= and type= are not a question that can be asked");
		return;
	}
	const char *why = r->node->no_resolver(r->node->arg); /* else the question left the machine */
	struct asked *a = why ? NULL : calloc(1, sizeof(*a));
	if (a) {
		a->client = r->client;
		a->q = dns_ask_start(r->loop, name, type, local_dns_answered, a, &eb);
	}
	if (!a || !a->q) {
		free(a);
		local_reply_error(r->conn, 503, why ? why : eb.text[0] ? eb.text : "memory is short");
		return;
	}
	r->client->asked = a;
}

void local_dns_os_config(struct request *r)
{
	struct local_os_dns os;
	char ip[ENDPOINT_TEXT];
	json_t *servers = json_array(), *search = json_array();
	const struct netmap *m = r->node->map(r->node->arg);
	const struct ctl_dns *dns = m ? m->dns : NULL;
	r->node->os_dns(r->node->arg, &os);
	if (os.active)
		json_array_append_new(servers, json_string(addr_format(&addr_service_v4, ip)));
	for (size_t i = 0; !os.active && i < os.n_base; i++)
		json_array_append_new(servers, json_string(endpoint_format_ip(&os.base[i], ip)));
	for (size_t i = 0; os.active && dns && i < dns->domains.n; i++)
		json_array_append_new(search, json_string(dns->domains.v[i]));
	local_reply_object(r->conn, json_pack("{s:o, s:o, s:[]}", "Nameservers", servers, "SearchDomains",
					    search, "MatchDomains"));
}

void local_dns_config(struct request *r)
{
	struct buf b = { 0 };
	static const struct ctl_dns none;
	const struct netmap *m = r->node->map(r->node->arg);
	bool ok = ctl_dns_write(&b, m && m->dns ? m->dns : &none);
	local_reply_json(r->conn, &b, ok);
}
