#include "mesh/node/serve/exit_dns.h"
#include "mesh/base/wire.h"
#include "resolver/answer.h"
#include "resolver/ask.h"
#include "resolver/report.h"
#include <stdlib.h>
#include <string.h>

struct exit_dns {
	struct loop *loop;
	struct exit_dns_ops ops;
	struct exit_dns **handle; /* the owner's: NULL once it is over */
	struct dns_asking *asking;
	struct dns_query query;
};

/* Only the question and why. */
static void refuse(const struct exit_dns_ops *ops, const struct dns_query *q, uint16_t rcode, uint16_t ede)
{
	uint8_t out[EXIT_DNS_MESSAGE_MAX];
	struct dns_writer d;
	dns_write_begin(&d, out, sizeof(out), q);
	ops->done(ops->arg, out, dns_write_end(&d, q, &(struct dns_end) { .rcode = rcode, .ede = ede }));
}

/* Its answer would be the internet's: nothing of ours, and of no server that is for some names alone. */
static bool is_of_internet(
	struct loop *l, const struct exit_dns_ops *ops, const struct dns_name *asked, uint16_t type)
{
	struct resolver *r = ops->resolver(ops->arg);
	struct resolver_way way;
	char name[DNS_NAME_TEXT];
	if (!r || !resolver_way(r, loop_now_ms(l), dns_name_format(asked, name), type, &way))
		return false;
	if (way.source == RESOLVER_FROM_BLOCK || way.source == RESOLVER_FROM_RULES)
		return true; /* what does not exist for us does not for them */
	return way.source != RESOLVER_FROM_ZONE && way.has_route && !way.route.site &&
	       strcmp(way.route.suffix, ".") == 0;
}

/* An alias may lead to anything, and the resolver follows it to whoever speaks for that. */
static bool aliases_are_of_internet(const struct exit_dns *q, const uint8_t *msg, size_t len)
{
	size_t at = dns_name_skip(msg, len, DNS_HEADER) + 4, next;
	struct dns_name to;
	struct dns_rr rr;
	for (unsigned n = (unsigned)be_get(msg + 6, 2); n && dns_rr_next(msg, len, &at, &rr); n--)
		if (rr.type == DNS_CNAME && (!dns_name_expand(msg, len, rr.rdata_at, &to, &next) ||
						    !is_of_internet(q->loop, &q->ops, &to, q->query.type)))
			return false;
	return true;
}

/* Into what is around this machine, directly or by a translator. */
static bool leads_inside(const struct exit_dns *q, const uint8_t *msg, size_t len)
{
	const struct resolver *r = q->ops.resolver(q->ops.arg);
	const struct nat64_set by = r ? resolver_dns64(r) : (struct nat64_set) { .n = 0 };
	return answer_has_private(msg, len, &by);
}

static void answered(void *arg, int code, const uint8_t *answer, size_t len)
{
	struct exit_dns *q = arg;
	struct exit_dns_ops ops = q->ops;
	struct dns_query query = q->query;
	bool may = !code && len >= DNS_HEADER && !leads_inside(q, answer, len) &&
		   aliases_are_of_internet(q, answer, len);
	*q->handle = NULL;
	free(q);
	if (code || len < DNS_HEADER)
		ops.done(ops.arg, NULL, 0);
	else if (!may)
		refuse(&ops, &query, DNS_REFUSED, EDE_PROHIBITED);
	else
		ops.done(ops.arg, answer, len);
}

bool exit_dns_ask(
	struct loop *l, const uint8_t *msg, size_t len, const struct exit_dns_ops *ops, struct exit_dns **out)
{
	const struct endpoint service = { .ip = addr_service_v4, .port = 53 };
	struct dns_query query;
	struct errbuf eb;
	*out = NULL;
	if (len > EXIT_DNS_MESSAGE_MAX || dns_query_read(msg, len, true, &query) != DNS_READ_OK)
		return false;
	if (!is_of_internet(l, ops, &query.name, query.type)) {
		refuse(ops, &query, DNS_REFUSED, EDE_PROHIBITED);
		return true;
	}
	struct exit_dns *q = calloc(1, sizeof(*q));
	if (q) {
		*q = (struct exit_dns) { .loop = l, .ops = *ops, .handle = out, .query = query };
		q->asking = dns_ask_message(l, &service, msg, len, answered, q, &eb);
	}
	if (!q || !q->asking) {
		free(q);
		refuse(ops, &query, DNS_SERVFAIL, EDE_NETWORK);
		return true;
	}
	*out = q;
	return true;
}

void exit_dns_cancel(struct exit_dns *q)
{
	if (!q)
		return;
	dns_ask_cancel(q->asking);
	free(q);
}
