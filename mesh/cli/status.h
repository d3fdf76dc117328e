/* The status table, apart from where it comes from. */
#ifndef RW_CLI_STATUS_H
#define RW_CLI_STATUS_H

#include "mesh/proto/localapi.h"
#include <stdio.h>

struct status_view {
	bool self, peers, active_only, header;
	int64_t now_ms; /* Unix; for "last seen" */
};
/* Columns: address, host, owner, OS, state; then notes as # lines. false (out of memory): nothing printed. */
bool status_print(const struct api_status *s, const struct status_view *v, FILE *to);
/* What state it is in and what to do, for one that is neither Running nor Starting; NULL when it is. */
const char *status_sentence(const struct api_status *s);

/* "offline", and since when: "offline, last seen 5m ago". */
void status_seen(const struct api_peer *p, int64_t now_ms, char *out, size_t cap);

#endif
