#include "resolver/hosts.h"
#include "resolver/networkd.h"

#include "mesh/base/table.h"
#include "mesh/base/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 256, FIELDS_MAX = 16 };

struct piece {
	const char *s;
	size_t len;
};

/* The next line of *p, without its end; false: there is none. */
static bool line_next(struct piece *p, struct piece *line)
{
	if (!p->len)
		return false;
	const char *end = memchr(p->s, '\n', p->len);
	line->s = p->s;
	line->len = end ? (size_t)(end - p->s) : p->len;
	size_t used = line->len + (end != NULL);
	p->s += used;
	p->len -= used;
	while (line->len && line->s[line->len - 1] == '\r')
		line->len--;
	return true;
}

/* The next word of *line, up to a space, a tab or a comment. */
static bool word_next(struct piece *line, struct piece *word)
{
	while (line->len && (*line->s == ' ' || *line->s == '\t'))
		line->s++, line->len--;
	if (!line->len || *line->s == '#')
		return false;
	word->s = line->s;
	for (word->len = 0; word->len < line->len; word->len++)
		if (strchr(" \t#", word->s[word->len]) && word->s[word->len])
			break;
	line->s += word->len;
	line->len -= word->len;
	return true;
}

/* false: longer than anything that means something. */
static bool piece_text(const struct piece *p, char out[static WORD_MAX])
{
	if (p->len >= WORD_MAX || memchr(p->s, 0, p->len))
		return false;
	memcpy(out, p->s, p->len);
	out[p->len] = 0;
	return true;
}

static bool piece_addr(const struct piece *p, struct addr *out)
{
	char text[WORD_MAX];
	return piece_text(p, text) && addr_parse(text, out) && !addr_is_loopback(out) &&
	       !addr_is_unspecified(out) && !addr_is_multicast(out);
}

static bool piece_name(const struct piece *p, struct dns_name *out)
{
	char text[WORD_MAX];
	if (!p->len || !piece_text(p, text) || !dns_text_is_ascii(text) || strcmp(text, "*") == 0 ||
		!dns_name_parse(text, out) || out->len == 1)
		return false;
	dns_name_fold(out);
	return true;
}

int hosts_read(const char *text, size_t len, const struct hosts_ops *ops)
{
	struct piece rest = { text, len }, line, word;
	int err = 0;
	while (!err && line_next(&rest, &line)) {
		struct dns_name name;
		struct addr ip;
		bool own = true;
		if (!word_next(&line, &word) || !piece_addr(&word, &ip))
			continue;
		while (!err && word_next(&line, &word)) {
			if (!piece_name(&word, &name))
				continue;
			err = ops->entry(ops->arg, &ip, &name, own);
			own = false;
		}
	}
	return err;
}

/* ---- leases ---- */

struct lease {
	struct piece ip, name;
	int64_t until_s; /* Unix; 0: without an end, -1: unknown */
	bool over;
};

static int64_t piece_seconds(const struct piece *p)
{
	char text[WORD_MAX];
	uint64_t s;
	return piece_text(p, text) && text_u64(text, 0, INT64_MAX, &s) ? (int64_t)s : -1;
}

/* UNTIL MAC IP NAME ID; 0 = without an end. Other lines ("duid ...") are about other things. */
static bool dnsmasq_lease(struct piece line, struct lease *out)
{
	struct piece until, mac;
	*out = (struct lease) { 0 };
	if (!word_next(&line, &until) || !word_next(&line, &mac) || !word_next(&line, &out->ip) ||
		!word_next(&line, &out->name))
		return false;
	out->until_s = piece_seconds(&until);
	return true;
}

/* Which column of Kea's heading is which. */
struct columns {
	unsigned n, ip, name, until, state;
};

static unsigned fields_cut(struct piece line, struct piece *out)
{
	unsigned n = 0;
	while (n < FIELDS_MAX) {
		const char *end = memchr(line.s, ',', line.len);
		out[n].s = line.s;
		out[n++].len = end ? (size_t)(end - line.s) : line.len;
		if (!end)
			break;
		line.len -= (size_t)(end + 1 - line.s);
		line.s = end + 1;
	}
	return n;
}

static bool piece_is(const struct piece *p, const char *text)
{
	return p->len == strlen(text) && memcmp(p->s, text, p->len) == 0;
}

static bool kea_heading(struct piece line, struct columns *out)
{
	struct piece f[FIELDS_MAX];
	*out = (struct columns) {
		.ip = FIELDS_MAX, .name = FIELDS_MAX, .until = FIELDS_MAX, .state = FIELDS_MAX
	};
	out->n = fields_cut(line, f);
	for (unsigned i = 0; i < out->n; i++) {
		unsigned *to = piece_is(&f[i], "address")    ? &out->ip
			       : piece_is(&f[i], "hostname") ? &out->name
			       : piece_is(&f[i], "expire")   ? &out->until
			       : piece_is(&f[i], "state")    ? &out->state
							     : NULL;
		if (to)
			*to = i;
	}
	return out->ip < out->n && out->name < out->n && out->until < out->n && out->state < out->n;
}

static bool kea_lease(struct piece line, const struct columns *at, struct lease *out)
{
	struct piece f[FIELDS_MAX];
	*out = (struct lease) { 0 };
	if (fields_cut(line, f) < at->n)
		return false;
	out->ip = f[at->ip];
	out->name = f[at->name];
	out->until_s = piece_seconds(&f[at->until]);
	out->over = !piece_is(&f[at->state], "0");
	return true;
}

