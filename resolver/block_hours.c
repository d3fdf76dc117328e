#include "resolver/block_hours.h"

#include "mesh/base/err.h"
#include <string.h>
#include <strings.h>

enum { DAYS = 7, ALL_DAYS = (1 << DAYS) - 1 };

/* "mon", in any case, at *s; moves it past. -1: no day. */
static int day_take(const char **s)
{
	static const char *const names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };
	for (int i = 0; i < DAYS; i++)
		if (strncasecmp(*s, names[i], 3) == 0) {
			*s += 3;
			return i;
		}
	return -1;
}

/* "mon", "mon-fri", and several of them with commas between. */
static bool days_take(const char **s, uint8_t *out)
{
	for (*out = 0;;) {
		int day = day_take(s), last = day;
		if (day >= 0 && **s == '-') {
			++*s;
			last = day_take(s);
		}
		if (day < 0 || last < 0)
			return false;
		for (;; day = (day + 1) % DAYS) { /* sat-mon too */
			*out |= (uint8_t)(1 << day);
			if (day == last)
				break;
		}
		if (**s != ',')
			return true;
		++*s;
	}
}

static int digits_take(const char **s)
{
	const char *p = *s;
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	*s += 2;
	return (p[0] - '0') * 10 + p[1] - '0';
}

/* "08:30" */
static bool time_take(const char **s, uint16_t *out)
{
	int hours = digits_take(s);
	if (hours < 0 || **s != ':')
		return false;
	++*s;
	int minutes = digits_take(s);
	if (minutes < 0 || minutes > 59 || hours * 60 + minutes > HOURS_DAY_MIN)
		return false;
	*out = (uint16_t)(hours * 60 + minutes);
	return true;
}

bool block_hours_parse(const char *text, struct block_hours *out)
{
	struct block_hours h = { .days = ALL_DAYS };
	const char *s = text;
	if (*s < '0' || *s > '9') {
		if (!days_take(&s, &h.days) || *s != ' ')
			return false;
		s += strspn(s, " ");
	}
	if (!time_take(&s, &h.from) || *s != '-')
		return false;
	s++;
	if (!time_take(&s, &h.end) || *s || h.from == h.end)
		return false;
	*out = h;
	return true;
}

bool block_hours_hold(const struct block_hours *h, unsigned day, unsigned minute)
{
	bool today = h->days >> day & 1, yesterday = h->days >> (day + DAYS - 1) % DAYS & 1;
	if (h->from < h->end)
		return today && minute >= h->from && minute < h->end;
	return (today && minute >= h->from) || (yesterday && minute < h->end);
}
