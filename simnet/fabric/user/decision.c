#include "simnet/fabric/user/decision.h"

#include "mesh/base/err.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
#define X(name, text) [DECISION_##name] = (text),
	DECISION_LIST(X)
#undef X
};

void decision_note(struct decision_log *l, const struct decision *d)
{
	if (l->n == l->size && l->size < DECISIONS_MAX) {
		size_t more = l->size ? 2 * l->size : 256;
		struct decision *v = reallocarray(l->v, more, sizeof(*v));
		if (v) {
			l->v = v;
			l->size = more;
		}
	}
	if (l->n < l->size)
		l->v[l->n++] = *d;
	else
		l->left_out++;
}

void decision_forget(struct decision_log *l)
{
	l->n = 0;
	l->left_out = 0;
}

void decision_fini(struct decision_log *l)
{
	free(l->v);
	*l = (struct decision_log) { 0 };
}

/* Object, then flow; what was decided of one flow stays in its order, which is that of time. */
static int compare_decisions(const void *a, const void *b)
{
	const struct decision *x = a, *y = b;
	int by = strcmp(x->object, y->object);
	if (!by)
		by = memcmp(&x->flow, &y->flow, sizeof(x->flow));
	if (!by)
		by = x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
	if (!by)
		by = x->n < y->n ? -1 : x->n > y->n;
	return by ? by : x->kind < y->kind ? -1 : x->kind > y->kind;
}

static void format_end(const struct addr *ip, uint16_t port, char *out)
{
	struct endpoint e = { .ip = *ip, .port = port };
	if (addr_equal(ip, &(struct addr) { { 0 } }))
		strcpy(out, "*");
	else if (port)
		endpoint_format(&e, out);
	else
		addr_format(ip, out);
}

static bool write_line(const struct decision_log *l, const struct decision *d, struct buf *out)
{
	char src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT], outside[ENDPOINT_TEXT];
	format_end(&d->flow.src, d->flow.sport, src);
	format_end(&d->flow.dst, d->flow.dport, dst);
	bool ok = buf_printf(out,
		"{\"object\":\"%s\",\"decision\":\"%s\",\"proto\":%u,\"src\":\"%s\",\"dst\":\"%s\"",
		d->object, kind_names[d->kind], d->flow.proto, src, dst);
	if (ok && endpoint_is_set(&d->outside))
		ok = buf_printf(out, ",\"outside\":\"%s\"", endpoint_format(&d->outside, outside));
	if (ok && d->n)
		ok = buf_printf(out, ",\"packet\":%" PRIu64, d->n);
	if (ok && d->why)
		ok = buf_printf(out, ",\"why\":\"%s\"", d->why);
	return ok && buf_printf(out, ",\"at_ms\":%.3f}\n", (double)(d->at_ns - l->start_ns) / 1e6);
}

bool decision_write(struct decision_log *l, struct buf *out)
{
	bool ok = true;
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare_decisions);
	for (size_t i = 0; ok && i < l->n; i++)
		ok = write_line(l, &l->v[i], out);
	if (ok && l->left_out)
		ok = buf_printf(out, "{\"left_out\":%" PRIu64 "}\n", l->left_out);
	return ok;
}
