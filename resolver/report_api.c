#include "resolver/report_api.h"

#include "resolver/listen.h"
#include "resolver/report.h"
#include <string.h>

static bool question_say(struct arena *a, const struct journal_question *from, struct api_dns_question *to)
{
	char *name = arena_alloc(a, DNS_NAME_TEXT), *client = arena_alloc(a, ENDPOINT_TEXT);
	if (!name || !client)
		return false;
	*to = (struct api_dns_question) { .unix_ms = from->unix_ms,
		.client = addr_format(&from->client, client),
		.name = dns_name_format(&from->name, name),
		.type = from->type,
		.rcode = from->rcode,
		.source = resolver_source_text(from->source),
		.took_ms = from->took_ms };
	return true;
}

bool report_api_log(struct arena *a, const struct journal *j, uint64_t after, struct api_dns_log *out)
{
	*out = (struct api_dns_log) { .on = j, .last = after };
	out->questions = arena_array(a, REPORT_LOG_MAX, sizeof(*out->questions));
	bool ok = out->questions;
	for (const struct journal_question *q;
		ok && j && out->n_questions < REPORT_LOG_MAX && (q = journal_next(j, &out->last));)
		ok = question_say(a, q, &out->questions[out->n_questions++]);
	return ok;
}

static bool top_say(struct arena *a, const struct journal *j, enum journal_list list,
	struct api_dns_count **out, size_t *n)
{
	struct journal_count *top = arena_array(a, REPORT_TOP_MAX, sizeof(*top));
	*out = arena_array(a, REPORT_TOP_MAX, sizeof(**out));
	*n = top && *out && j ? journal_top(j, list, top, REPORT_TOP_MAX) : 0;
	for (size_t i = 0; i < *n; i++) {
		char *text = arena_alloc(a, DNS_NAME_TEXT);
		if (!text)
			return false;
		(*out)[i] = (struct api_dns_count) { .n = top[i].n,
			.what = list == JOURNAL_CLIENTS ? addr_format(&top[i].client, text)
							: dns_name_format(&top[i].name, text) };
	}
	return top && *out;
}

bool report_api_top(struct arena *a, const struct journal *j, struct api_dns_top *out)
{
	*out = (struct api_dns_top) { .on = j };
	return top_say(a, j, JOURNAL_NAMES, &out->names, &out->n_names) &&
	       top_say(a, j, JOURNAL_BLOCKED, &out->blocked, &out->n_blocked) &&
	       top_say(a, j, JOURNAL_CLIENTS, &out->clients, &out->n_clients);
}

static bool route_say(struct arena *a, const struct resolver_route_report *from, struct api_dns_route *to)
{
	*to = (struct api_dns_route) { .suffix = arena_strdup(a, from->suffix),
		.site = from->site,
		.order = resolver_order_text(from->order),
		.n_servers = from->n };
	to->servers = arena_array(a, from->n, sizeof(*to->servers));
	for (size_t i = 0; to->servers && i < from->n; i++) {
		const struct resolver_server_report *s = &from->servers[i];
		char *at = arena_alloc(a, ENDPOINT_TEXT),
		     *url = s->secure ? arena_alloc(a, DNS_SECURE_TEXT) : NULL;
		to->servers[i] = (struct api_dns_server) { .addr = at ? endpoint_format(&s->at, at) : "",
			.url = url ? dns_secure_format(s->secure, &s->at, url) : "",
			.fault = resolver_fault_text(s->fault),
			.health = resolver_health_text(s->health),
			.rtt_ms = s->rtt_ms,
			.changes_case = s->changes_case };
	}
	return to->suffix && to->servers;
}

bool report_api_servers(
	struct arena *a, const struct resolver *r, uint64_t now_ms, struct api_dns_servers *out)
{
	struct resolver_route_report route;
	size_t total = 0;
	*out = (struct api_dns_servers) { .cache_bytes = resolver_cache_bytes(r) };
	while (resolver_route_report(r, now_ms, total, &route))
		total++;
	out->routes = arena_array(a, total, sizeof(*out->routes));
	bool ok = out->routes;
	while (ok && out->n_routes < total && resolver_route_report(r, now_ms, out->n_routes, &route))
		ok = route_say(a, &route, &out->routes[out->n_routes++]);
	return ok;
}

bool report_api_clients(struct arena *a, const struct resolver_server *s, struct api_dns_servers *out)
{
	struct endpoint at;
	enum dns_secure_by by;
	char text[ENDPOINT_TEXT];
	size_t total = 0;
	while (resolver_server_secure(s, total, &at, &by))
		total++;
	out->rate_per_s = resolver_server_rate_limit(s);
	out->rate_limited = resolver_server_stats(s)->rate_limited;
	out->secure.v = arena_array(a, total, sizeof(*out->secure.v));
	while (!a->failed && out->secure.n < total && resolver_server_secure(s, out->secure.n, &at, &by))
		out->secure.v[out->secure.n++] =
			arena_printf(a, by == DNS_SECURE_TLS ? "tls://%s" : "https://%s/dns-query",
				endpoint_format(&at, text));
	return !a->failed;
}

bool report_api_blocked(struct arena *a, const struct blocker_why *w, struct api_dns_blocked *out)
{
	size_t n = 0;
	if (!w->lines)
		return false;
	for (const char *p = w->lines; (p = strchr(p, '\n')); p++)
		n++;
	char *rest = arena_strdup(a, w->lines);
	*out = (struct api_dns_blocked) { .on = true,
		.blocked = w->found.blocks && !w->found.allows,
		.group = arena_strdup(a, w->group),
		.server = "" };
	out->lines.v = arena_array(a, n, sizeof(*out->lines.v));
	while (!a->failed && out->lines.n < n) {
		char *end = strchr(rest, '\n');
		*end = 0;
		out->lines.v[out->lines.n++] = rest;
		rest = end + 1;
	}
	return !a->failed;
}
