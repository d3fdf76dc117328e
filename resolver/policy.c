#include "resolver/policy.h"

#include "resolver/message.h"
#include "resolver/suffix.h"
#include <string.h>

/* Types that a validator asks about top-level names; other single labels are host names that lost their
 * domain. */
static bool single_may_leave(uint16_t type)
{
	return type == DNS_DS || type == DNS_DNSKEY || type == DNS_NS;
}

/* What a machine asks of its network all day to find printers and the like (RFC 6763 11): b, db, r, dr and lb
 * below _dns-sd._udp. For a private range nobody has an answer. */
static bool is_service_search(const struct dns_name *name)
{
	static const uint8_t below[] = "\7_dns-sd\4_udp";
	unsigned at = name->b[0] + 1u;
	bool one = name->b[0] == 1 && (name->b[1] == 'b' || name->b[1] == 'r');
	bool two = name->b[0] == 2 && (!memcmp(name->b + 1, "db", 2) || !memcmp(name->b + 1, "dr", 2) ||
					      !memcmp(name->b + 1, "lb", 2));
	return (one || two) && name->len > at + sizeof(below) - 1 &&
	       !memcmp(name->b + at, below, sizeof(below) - 1);
}

static struct policy special_judge(const struct special *s, int special, const struct policy_question *q)
{
	static const enum policy_verdict verdicts[] = {
		[SPECIAL_NXDOMAIN] = POLICY_NXDOMAIN,
		[SPECIAL_SITE] = POLICY_SITE,
		[SPECIAL_NODATA] = POLICY_NODATA,
		[SPECIAL_LOCALHOST] = POLICY_LOCALHOST,
		[SPECIAL_SPLIT] = POLICY_NXDOMAIN,
	};
	struct policy p = { verdicts[s->kinds[special]], &s->suffixes[special] };
	if (s->kinds[special] == SPECIAL_SPLIT && !q->split)
		p.verdict = POLICY_PASS;
	if (special_is_reverse(s, special) && is_service_search(q->name))
		p.verdict = POLICY_NXDOMAIN;
	return p;
}

struct policy policy_judge(const struct special *s, const struct policy_question *q)
{
	unsigned labels;
	int special = suffixes_longest(s->index, q->name, &labels);
	bool never = special >= 0 && special_is_reverse(s, special) && is_service_search(q->name);
	if (special >= 0 && (never || labels > q->routed))
		return special_judge(s, special, q);
	bool single = !q->routed && dns_name_labels(q->name) == 1 && !single_may_leave(q->type);
	return (struct policy) { single ? POLICY_SITE : POLICY_PASS, NULL };
}
