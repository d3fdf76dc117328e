#include "resolver/report_metrics.h"

#include "resolver/listen.h"
#include "resolver/report.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME "ropewalk_resolver_"

/* A row for each of RESOLVER_STATS and RESOLVER_SERVER_STATS. */
static const struct {
	const char *name, *help;
} helps[] = {
	{ "queries", "Questions that came." },
	{ "local", "Questions answered from records and rules." },
	{ "blocked", "Questions for names that are blocked." },
	{ "cached", "Questions answered from the cache." },
	{ "stale", "Questions answered with what was past its time." },
	{ "prefetched", "Questions asked anew before their answer in the cache ran out." },
	{ "forwarded", "Questions sent to an upstream." },
	{ "merged", "Questions that waited for the answer to the same question of another client." },
	{ "probes", "Questions of our own, to see whether an upstream is there." },
	{ "nxdomain", "Answers that a name does not exist." },
	{ "servfail", "Answers that nothing could be found out." },
	{ "refused", "Answers that a question is refused." },
	{ "formerr", "Answers that a question is malformed." },
	{ "truncated", "Answers cut to fit a datagram: the client asks again by TCP." },
	{ "drop_short", "Datagrams too short for a question." },
	{ "drop_response", "Datagrams that are answers, not questions." },
	{ "drop_full", "Questions that came while too many waited." },
	{ "yielded", "Questions that gave way, unanswered, to newer ones." },
	{ "upstream_mismatch", "Packets that were no answer to what was asked." },
	{ "upstream_malformed", "Answers of upstreams that cannot be read." },
	{ "upstream_case", "Answers of upstreams with their name in other letters." },
	{ "upstream_timeout", "Questions that no upstream answered in time." },
	{ "upstream_tcp", "Questions sent by TCP." },
	{ "upstream_secure", "Questions sent by TLS or HTTPS." },
	{ "upstream_failed", "Questions that could not be sent, or whose connection broke." },
	{ "loop", "Upstreams that are this resolver, or ask it." },
	{ "rebinding", "Answers that lead into the network, and were not passed on." },
	{ "validated", "Questions given to libunbound, which validates." },
	{ "kept", "Answers of before the start that were taken." },
	{ "kept_left", "Answers of before the start that were not: their time or their servers are over." },
	{ "kept_bad", "Files of such answers that could not be used." },
	{ "not_allowed", "Datagrams and connections of who may not ask." },
	{ "rate_limited", "Questions beyond the rate limit of their client." },
	{ "udp_full", "Datagrams that came while no place was free." },
	{ "udp_waiting", "Datagrams of a client with too many unanswered ones." },
	{ "udp_oversize", "Datagrams too large for a question." },
	{ "udp_unsent", "Answers that could not be sent." },
	{ "tcp_accepted", "Connections of clients." },
	{ "tcp_evicted", "Connections that gave way to others." },
	{ "tcp_full", "Connections without a place." },
	{ "tcp_garbage", "Connections that brought no DNS." },
	{ "tcp_timeout", "Connections on which nothing came for too long." },
	{ "tcp_paused", "How often no connection was taken: no descriptor was free." },
};

const char *report_metrics_help(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(helps); i++)
		if (strcmp(helps[i].name, name) == 0)
			return helps[i].help;
	return NULL;
}

static bool heading(struct buf *out, const char *name, const char *kind, const char *help)
{
	return buf_printf(out, "# HELP " NAME "%s %s\n# TYPE " NAME "%s %s\n", name, help, name, kind);
}

static bool counter(struct buf *out, const char *name, uint64_t n)
{
	const char *help = report_metrics_help(name);
	char total[64];
	snprintf(total, sizeof(total), "%s_total", name);
	return heading(out, total, "counter", help ? help : "Counted since the start.") &&
	       buf_printf(out, NAME "%s %" PRIu64 "\n", total, n);
}

bool report_metrics_gauge(struct buf *out, const char *name, const char *help, uint64_t n)
{
	return heading(out, name, "gauge", help) && buf_printf(out, NAME "%s %" PRIu64 "\n", name, n);
}

/* Twice as much as a name or a server has. */
enum {
	LABEL_TEXT =
		2 * ((int)DNS_NAME_TEXT > (int)DNS_SECURE_TEXT ? (int)DNS_NAME_TEXT : (int)DNS_SECURE_TEXT)
};

/* As the value of a label. */
static const char *label(const char *text, char out[static LABEL_TEXT])
{
	size_t n = 0;
	for (; *text && n + 2 < LABEL_TEXT; text++) {
		if (*text == '\\' || *text == '"')
			out[n++] = '\\';
		out[n++] = *text;
	}
	out[n] = 0;
	return out;
}

/* Each server of each route: is it well, how long does it take. */
static bool upstreams(struct buf *out, const struct resolver *core, uint64_t now_ms, bool time)
{
	struct resolver_route_report route;
	char at[DNS_SECURE_TEXT], server[LABEL_TEXT], suffix[LABEL_TEXT];
	bool ok =
		time ? heading(out, "upstream_rtt_seconds", "gauge", "How long an upstream takes to answer.")
		     : heading(out, "upstream_well", "gauge", "1: the upstream answers.");
	for (size_t i = 0; ok && resolver_route_report(core, now_ms, i, &route); i++)
		for (size_t k = 0; ok && k < route.n; k++) {
			const struct resolver_server_report *of = &route.servers[k];
			ok = buf_printf(out, NAME "%s{route=\"%s%s\",server=\"%s\"} ",
				     time ? "upstream_rtt_seconds" : "upstream_well",
				     label(route.suffix, suffix), route.site ? "site" : "",
				     label(resolver_server_text(of, at), server)) &&
			     (time ? buf_printf(out, "%u.%03u\n", of->rtt_ms / 1000, of->rtt_ms % 1000)
				   : buf_printf(out, "%d\n", of->health == RESOLVER_WELL));
		}
	return ok;
}

bool report_metrics(struct buf *out, struct resolver_server *s, uint64_t now_ms)
{
	const struct resolver *core = resolver_server_core(s);
	const struct resolver_stats *r = resolver_stats(core);
	const struct resolver_server_stats *of = resolver_server_stats(s);
	bool ok = true;
#define X(name) ok = ok && counter(out, #name, r->name);
	RESOLVER_STATS(X)
#undef X
#define X(name) ok = ok && counter(out, #name, of->name);
	RESOLVER_SERVER_STATS(X)
#undef X
	return ok &&
	       report_metrics_gauge(out, "cache_bytes", "Memory of the cache.", resolver_cache_bytes(core)) &&
	       report_metrics_gauge(out, "dns64_prefixes", "Prefixes of translators that are known.",
		       resolver_dns64(core).n) &&
	       upstreams(out, core, now_ms, false) && upstreams(out, core, now_ms, true);
}
