#include "mesh/control/policy/test/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct policy *rules_parse(const char *text, struct errbuf *eb)
{
	char *copy = strdup(text);
	struct policy *p = policy_parse(copy, strlen(copy), eb);
	free(copy);
	return p;
}

struct policy *rules_parse_good(const char *text)
{
	struct errbuf eb = { 0 };
	struct policy *p = rules_parse(text, &eb);
	if (!p)
		fail_msg("%s: %s", text, eb.text);
	return p;
}

void rules_print(const struct ctl_rule *r, size_t n, struct buf *out)
{
	char a[ADDR_TEXT], b[ADDR_TEXT], net[PREFIX_TEXT];
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "%s", i ? " | " : "");
		for (size_t k = 0; k < r[i].n_src; k++)
			if (r[i].src[k].any)
				buf_printf(out, "* ");
			else if (addr_equal(&r[i].src[k].first, &r[i].src[k].last))
				buf_printf(out, "%s ", addr_format(&r[i].src[k].first, a));
			else
				buf_printf(out, "%s-%s ", addr_format(&r[i].src[k].first, a),
					addr_format(&r[i].src[k].last, b));
		buf_printf(out, ">");
		for (size_t k = 0; k < r[i].n_dst; k++)
			buf_printf(out, " %s:%u-%u",
				r[i].dst[k].any_ip ? "*" : prefix_format(&r[i].dst[k].net, net),
				r[i].dst[k].first, r[i].dst[k].last);
		for (size_t k = 0; k < r[i].n_protos; k++)
			buf_printf(out, " p%u", r[i].protos[k]);
		if (r[i].caps_json)
			buf_printf(out, " %s", r[i].caps_json);
	}
}
