#include "mesh/node/plane/rules.h"

static bool rule_convert(struct arena *a, const struct ctl_rule *r, struct filter_rule *out)
{
	struct filter_range *src = arena_array(a, r->n_src, sizeof(*src));
	struct filter_dst *dst = arena_array(a, r->n_dst, sizeof(*dst));
	if (!src || !dst)
		return false;
	for (size_t i = 0; i < r->n_src; i++)
		src[i] = (struct filter_range) {
			.first = r->src[i].first, .last = r->src[i].last, .any = r->src[i].any
		};
	for (size_t i = 0; i < r->n_dst; i++)
		dst[i] = (struct filter_dst) { .net = r->dst[i].net,
			.any = r->dst[i].any_ip,
			.first = r->dst[i].first,
			.last = r->dst[i].last };
	*out = (struct filter_rule) { .src = src,
		.n_src = r->n_src,
		.dst = dst,
		.n_dst = r->n_dst,
		.protos = r->protos,
		.n_protos = r->n_protos };
	return true;
}

struct filter *rules_compile(const struct netmap *m, struct errbuf *eb)
{
	struct arena a = { 0 };
	size_t total = 0, k = 0;
	for (size_t i = 0; i < m->n_filters; i++)
		total += m->filters[i].n_rules;
	struct filter_rule *rules = arena_array(&a, total, sizeof(*rules));
	for (size_t i = 0; rules && i < m->n_filters; i++) {
		for (size_t j = 0; j < m->filters[i].n_rules; j++)
			k += rule_convert(&a, &m->filters[i].rules[j], &rules[k]);
	}
	const struct ctl_prefixes *local = &m->self->node.addresses;
	struct filter *f = rules && k == total
				   ? filter_build(rules, m->block_all ? 0 : total, local->v, local->n)
				   : NULL;
	arena_free(&a);
	if (!f)
		err_set(eb, ERR_TOO_LARGE, "the access rules do not fit in memory");
	return f;
}

struct filter *rules_shut(void)
{
	return filter_build(NULL, 0, NULL, 0);
}
