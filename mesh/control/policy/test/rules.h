/* Access rules as tests write them down. */
#ifndef RW_CONTROL_POLICY_TEST_RULES_H
#define RW_CONTROL_POLICY_TEST_RULES_H

#include "mesh/base/buf.h"
#include "mesh/control/policy/policy.h"

#define RULES_HEAD \
	"{\"groups\":{\"group:dev\":[\"alice@\",\"bob@\"]},\"hosts\":{\"db1\":\"100.64.0.5\"}," \
	"\"tagOwners\":{\"tag:web\":[\"group:dev\"],\"tag:db\":[\"alice@\"]},\"acls\":["
#define RULES_ACL(src, dst) "{\"action\":\"accept\",\"src\":[" src "],\"dst\":[" dst "]}"

/* The caller's; NULL with a sentence. */
struct policy *rules_parse(const char *text, struct errbuf *eb);
/* The same; the test fails where it is none. */
struct policy *rules_parse_good(const char *text);
/* A line for each, as "from from > to:ports". */
void rules_print(const struct ctl_rule *r, size_t n, struct buf *out);

#endif
