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

/* What may be a destination here. */
static bool list_local(
	struct arena *a, const struct netmap *m, const struct rules_place *at, struct filter_local *out)
{
	/* All but 2000::/3 is no internet. */
	static const struct {
		uint8_t first[2], bits;
		bool v6;
	} never[] = { { { 0, 0 }, 8, false }, { { 10, 0 }, 8, false }, { { 100, 64 }, 10, false },
		{ { 127, 0 }, 8, false }, { { 169, 254 }, 16, false }, { { 172, 16 }, 12, false },
		{ { 192, 168 }, 16, false }, { { 224, 0 }, 3, false }, { { 0, 0 }, 3, true },
		{ { 0x40, 0 }, 2, true }, { { 0x80, 0 }, 1, true } };
	const struct ctl_prefixes *own = &m->self->node.addresses;
	struct prefix *v = arena_array(a, own->n + at->n_offered, sizeof(*v));
	struct prefix *except = arena_array(a, ARRAY_LEN(never) + at->n_around, sizeof(*except));
	if (!v || !except)
		return false;
	*out = (struct filter_local) { .v = v, .except = except };
	for (size_t i = 0; i < own->n; i++)
		v[out->n++] = own->v[i];
	for (size_t i = 0; i < at->n_offered; i++)
		v[out->n++] = at->offered[i];
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		uint32_t four = (uint32_t)never[i].first[0] << 24 | (uint32_t)never[i].first[1] << 16;
		except[out->n_except].ip =
			never[i].v6 ? (struct addr) { { never[i].first[0] } } : addr_v4(four);
		except[out->n_except++].bits = never[i].bits;
	}
	for (size_t i = 0; i < at->n_around; i++)
		except[out->n_except++] = at->around[i];
	return true;
}

struct filter *rules_compile(const struct netmap *m, const struct rules_place *at, struct errbuf *eb)
{
	struct arena a = { 0 };
	size_t total = 0, k = 0;
	for (size_t i = 0; i < m->n_filters; i++)
		total += m->filters[i].n_rules;
	struct filter_rule *rules = arena_array(&a, total, sizeof(*rules));
	for (size_t i = 0; rules && i < m->n_filters; i++) {
		for (size_t j = 0; j < m->filters[i].n_rules; j++) {
			const struct ctl_rule *r = &m->filters[i].rules[j];
			if (r->n_dst)
				k += rule_convert(&a, r, &rules[k]);
			else
				total--; /* of capabilities alone */
		}
	}
	struct filter_local local;
	struct filter *f = rules && k == total && list_local(&a, m, at, &local)
				   ? filter_build(rules, m->block_all || at->shields_up ? 0 : total, &local)
				   : NULL;
	arena_free(&a);
	if (!f)
		err_set(eb, ERR_TOO_LARGE, "the access rules do not fit in memory");
	return f;
}

struct filter *rules_shut(void)
{
	return filter_build(NULL, 0, &(struct filter_local) { 0 });
}