static int lease_give(const struct lease *l, int64_t now_s, const struct hosts_ops *ops)
{
	struct dns_name name;
	struct addr ip;
	bool holds = !l->over && (!l->until_s || l->until_s > now_s);
	return holds && piece_addr(&l->ip, &ip) && piece_name(&l->name, &name)
		       ? ops->entry(ops->arg, &ip, &name, true)
		       : 0;
}

/* The next lease of a file; false: that was the last. */
struct journal_form {
	bool (*next)(struct piece *rest, const struct columns *at, struct lease *out);
	struct columns at;
};

static bool kea_next(struct piece *rest, const struct columns *at, struct lease *out)
{
	struct piece line;
	while (line_next(rest, &line))
		if (kea_lease(line, at, out))
			return true;
	return false;
}

/* A value in quotes, or up to the semicolon. */
static struct piece isc_value(struct piece line)
{
	while (line.len && strchr(" \t\";", line.s[line.len - 1]))
		line.len--;
	while (line.len && strchr(" \t\"", *line.s))
		line.s++, line.len--;
	return line;
}

/* "4 2026/11/29 01:02:03" (UTC), "epoch 1700000000", "never": Unix seconds; 0: without an end, -1: none of these. */
static int64_t isc_time(const struct piece *p)
{
	char text[WORD_MAX], iso[32];
	unsigned weekday, year, month, day, hour, minute, second;
	int64_t ms;
	uint64_t s;
	if (!piece_text(p, text))
		return -1;
	if (strcmp(text, "never") == 0)
		return 0;
	if (sscanf(text, "epoch %20[0-9]", iso) == 1)
		return text_u64(iso, 1, INT64_MAX, &s) ? (int64_t)s : -1;
	if (sscanf(text, "%1u %4u/%2u/%2u %2u:%2u:%2u", &weekday, &year, &month, &day, &hour, &minute,
		    &second) != 7)
		return -1;
	snprintf(iso, sizeof(iso), "%04u-%02u-%02uT%02u:%02u:%02uZ", year, month, day, hour, minute, second);
	return text_time_ms(iso, &ms) ? ms / 1000 : -1;
}

static bool line_begins(struct piece line, const char *words, struct piece *rest)
{
	size_t n = strlen(words);
	while (line.len && strchr(" \t", *line.s))
		line.s++, line.len--;
	if (line.len < n || memcmp(line.s, words, n) != 0)
		return false;
	*rest = (struct piece) { line.s + n, line.len - n };
	return true;
}

static bool isc_next(struct piece *rest, const struct columns *at, struct lease *out)
{
	struct piece line, value;
	bool inside = false;
	(void)at;
	while (line_next(rest, &line)) {
		if (!inside) {
			inside = line_begins(line, "lease ", &value);
			*out = (struct lease) { .over = true, .until_s = -1 };
			if (inside && !word_next(&value, &out->ip))
				inside = false;
		} else if (line_begins(line, "}", &value)) {
			return true;
		} else if (line_begins(line, "ends ", &value)) {
			value = isc_value(value);
			out->until_s = isc_time(&value);
		} else if (line_begins(line, "binding state ", &value)) {
			value = isc_value(value);
			out->over = !piece_is(&value, "active");
		} else if (line_begins(line, "client-hostname ", &value)) {
			out->name = isc_value(value);
		}
	}
	return false;
}

/* Both files are journals: which lease of each address is the last, by a first walk; entries in a second one. */
static int journal_walk(
	struct piece rest, const struct journal_form *form, int64_t now_s, const struct hosts_ops *ops)
{
	struct table last; /* address -> where its lease says it */
	struct piece walk = rest;
	struct lease l;
	struct addr ip;
	int err = 0;
	table_init(&last, sizeof(ip), 0);
	while (!err && form->next(&walk, &form->at, &l))
		if (piece_addr(&l.ip, &ip) && !table_put(&last, &ip, (void *)(uintptr_t)l.ip.s))
			err = -ENOMEM;
	while (!err && form->next(&rest, &form->at, &l))
		if (piece_addr(&l.ip, &ip) && table_get(&last, &ip) == l.ip.s)
			err = lease_give(&l, now_s, ops);
	table_fini(&last);
	return err;
}

/* ISC's file says what it is in comments, and in its first lease. */
static bool is_isc(struct piece rest)
{
	struct piece line, value;
	while (line_next(&rest, &line)) {
		if (line_begins(line, "lease ", &value))
			return value.len && value.s[value.len - 1] == '{';
		if (line.len && *line.s != '#' && !memchr(line.s, ';', line.len))
			return false;
	}
	return false;
}

int leases_read(const char *text, size_t len, int64_t now_s, const struct hosts_ops *ops)
{
	struct piece rest = { text, len }, line, after = rest;
	struct journal_form kea = { .next = kea_next }, isc = { .next = isc_next };
	struct lease l;
	int err = 0;
	if (networkd_is(text, len))
		return networkd_read(text, len, now_s, ops);
	if (line_next(&after, &line) && kea_heading(line, &kea.at))
		return journal_walk(after, &kea, now_s, ops);
	if (is_isc(rest))
		return journal_walk(rest, &isc, now_s, ops);
	while (!err && line_next(&rest, &line))
		if (dnsmasq_lease(line, &l))
			err = lease_give(&l, now_s, ops);
	return err;
}
