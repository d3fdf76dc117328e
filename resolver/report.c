#include "resolver/report.h"

#include "mesh/base/err.h"
#include "mesh/base/log.h"
#include "resolver/core.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>

static const char *const healths[] = { [RESOLVER_WELL] = "well",
	[RESOLVER_CHECKED] = "checked",
	[RESOLVER_HELD] = "held",
	[RESOLVER_RING] = "ring",
	[RESOLVER_REFUSES] = "refuses" };
static_assert(ARRAY_LEN(healths) == RESOLVER_HEALTHS, "healths misses one");

static const char *const orders[] = {
	[RESOLVER_PREFERRED] = "preferred", [RESOLVER_STRICT] = "strict", [RESOLVER_RACE] = "race"
};

const char *resolver_health_text(enum resolver_health h)
{
	return healths[h];
}

const char *resolver_fault_text(int fault)
{
	switch (fault) {
	case 0: return "";
	case ERR_CRYPTO: return "its certificate or its key is not the right one";
	case ERR_UNSUPPORTED: return "it does not speak this protocol there";
	case -EPROTO: return "it answers with an error of HTTP";
	default: return err_text(fault);
	}
}

const char *resolver_source_text(enum resolver_source s)
{
	static const char *const sources[] = { [RESOLVER_FROM_ZONE] = "zone",
		[RESOLVER_FROM_RULES] = "rules",
		[RESOLVER_FROM_BLOCK] = "block",
		[RESOLVER_FROM_CACHE] = "cache",
		[RESOLVER_FROM_STALE] = "stale",
		[RESOLVER_FROM_UPSTREAM] = "upstream",
		[RESOLVER_FROM_NOWHERE] = "nowhere" };
	return sources[s];
}

const char *resolver_order_text(enum resolver_order o)
{
	return orders[o];
}

char *resolver_server_text(const struct resolver_server_report *s, char *buf)
{
	char at[ENDPOINT_TEXT];
	if (!s->secure)
		return endpoint_format(&s->at, buf);
	dns_secure_format(s->secure, &s->at, buf);
	size_t len = strlen(buf);
	if (s->secure->by == DNS_SECURE_HTTPS && s->secure->name[0])
		snprintf(buf + len, DNS_SECURE_TEXT - len, " at %s", endpoint_format(&s->at, at));
	return buf;
}

static enum resolver_health health_of(const struct upstream *u, uint64_t now_ms)
{
	static const enum resolver_health of[] = { [UPSTREAM_WELL] = RESOLVER_WELL,
		[UPSTREAM_CHECKED] = RESOLVER_CHECKED,
		[UPSTREAM_HELD] = RESOLVER_HELD,
		[UPSTREAM_RING] = RESOLVER_RING };
	return of[u->state] == RESOLVER_WELL && now_ms < u->refuse_until_ms ? RESOLVER_REFUSES : of[u->state];
}

bool resolver_route_report(
	const struct resolver *r, uint64_t now_ms, size_t i, struct resolver_route_report *out)
{
	if (i >= r->routes->n)
		return false;
	const struct route *from = &r->routes->list[i];
	out->site = i + 1 == r->routes->n; /* configure.c: site_set */
	out->order = from->order;
	out->n = from->n;
	dns_name_format(&from->suffix, out->suffix);
	for (unsigned k = 0; k < from->n; k++) {
		const struct upstream *u = from->upstreams[k];
		out->servers[k] = (struct resolver_server_report) { .at = u->at,
			.secure = u->secure,
			.fault = u->fault,
			.health = health_of(u, now_ms),
			.rtt_ms = u->rtt_ms,
			.changes_case = upstream_changes_case(u, now_ms) };
	}
	return true;
}

void resolver_case_say(void *arg, const struct endpoint *at)
{
	char text[ENDPOINT_TEXT];
	(void)arg;
	log_info("the name server %s gives names back in another case: it is asked in lower case, and forged "
		 "answers of it are less hard to guess",
		endpoint_format(at, text));
}

struct nat64_set resolver_dns64(const struct resolver *r)
{
	return r->dns64;
}

size_t resolver_cache_bytes(const struct resolver *r)
{
	return cache_bytes(r->cache);
}

/* The steps of query.c, without an answer. */
bool resolver_way(
	struct resolver *r, uint64_t now_ms, const char *text, uint16_t type, struct resolver_way *out)
{
	struct dns_name name;
	struct zone_hit hit;
	struct cache_item item;
	const struct route *route;
	if (!dns_name_parse(text, &name))
		return false;
	dns_name_fold(&name);
	out->has_route = false;
	if (query_zone_speaks(r, &name, &hit)) {
		out->source = RESOLVER_FROM_ZONE;
		return true;
	}
	out->source = RESOLVER_FROM_RULES;
	if (query_ends_here(r, &name, type))
		return true;
	if (block_judge(r->block, UINT32_MAX, &name, NULL) == BLOCK_BLOCKED) {
		out->source = RESOLVER_FROM_BLOCK;
		return true;
	}
	route = query_route(r, &name, type);
	if (!route || !route->n)
		return true;
	struct cache_key ck = { .split = route->split, .name = &name, .type = type };
	bool known = cache_find_stale(r->cache, &ck, now_ms, &item);
	out->has_route = resolver_route_report(r, now_ms, (size_t)(route - r->routes->list), &out->route);
	out->source = !known	   ? RESOLVER_FROM_UPSTREAM
		      : item.stale ? RESOLVER_FROM_STALE
				   : RESOLVER_FROM_CACHE;
	return true;
}

enum resolver_source resolver_way_went(const struct resolver_way *way, const uint8_t *answer, size_t len)
{
	bool was_asked = way->source == RESOLVER_FROM_UPSTREAM || way->source == RESOLVER_FROM_STALE;
	return was_asked && len >= DNS_HEADER && (answer[3] & 15) == DNS_SERVFAIL ? RESOLVER_FROM_NOWHERE
										  : way->source;
}
