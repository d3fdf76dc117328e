#include "simnet/lab/meter.h"

#include <stdlib.h>
#include <string.h>

void meter_fini(struct meter *m)
{
	free(m->probes);
	memset(m, 0, sizeof(*m));
}

bool meter_sent(struct meter *m, const struct meter_probe *probe, uint32_t *seq)
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
	m->probes[m->n++] = *probe;
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

struct meter_window meter_window(const struct meter *m, uint64_t now_ms)
{
	return (struct meter_window) {
		.first = m->mark, .end = m->n, .from_ms = m->mark_ms, .to_ms = now_ms
	};
}

struct meter_window meter_set_mark(struct meter *m, uint64_t now_ms)
{
	struct meter_window ended = meter_window(m, now_ms);

	m->mark = m->n;
	m->mark_ms = now_ms;
	return ended;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* How much of the time between the two the sender did not come to send, on a path that was sound when it did. */
static uint64_t unsent_between(const struct meter *m, uint64_t from_ms, uint64_t to_ms)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct meter_probe *p = &m->probes[i];
		uint64_t from = p->sent_ms - p->late_ms, to = p->sent_ms < to_ms ? p->sent_ms : to_ms;
		from = from > from_ms ? from : from_ms;
		sum += p->got_ms && from < to ? to - from : 0;
	}
	return sum;
}

struct silence {
	uint64_t ms, from_ms, to_ms;
};

/* Between arrivals, which reordering and late delivery may shuffle. An answer may come long after its probe,
 * so probes of earlier windows are looked at too. */
static struct silence longest_silence(const struct meter *m, const struct meter_window *w)
{
	size_t n = 0;
	struct silence longest = { 0 };
	uint64_t last = w->from_ms;
	uint64_t *got = calloc(w->end + 1, sizeof(*got));

	if (!got)
		return longest;
	for (size_t i = 0; i < w->end; i++)
		if (m->probes[i].got_ms >= w->from_ms && m->probes[i].got_ms <= w->to_ms)
			got[n++] = m->probes[i].got_ms;
	qsort(got, n, sizeof(*got), by_time);
	got[n] = w->to_ms;
	for (size_t i = 0; i <= n; i++) {
		uint64_t silence = got[i] > last ? got[i] - last : 0;
		if (silence > longest.ms)
			silence -= unsent_between(m, last, got[i]);
		if (silence > longest.ms)
			longest = (struct silence) { silence, last, got[i] };
		last = got[i];
	}
	free(got);
	return longest;
}

static double slow_between(const struct meter *m, uint64_t from_ms, uint64_t to_ms)
{
	double sum = 0;
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->probes[i].sent_ms >= from_ms && m->probes[i].sent_ms <= to_ms) {
			sum += (double)m->probes[i].slow;
			n++;
		}
	return n ? sum / (double)n : 1;
}

struct meter_cost meter_read(const struct meter *m, const struct meter_window *w, uint64_t now_ms)
{
	struct meter_cost c = { .sent = w->end - w->first };
	struct silence gap = longest_silence(m, w);
	double slow = 0;

	for (size_t i = w->first; i < w->end; i++) {
		const struct meter_probe *p = &m->probes[i];
		if (p->got_ms) {
			c.answered++;
		} else if (p->sent_ms + METER_GRACE_MS <= now_ms) {
			c.lost++;
			slow += (double)p->slow;
		} else {
			c.open++;
		}
	}
	c.longest_gap_ms = gap.ms;
	c.gap_slow = slow_between(m, gap.from_ms, gap.to_ms);
	c.lost_slow = c.lost ? slow / (double)c.lost : 1;
	return c;
}

uint64_t meter_settles_ms(const struct meter *m, const struct meter_window *w, uint64_t now_ms)
{
	for (size_t i = w->end; i > w->first; i--) { /* the youngest unanswered one decides */
		const struct meter_probe *p = &m->probes[i - 1];
		if (!p->got_ms && p->sent_ms + METER_GRACE_MS > now_ms)
			return p->sent_ms + METER_GRACE_MS;
	}
	return 0;
}
