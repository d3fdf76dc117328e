/* The messages of report_api.h as a person reads them, and as lines of JSON. */
#ifndef RW_RESOLVER_REPORT_TEXT_H
#define RW_RESOLVER_REPORT_TEXT_H

#include "mesh/base/buf.h"
#include "mesh/proto/localapi.h"

/* Appended to out, with the end of the line. Names and addresses are as the resolver wrote them: fit for a terminal. */
void report_text_question(struct buf *out, const struct api_dns_question *q, bool json);
void report_text_top(struct buf *out, const struct api_dns_top *m);
void report_text_servers(struct buf *out, const struct api_dns_servers *m);
/* who: whom the name is blocked for, as a person knows him; NULL: it is not said. */
void report_text_blocked(struct buf *out, const struct api_dns_blocked *m, const char *name, const char *who);

#endif
