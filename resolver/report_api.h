/* What is known of a resolver (report.h) and of the questions to it (journal.h), as the messages that tools read. */
#ifndef RW_RESOLVER_REPORT_API_H
#define RW_RESOLVER_REPORT_API_H

#include "mesh/proto/localapi.h"
#include "resolver/blocker.h"
#include "resolver/journal.h"

enum { REPORT_LOG_MAX = 512, REPORT_TOP_MAX = 20 };
/* Texts belong to a. j NULL: nothing is written down. false: memory is short. */
bool report_api_log(struct arena *a, const struct journal *j, uint64_t after, struct api_dns_log *out);
bool report_api_top(struct arena *a, const struct journal *j, struct api_dns_top *out);
bool report_api_servers(
	struct arena *a, const struct resolver *r, uint64_t now_ms, struct api_dns_servers *out);
/* How it serves its clients, into an *out that report_api_servers has filled. */
struct resolver_server;
bool report_api_clients(struct arena *a, const struct resolver_server *s, struct api_dns_servers *out);
/* What a search (blocker_search_start) found. */
bool report_api_blocked(struct arena *a, const struct blocker_why *w, struct api_dns_blocked *out);

#endif
