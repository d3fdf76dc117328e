/* Questions that are written down, and what is told of them: an input is a line of steps of two bytes. A model says which
 * questions are kept and how often each name and client came; what is told is within the bounds that journal.h gives, comes
 * back from JSON as it was, and as text has a line for each question, whatever bytes a name has. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/wire.h"
#include "resolver/report_api.h"
#include "resolver/report_text.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	STEPS_MAX = 40,
	ADDED_MAX = JOURNAL_QUESTIONS + 600,
	NAMES = 4096,
	MANY = 300,
	RARE = 16,
	SOURCES = RESOLVER_FROM_NOWHERE + 1,
	TEXT_MAX = 60
};

static struct world {
	struct journal *j;
	uint64_t added;
	unsigned crowds;
	uint32_t counts[JOURNAL_LISTS][NAMES], totals[JOURNAL_LISTS];
	uint16_t kept[JOURNAL_QUESTIONS]; /* which name the nth question has */
} w;

/* A few have odd bytes. */
static void name_of(unsigned i, struct dns_name *out)
{
	char text[TEXT_MAX];
	snprintf(text, sizeof(text), i % 16 == 15 ? "\\000\\255 \\\"<\\\\x\\010-%u.test" : "n-%u.test", i);
	must(dns_name_parse(text, out));
}

static unsigned name_index(const struct dns_name *name)
{
	char text[DNS_NAME_TEXT];
	dns_name_format(name, text);
	unsigned long i = strtoul(strrchr(text, '-') + 1, NULL, 10);
	must(i < NAMES);
	return (unsigned)i;
}

static void add(unsigned number, unsigned source)
{
	unsigned i = number % NAMES;
	if (w.added == ADDED_MAX)
		return;
	struct journal_question q = { .unix_ms = (int64_t)w.added,
		.type = (uint16_t)(i & 63),
		.rcode = (uint16_t)(i & 31),
		.source = source % SOURCES,
		.took_ms = i };
	enum journal_list list = q.source == RESOLVER_FROM_BLOCK ? JOURNAL_BLOCKED : JOURNAL_NAMES;
	q.client = addr_v4(i);
	name_of(i, &q.name);
	journal_add(w.j, &q);
	w.kept[w.added++ % JOURNAL_QUESTIONS] = (uint16_t)i;
	w.counts[list][i]++;
	w.totals[list]++;
	w.counts[JOURNAL_CLIENTS][i]++;
	w.totals[JOURNAL_CLIENTS]++;
}

/* From `after` on, each in its order, and as what it came. */
static void read_on(uint64_t after)
{
	uint64_t number = after, n = w.added > JOURNAL_QUESTIONS ? w.added - JOURNAL_QUESTIONS : 0;
	n = after > n ? after : n;
	for (const struct journal_question *q; (q = journal_next(w.j, &number)); n++) {
		must(number == n + 1 && q->unix_ms == (int64_t)n);
		must(name_index(&q->name) == w.kept[n % JOURNAL_QUESTIONS]);
	}
	must(n >= w.added && (number == after || number == w.added));
}

/* Counts are too large by `over` at most, and who makes up more than one in JOURNAL_TOP_MAX is there. */
static void top_check(enum journal_list list, size_t cap)
{
	static struct journal_count top[JOURNAL_TOP_MAX];
	static bool seen[NAMES];
	size_t n = journal_top(w.j, list, top, cap);
	must(n <= cap);
	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < n; i++) {
		unsigned k = list == JOURNAL_CLIENTS ? (unsigned)addr_v4_get(&top[i].client)
						     : name_index(&top[i].name);
		must(k < NAMES && !seen[k] && (i == 0 || top[i].n <= top[i - 1].n));
		must(top[i].n >= w.counts[list][k] && top[i].n - top[i].over <= w.counts[list][k]);
		seen[k] = true;
	}
	for (size_t k = 0; cap == JOURNAL_TOP_MAX && !trouble_happened() && k < NAMES; k++)
		must(seen[k] || (uint64_t)w.counts[list][k] * JOURNAL_TOP_MAX <= w.totals[list]);
}

/* ---- what is told ---- */

static size_t lines_in(const struct buf *text)
{
	size_t n = 0;
	for (size_t i = 0; i < text->len; i++) {
		uint8_t c = buf_data(text)[i];
		must(c == '\n' || (c >= ' ' && c != 0x7f));
		n += c == '\n';
	}
	return n;
}

