#include "simnet/lab/meter.h"

#include <stdlib.h>
#include <string.h>

void meter_fini(struct meter *m)
{
	free(m->probes);
	memset(m, 0, sizeof(*m));
}

bool meter_sent(struct meter *m, uint64_t now_ms, uint32_t *seq)
{
	if (m->n == m->size) {
		size_t size = m->size ? m->size * 2 : 1024;
		struct meter_probe *p = size > UINT32_MAX ? NULL : realloc(m->probes, size * sizeof(*p));
		if (!p)
			return false;
		m->probes = p;
		m->size = size;
	}
	*seq = (uint32_t)m->n;
	m->probes[m->n++] = (struct meter_probe) { .sent_ms = now_ms };
	return true;
}

bool meter_received(struct meter *m, uint32_t seq, uint64_t now_ms)
{
	if (seq >= m->n || m->probes[seq].got_ms)
		return false;
	m->probes[seq].got_ms = now_ms ? now_ms : 1;
	m->last_got_ms = m->probes[seq].got_ms;
	if (m->probes[seq].sent_ms > m->answered_ms)
		m->answered_ms = m->probes[seq].sent_ms;
	return true;
}

void meter_set_mark(struct meter *m, uint64_t now_ms)
{
	m->mark = m->n;
	m->mark_ms = now_ms;
	m->quiet_from_ms = m->last_got_ms ? m->last_got_ms : now_ms;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Silence is measured between arrivals, which reordering and late delivery may shuffle. */
static uint64_t longest_gap(const struct meter *m, uint64_t now_ms)
{
	size_t from = m->mark, n = 0;
	uint64_t last = m->quiet_from_ms, longest = 0;

	while (from > 0 && m->probes[from - 1].sent_ms + METER_GRACE_MS >= m->mark_ms)
		from--; /* on its way at the mark */
	uint64_t *got = calloc(m->n - from + 1, sizeof(*got));
	if (!got)
		return 0;
	for (size_t i = from; i < m->n; i++)
		if (m->probes[i].got_ms >= m->mark_ms)
			got[n++] = m->probes[i].got_ms;
	qsort(got, n, sizeof(*got), by_time);
	got[n] = now_ms;
	for (size_t i = 0; i <= n; i++) {
		if (got[i] > last && got[i] - last > longest)
			longest = got[i] - last;
		last = got[i];
	}
	free(got);
	return longest;
}

struct meter_cost meter_read(const struct meter *m, uint64_t now_ms)
{
	struct meter_cost c = { 0 };

	for (size_t i = m->mark; i < m->n; i++) {
		const struct meter_probe *p = &m->probes[i];
		c.answered += p->got_ms != 0;
		c.lost += !p->got_ms && p->sent_ms + METER_GRACE_MS <= now_ms;
	}
	c.sent = m->n - m->mark;
	if (m->n)
		c.longest_gap_ms = longest_gap(m, now_ms);
	return c;
}
