/* A policy together with the text that it was read from. */
#ifndef RW_CONTROL_POLICY_SOURCE_H
#define RW_CONTROL_POLICY_SOURCE_H

#include "mesh/control/policy/policy.h"

enum { POLICY_TAG = 65, POLICY_BYTES_MAX = 4 * 1024 * 1024 };

/* Immutable, counted. */
struct policy_source {
	unsigned refs;
	struct policy *rules;
	const char *text; /* as it was written, with its comments; ends with a 0 that len does not count */
	size_t len;
	char tag[POLICY_TAG]; /* of the text: the same text has the same, no two others have */
};

/* text is copied. NULL: as policy_parse. */
struct policy_source *policy_source_new(const char *text, size_t len, struct errbuf *eb);
struct policy_source *policy_source_get(struct policy_source *s); /* NULL is fine, here and below */
void policy_source_put(struct policy_source *s);
/* What stands for the tag of no policy at all is "". */
void policy_tag(const char *text, size_t len, char out[static POLICY_TAG]);

#endif
