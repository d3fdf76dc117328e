#include "mesh/base/text.h"
#include "mesh/base/err.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

bool text_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	if (!*s)
		return false;
	for (; *s; s++) {
		uint64_t d = (uint64_t)(*s - '0');
		if (*s < '0' || *s > '9' || v > (UINT64_MAX - d) / 10)
			return false;
		v = v * 10 + d;
	}
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool text_duration_ms(const char *s, uint64_t *out_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
		{ "w", UINT64_C(604800000) }, { "y", UINT64_C(31536000000) } };
	uint64_t total = 0;
	if (!*s)
		return false;
	while (*s) {
		uint64_t v = 0;
		const char *digits = s;
		for (; *s >= '0' && *s <= '9'; s++) {
			if (v > UINT32_MAX)
				return false;
			v = v * 10 + (uint64_t)(*s - '0');
		}
		if (s == digits)
			return false;
		size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz"), i;
		for (i = 0; i < ARRAY_LEN(units); i++) {
			if (strlen(units[i].unit) == n && strncmp(units[i].unit, s, n) == 0)
				break;
		}
		if (i == ARRAY_LEN(units) || __builtin_mul_overflow(v, units[i].ms, &v) ||
			__builtin_add_overflow(total, v, &total))
			return false;
		s += n;
	}
	if (total > TEXT_DURATION_MAX_MS)
		return false;
	*out_ms = total;
	return true;
}

bool text_time_ms(const char *s, int64_t *out_ms)
{
	struct tm tm = { 0 };
	int year, month, n = 0;
	if (sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &year, &month, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
		    &tm.tm_sec, &n) != 6)
		return false;
	if (month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
		tm.tm_min > 59 || tm.tm_sec > 60 || year < 0 || tm.tm_hour < 0 || tm.tm_min < 0 ||
		tm.tm_sec < 0)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	int64_t ms = 0, scale = 100;
	s += n;
	if (*s == '.') {
		for (s++; *s >= '0' && *s <= '9'; s++, scale /= 10)
			ms += (*s - '0') * scale;
	}
	int64_t offset = 0;
	int oh, om;
	char sign[2];
	if ((*s == 'Z' || *s == 'z') && !s[1])
		offset = 0;
	else if (sscanf(s, "%1[+-]%2d:%2d%n", sign, &oh, &om, &n) == 3 && !s[n])
		offset = (sign[0] == '-' ? -1 : 1) * (oh * 60 + om) * 60;
	else
		return false;
	*out_ms = ((int64_t)timegm(&tm) - offset) * 1000 + ms;
	return true;
}

/* Of years that four digits hold; to many readers the first says that there is none. */
#define TIME_FIRST_MS INT64_C(-62135596800000) /* 0001-01-01T00:00:00Z */
#define TIME_LAST_MS INT64_C(253402300799999)  /* 9999-12-31T23:59:59.999Z */

char *text_count(uint64_t n, const char *unit, char buf[static TEXT_COUNT])
{
	snprintf(buf, TEXT_COUNT, "%" PRIu64 " %s%s", n, unit, n == 1 ? "" : "s");
	return buf;
}

char *text_span(uint64_t ms, char buf[static TEXT_COUNT])
{
	static const struct {
		const char *name;
		uint64_t ms;
	} spans[] = { { "day", 86400000 }, { "hour", 3600000 }, { "minute", 60000 }, { "second", 1000 } };
	size_t i = 0;
	while (i + 1 < ARRAY_LEN(spans) && ms < spans[i].ms)
		i++;
	return text_count(ms / spans[i].ms, spans[i].name, buf);
}

