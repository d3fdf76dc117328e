#include "resolver/report_text.h"

#include "mesh/base/text.h"
#include "mesh/proto/json.h"
#include "resolver/message.h"
#include "resolver/present.h"
#include <inttypes.h>
#include <string.h>

static void question_json(
	struct buf *out, const struct api_dns_question *q, const char *time, const char *type)
{
	struct json_out o = { .to = out };
	json_put(&o, "{\"Time\":");
	json_put_string(&o, time);
	json_put(&o, ",\"Client\":");
	json_put_string(&o, q->client);
	json_put(&o, ",\"Name\":");
	json_put_string(&o, q->name);
	json_put(&o, ",\"Type\":");
	json_put_string(&o, type);
	json_put(&o, ",\"RCode\":");
	json_put_string(&o, present_rcode(q->rcode));
	json_put(&o, ",\"Source\":");
	json_put_string(&o, q->source);
	json_put(&o, ",\"TookMs\":");
	json_put_i64(&o, (int64_t)q->took_ms);
	json_put(&o, "}\n");
}

void report_text_question(struct buf *out, const struct api_dns_question *q, bool json)
{
	char time[40], type[DNS_TYPE_TEXT];
	text_time_format(q->unix_ms, time);
	dns_type_format(q->type, type);
	if (json)
		question_json(out, q, time, type);
	else
		buf_printf(out, "%s  %s  %s %s  %s, %s, %" PRIu64 " ms\n", time, q->client, q->name, type,
			present_rcode(q->rcode), q->source, q->took_ms);
}

static void counts(struct buf *out, const char *title, const struct api_dns_count *v, size_t n)
{
	buf_printf(out, "%s:%s\n", title, n ? "" : " none");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%8" PRIu64 "  %s\n", v[i].n, v[i].what);
}

void report_text_top(struct buf *out, const struct api_dns_top *m)
{
	counts(out, "Names asked for", m->names, m->n_names);
	if (m->n_blocked)
		counts(out, "Names blocked", m->blocked, m->n_blocked);
	counts(out, "Who asked", m->clients, m->n_clients);
}

/* A URL with a name does not say where it is. */
static void server(struct buf *out, const struct api_dns_server *s)
{
	const char *named = s->url && strncmp(s->url, "https:", 6) == 0 ? " at " : "";
	buf_printf(out, "  - %s%s%s %s", s->url ? s->url : "", named,
		named[0] || !s->url || !s->url[0] ? s->addr : "", s->health);
	if (s->rtt_ms)
		buf_printf(out, ", answers in %" PRIu64 " ms", s->rtt_ms);
	if (s->changes_case)
		buf_printf(out, ", changes the case of names");
	if (s->fault && s->fault[0])
		buf_printf(out, ": %s", s->fault);
	buf_append(out, "\n", 1);
}

static void clients(struct buf *out, const struct api_dns_servers *m)
{
	const char *fault = m->secure_fault ? m->secure_fault : "";
	if (m->secure.n)
		buf_printf(out, "Clients by TLS and HTTPS:");
	for (size_t i = 0; i < m->secure.n; i++)
		buf_printf(out, " %s", m->secure.v[i]);
	if (m->secure.n)
		buf_append(out, "\n", 1);
	if (*fault)
		buf_printf(out, "Not by TLS and HTTPS: %s\n", fault);
	if (m->rate_per_s)
		buf_printf(out, "Each client: %" PRIu64 " questions a second, %" PRIu64 " refused so far\n",
			m->rate_per_s, m->rate_limited);
}

void report_text_servers(struct buf *out, const struct api_dns_servers *m)
{
	buf_printf(out, "Cache: %" PRIu64 " KiB\n", m->cache_bytes / 1024);
	clients(out, m);
	for (size_t i = 0; i < m->n_routes; i++) {
		const struct api_dns_route *r = &m->routes[i];
		if (r->site && !r->n_servers)
			continue;
		buf_printf(out, "%s (%s):\n",
			r->site			      ? "Names of the place"
			: strcmp(r->suffix, ".") == 0 ? "Everything else"
						      : r->suffix,
			r->n_servers ? r->order : "answered here");
		for (size_t k = 0; k < r->n_servers; k++)
			server(out, &r->servers[k]);
	}
}

void report_text_blocked(struct buf *out, const struct api_dns_blocked *m, const char *name, const char *who)
{
	for (size_t i = 0; i < m->lines.n; i++)
		buf_printf(out, "%s\n", m->lines.v[i]);
	buf_printf(out, "%s is%s blocked%s%s%s%s%s\n", name, m->blocked ? "" : " not", who ? " for " : "",
		who ? who : "", *m->group ? ", of the group " : "", m->group,
		m->lines.n ? "" : ": no list has it");
}
