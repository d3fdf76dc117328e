#include "resolver/alone/numbers.h"

#include "resolver/report.h"
#include "resolver/report_metrics.h"
#include <inttypes.h>

bool numbers_json(const struct running *s, const char *first, struct buf *out)
{
	const struct resolver_stats *r = resolver_stats(resolver_server_core(s->server));
	const struct resolver_server_stats *of = resolver_server_stats(s->server);
	bool ok = buf_printf(out, "{%s", first);
#define X(name) ok = ok && buf_printf(out, ",\"" #name "\":%" PRIu64, r->name);
	RESOLVER_STATS(X)
#undef X
#define X(name) ok = ok && buf_printf(out, ",\"" #name "\":%" PRIu64, of->name);
	RESOLVER_SERVER_STATS(X)
#undef X
	return ok && buf_printf(out, "}\n");
}

bool numbers_line(const struct running *s, struct buf *out)
{
	const struct resolver_stats *r = resolver_stats(resolver_server_core(s->server));
	const struct resolver_server_stats *of = resolver_server_stats(s->server);
	bool ok = buf_printf(out, "stats");
#define X(name) ok = ok && buf_printf(out, " " #name "=%" PRIu64, r->name);
	RESOLVER_STATS(X)
#undef X
#define X(name) ok = ok && buf_printf(out, " " #name "=%" PRIu64, of->name);
	RESOLVER_SERVER_STATS(X)
#undef X
	return ok && buf_printf(out, "\n");
}

bool numbers_metrics(const struct running *s, struct buf *out)
{
	struct blocker_state b;
	blocker_state(s->blocker, &b);
	return report_metrics(out, s->server, loop_now_ms(s->loop)) &&
	       report_metrics_gauge(out, "blocking_names", "Names on the lists.", b.names) &&
	       report_metrics_gauge(out, "blocking_lists_missing",
		       "Lists that have never come from their URL.", b.missing) &&
	       report_metrics_gauge(
		       out, "blocking_paused", "1: nothing is blocked just now.", b.pause_left_ms != 0);
}