char *text_time_format(int64_t unix_ms, char *buf)
{
	unix_ms = unix_ms < TIME_FIRST_MS  ? TIME_FIRST_MS + 1
		  : unix_ms > TIME_LAST_MS ? TIME_LAST_MS
					   : unix_ms;
	int64_t ms = ((unix_ms % 1000) + 1000) % 1000;
	time_t t = (time_t)((unix_ms - ms) / 1000);
	struct tm tm;
	gmtime_r(&t, &tm);
	int n = snprintf(buf, 40, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
		tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	snprintf(buf + n, (size_t)(40 - n), ms ? ".%03dZ" : "Z", (int)ms);
	return buf;
}

enum { WORD_MAX = 63 };

static unsigned distance(const char *a, const char *b)
{
	size_t n = strlen(b);
	unsigned row[WORD_MAX + 1];
	if (n > WORD_MAX || strlen(a) > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n; j++) {
			unsigned best = diagonal + (tolower((unsigned char)a[i - 1]) !=
							   tolower((unsigned char)b[j - 1]));
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

/* The one of names that begins with word, which was cut short; NULL: none, or several. */
static const char *only_longer(const char *word, const char *const *names)
{
	enum { LEAST = 3 };
	const char *found = NULL;
	size_t n = strlen(word);
	for (; n >= LEAST && *names; names++) {
		if (strncasecmp(*names, word, n) != 0)
			continue;
		if (found)
			return NULL;
		found = *names;
	}
	return found;
}

const char *text_nearest(const char *word, const char *const *names)
{
	const char *best = only_longer(word, names);
	if (best)
		return best;
	unsigned best_d = (unsigned)strlen(word) / 3 + 2;
	for (; *names; names++) {
		unsigned d = distance(word, *names);
		if (d < best_d) {
			best_d = d;
			best = *names;
		}
	}
	return best;
}

bool text_lower(const char *s, char *out, size_t cap)
{
	size_t n = strlen(s);
	if (n >= cap)
		return false;
	for (size_t i = 0; i <= n; i++)
		out[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + 32 : s[i]);
	return true;
}

/* RFC 3629 4. */
size_t text_utf8(const uint8_t *s, size_t left, uint32_t *out)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} rows[] = { { 0x80, 0, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };
	for (size_t n = 0; n < ARRAY_LEN(rows) && n < left; n++) {
		if ((s[0] & rows[n].mask) != rows[n].lead)
			continue;
		uint32_t v = s[0] & (unsigned char)~rows[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			v = v << 6 | (s[i] & 0x3f);
		}
		*out = v;
		return v < rows[n].least || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ? 0 : n + 1;
	}
	return 0;
}

/* C0, DEL and C1; marks, embeddings, overrides and isolates of direction; line and paragraph separators. */
bool text_is_harmful(uint32_t v)
{
	static const struct {
		uint32_t first, last;
	} rows[] = { { 0, 0x1f }, { 0x7f, 0x9f }, { 0x61c, 0x61c }, { 0x200e, 0x200f }, { 0x2028, 0x202e },
		{ 0x2066, 0x2069 }, { 0xfeff, 0xfeff } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (v >= rows[i].first && v <= rows[i].last)
			return true;
	return false;
}

void text_clean(char *s)
{
	char *to = s;
	const uint8_t *end = (const uint8_t *)s + strlen(s);
	for (const uint8_t *p = (const uint8_t *)s; p < end;) {
		uint32_t v = 0;
		size_t n = text_utf8(p, (size_t)(end - p), &v);
		bool stays = n && !text_is_harmful(v);
		if (stays)
			memmove(to, p, n);
		else
			*to = '?';
		to += stays ? n : 1;
		p += n ? n : 1;
	}
	*to = 0;
}

size_t text_width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

void text_numbered(const char *name, unsigned number, char *out, size_t cap)
{
	char tail[32];
	const char *dot = strrchr(name, '.');
	size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name), len = strlen(name);
	const char *end = len - stem <= cap / 4 ? name + stem : "";
	int n = snprintf(tail, sizeof(tail), " (%u)", number);
	size_t rest = (size_t)n + strlen(end) + 1, most = cap > rest ? cap - rest : 0;
	if (stem > most)
		stem = most;
	while (stem && stem < len && ((unsigned char)name[stem] & 0xc0) == 0x80)
		stem--;
	snprintf(out, cap, "%.*s%s%s", (int)stem, name, tail, end);
}