static void log_tell(uint64_t after, bool json)
{
	struct arena a = { 0 }, back = { 0 };
	struct api_dns_log m, read;
	struct buf wire = { 0 }, text = { 0 };
	struct errbuf eb;
	bool ok = report_api_log(&a, w.j, after, &m) && api_dns_log_write(&wire, &m);
	if (ok && api_dns_log_read(&back, (const char *)buf_data(&wire), wire.len, &read, &eb) == 0) {
		must(read.on && read.last == m.last && read.n_questions == m.n_questions);
		for (size_t i = 0; i < m.n_questions; i++) {
			const struct api_dns_question *x = &m.questions[i], *y = &read.questions[i];
			must(strcmp(x->name, y->name) == 0 && strcmp(x->client, y->client) == 0);
			must(strcmp(x->source, y->source) == 0 && x->type == y->type);
			report_text_question(&text, y, json);
		}
		must(trouble_happened() || lines_in(&text) == m.n_questions);
	} else {
		must(trouble_happened());
	}
	buf_free(&wire);
	buf_free(&text);
	arena_free(&a);
	arena_free(&back);
}

static void top_tell(void)
{
	struct arena a = { 0 }, back = { 0 };
	struct api_dns_top m, read;
	struct buf wire = { 0 }, text = { 0 };
	struct errbuf eb;
	bool ok = report_api_top(&a, w.j, &m) && api_dns_top_write(&wire, &m);
	if (ok && api_dns_top_read(&back, (const char *)buf_data(&wire), wire.len, &read, &eb) == 0) {
		must(read.n_names == m.n_names && read.n_blocked == m.n_blocked);
		must(read.n_clients == m.n_clients);
		report_text_top(&text, &read);
		size_t want = 2 + m.n_names + m.n_clients + (m.n_blocked ? 1 + m.n_blocked : 0);
		must(trouble_happened() || lines_in(&text) == want);
	} else {
		must(trouble_happened());
	}
	buf_free(&wire);
	buf_free(&text);
	arena_free(&a);
	arena_free(&back);
}

/* As many lines of lists as that. */
static void blocked_tell(unsigned how, unsigned total)
{
	struct arena a = { 0 };
	struct buf lines = { 0 }, text = { 0 };
	struct api_dns_blocked m;
	size_t before = 0;
	for (unsigned i = 0; i < total; i++)
		before += buf_printf(&lines, "blocked by the list ads, /x:%u: y\n", i);
	const struct blocker_why why = { .group = how & 1 ? "g" : "",
		.lines = how & 2 ? NULL : buf_cstr(&lines),
		.found = { .blocks = how & 4, .allows = how >> 3 & 1 } };
	if (report_api_blocked(&a, &why, &m)) {
		must(m.lines.n == before || trouble_happened());
		must(m.blocked == (why.found.blocks && !why.found.allows));
		report_text_blocked(&text, &m, "x.test", how & 16 ? "192.0.2.1" : NULL);
		must(trouble_happened() || lines_in(&text) == before + 1);
	} else {
		must(!why.lines || trouble_happened());
	}
	buf_free(&lines);
	buf_free(&text);
	arena_free(&a);
}

static void step(struct rd *r)
{
	unsigned op = rd_u8(r), what = rd_u8(r), source = op >> 3;
	switch (op & 7) {
	case 0: add(what, source); break;
	case 1:
		if (what < RARE && w.crowds++ < 2) /* more than there are counters; it takes long */
			for (unsigned i = 0; i < MANY; i++)
				add(i + what * 16, source);
		break;
	case 2: read_on(op & 8 ? w.added - what % (w.added + 1) : what); break;
	case 3: top_check(source % JOURNAL_LISTS, op & 0x80 ? what : JOURNAL_TOP_MAX); break;
	case 4: log_tell(op & 8 ? w.added - what % (w.added + 1) : what, op & 16); break;
	case 5: top_tell(); break;
	case 6: blocked_tell(op >> 3, what); break;
	case 7:
		for (unsigned i = 0; i < (what < RARE ? JOURNAL_QUESTIONS : what & 15); i++)
			add(what, source);
		break;
	}
}

static void journal_target(const uint8_t *data, size_t len)
{
	static const uint64_t seed[2] = { 1, 2 };
	struct rd r = rd_of(data, len);
	memset(&w, 0, sizeof(w));
	trouble_begin();
	w.j = journal_new(seed);
	must(w.j || trouble_happened());
	for (unsigned i = 0; w.j && i < STEPS_MAX && r.left && !r.bad; i++)
		step(&r);
	trouble_end();
	journal_free(w.j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(journal_target, data, len);
}
