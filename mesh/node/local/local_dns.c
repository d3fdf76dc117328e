#include "mesh/base/text.h"
#include "mesh/node/local/local_request.h"
#include "mesh/proto/control.h"
#include "resolver/ask.h"
#include "resolver/listen.h"
#include "resolver/message.h"
#include "resolver/report.h"
#include "resolver/report_api.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked {
	struct dns_asking *q;
	struct local_client *client;
	struct loop *loop;
	uint64_t began_ms;
	bool has_way;
	struct resolver_way way;
};

/* Who is asked for such names. */
static void resolvers_say(
	struct arena *a, const struct resolver_route_report *route, struct api_dns_answer *m)
{
	m->resolvers = arena_array(a, route->n, sizeof(*m->resolvers));
	for (size_t i = 0; m->resolvers && i < route->n; i++) {
		char *at = arena_alloc(a, DNS_SECURE_TEXT);
		m->resolvers[m->n_resolvers++].addr = at ? resolver_server_text(&route->servers[i], at) : "";
	}
}

static void local_dns_answered(void *arg, int code, const uint8_t *answer, size_t len)
{
	struct asked *k = arg;
	struct http_server_conn *c = k->client->conn;
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct api_dns_answer m = { .len = len, .took_ms = loop_now_ms(k->loop) - k->began_ms };
	k->client->asked = NULL;
	m.raw = code ? NULL : arena_memdup(&a, answer, len);
	m.source = k->has_way && m.raw ? resolver_source_text(resolver_way_went(&k->way, answer, len)) : "";
	m.route = k->has_way && k->way.has_route ? k->way.route.suffix : "";
	if (k->has_way && k->way.has_route)
		resolvers_say(&a, &k->way.route, &m);
	if (m.raw) {
		bool ok = api_dns_answer_write(&b, &m);
		local_reply_json(c, &b, ok && !a.failed);
	} else {
		local_reply_error(c, 504, "the mesh resolver did not answer");
	}
	arena_free(&a);
	free(k);
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
	const struct endpoint service = { .ip = addr_service_v4, .port = 53 };
	char name[256], type[16] = "A";
	struct errbuf eb = { .text = "that is no type of record" };
	if (!http_target_query(r->head, "name", name, sizeof(name))) {
		local_reply_error(r->conn, 400, "name= is missing");
		return;
	}
	if (http_target_find(r->head, "type", type, sizeof(type)) == HTTP_VALUE_BAD ||
		dns_ask_check(name, type, &eb)) {
		local_reply_error(r->conn, 400, eb.text);
		return;
	}
	const char *why = r->node->no_resolver(r->node->arg); /* else the question left the machine */
	struct asked *a = why ? NULL : calloc(1, sizeof(*a));
	if (a) {
		struct resolver_server *server = r->node->resolver(r->node->arg);
		uint16_t number = 0;
		a->client = r->client;
		a->loop = r->loop;
		a->began_ms = loop_now_ms(r->loop);
		a->has_way = server && dns_type_parse(type, &number) &&
			     resolver_way(resolver_server_core(server), a->began_ms, name, number, &a->way);
		a->q = dns_ask_start(r->loop, &service, name, type, local_dns_answered, a, &eb);
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
	json_t *servers = json_array(), *search = json_array(), *match = json_array();
	const struct netmap *m = r->node->map(r->node->arg);
	const struct ctl_dns *dns = m ? m->dns : NULL;
	r->node->os_dns(r->node->arg, &os);
	if (os.active)
		json_array_append_new(servers, json_string(addr_format(&addr_service_v4, ip)));
	for (size_t i = 0; !os.active && i < os.n_base; i++)
		json_array_append_new(servers, json_string(endpoint_format_ip(&os.base[i], ip)));
	for (size_t i = 0; os.active && dns && i < dns->domains.n; i++)
		json_array_append_new(search, json_string(dns->domains.v[i]));
	for (size_t i = 0; i < os.n_match; i++)
		json_array_append_new(match, json_string(os.match[i]));
	local_reply_object(
		r->conn, json_pack("{s:o, s:o, s:o, s:s, s:s}", "Nameservers", servers, "SearchDomains",
				 search, "MatchDomains", match, "Mode", os.owner, "Reason", os.reason));
}

void local_dns_config(struct request *r)
{
	struct buf b = { 0 };
	static const struct ctl_dns none;
	const struct netmap *m = r->node->map(r->node->arg);
	bool ok = ctl_dns_write(&b, m && m->dns ? m->dns : &none);
	local_reply_json(r->conn, &b, ok);
}

void local_dns_servers(struct request *r)
{
	struct resolver_server *server = r->node->resolver(r->node->arg);
	struct api_dns_servers m = { 0 }; /* without a resolver nobody is asked anything */
	struct arena a = { 0 };
	struct buf b = { 0 };
	bool ok =
		!server || (report_api_servers(&a, resolver_server_core(server), loop_now_ms(r->loop), &m) &&
				   report_api_clients(&a, server, &m));
	if (server)
		m.secure_fault = r->node->secure_fault(r->node->arg);
	ok = ok && api_dns_servers_write(&b, &m);
	local_reply_json(r->conn, &b, ok);
	arena_free(&a);
}

/* The resolver; NULL: the reply says why there is none. */
static struct resolver_server *resolver_of(struct request *r)
{
	struct resolver_server *of = r->node->resolver(r->node->arg);
	if (!of)
		local_reply_error(r->conn, 503, r->node->no_resolver(r->node->arg));
	return of;
}

void local_dns_flush(struct request *r)
{
	struct api_dns_flushed m = { 0 };
	char name[256], below[8] = "false";
	struct buf b = { 0 };
	size_t n = 0;
	enum http_value named = http_target_find(r->head, "name", name, sizeof(name));
	bool good = http_target_find(r->head, "below", below, sizeof(below)) != HTTP_VALUE_BAD;
	bool all = strcmp(below, "true") == 0;
	if (!good || (!all && strcmp(below, "false") != 0)) {
		local_reply_error(r->conn, 400, "below= takes true or false");
		return;
	}
	struct resolver_server *server = resolver_of(r);
	if (!server)
		return;
	if (named == HTTP_VALUE_BAD || resolver_flush(resolver_server_core(server),
					       named == HTTP_VALUE_GOOD ? name : NULL, all, &n)) {
		local_reply_error(r->conn, 400, "name= is not a domain name");
		return;
	}
	m.n = n;
	good = api_dns_flushed_write(&b, &m);
	local_reply_json(r->conn, &b, good);
}

/* ---- questions written down ---- */

void local_dns_log_set(struct request *r)
{
	struct resolver_server *server = resolver_of(r);
	char on[8] = "";
	if (!server)
		return;
	http_target_query(r->head, "on", on, sizeof(on));
	bool yes = strcmp(on, "true") == 0;
	if (!yes && strcmp(on, "false") != 0)
		local_reply_error(r->conn, 400, "on= takes true or false");
	else if (resolver_server_journal_set(server, yes))
		local_reply_error(r->conn, 503, "memory is short");
	else
		local_reply_done(r->conn, 204);
}

void local_dns_log(struct request *r)
{
	struct api_dns_log m = { 0 };
	struct arena a = { 0 };
	struct buf b = { 0 };
	char text[24] = "0";
	uint64_t after;
	if (http_target_find(r->head, "after", text, sizeof(text)) == HTTP_VALUE_BAD ||
		!text_u64(text, 0, UINT64_MAX, &after)) {
		local_reply_error(r->conn, 400, "after= takes the number of a question");
		return;
	}
	struct resolver_server *server = resolver_of(r);
	if (!server)
		return;
	bool ok = report_api_log(&a, resolver_server_journal(server), after, &m) && api_dns_log_write(&b, &m);
	local_reply_json(r->conn, &b, ok);
	arena_free(&a);
}

void local_dns_top(struct request *r)
{
	struct resolver_server *server = resolver_of(r);
	struct api_dns_top m = { 0 };
	struct arena a = { 0 };
	struct buf b = { 0 };
	if (!server)
		return;
	bool ok = report_api_top(&a, resolver_server_journal(server), &m) && api_dns_top_write(&b, &m);
	local_reply_json(r->conn, &b, ok);
	arena_free(&a);
}
