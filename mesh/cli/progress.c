#include "mesh/cli/progress.h"
#include "mesh/base/text.h"
#include <inttypes.h>

enum { NAME_COLUMNS = 36, SIZE_TEXT = 32 };

/* Binary units, as disks and official clients count. */
static char *format_size(double n, const char *unit, char out[static SIZE_TEXT])
{
	static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti" };
	size_t i = 0;
	for (; n >= 1024 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		n /= 1024;
	snprintf(out, SIZE_TEXT, "%.2f%s%s", n, units[i], unit);
	return out;
}

static void paint(struct progress *p, uint64_t now_ms)
{
	char size[SIZE_TEXT], rate[SIZE_TEXT], rest[48] = "";
	double seconds = (double)(now_ms - p->begun_ms) / 1000;
	double speed = seconds > 0 ? (double)p->done / seconds : 0;
	if (p->total > 0) {
		double left = (double)p->total - (double)p->done;
		uint64_t eta = speed > 0 ? (uint64_t)(left / speed) : 0;
		snprintf(rest, sizeof(rest), "  %6.2f%%  ETA %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64,
			100 * (double)p->done / (double)p->total, eta / 3600, eta / 60 % 60, eta % 60);
	}
	int pad = NAME_COLUMNS - (int)text_width(p->name);
	fprintf(p->to, "\r\033[K%s%*s  %11s  %13s%s", p->name, pad > 0 ? pad : 0, "",
		format_size((double)p->done, "B", size), format_size(speed, "B/s", rate), rest);
	fflush(p->to);
	p->painted_ms = now_ms;
	p->shown = true;
}

void progress_begin(
	struct progress *p, FILE *to, const char *name, int64_t total, uint64_t every_ms, uint64_t now_ms)
{
	*p = (struct progress) { .to = every_ms ? to : NULL,
		.name = name,
		.total = total,
		.every_ms = every_ms,
		.begun_ms = now_ms,
		.painted_ms = now_ms };
}

void progress_at(struct progress *p, uint64_t done, uint64_t now_ms)
{
	p->done = done;
	if (p->to && now_ms - p->painted_ms >= p->every_ms)
		paint(p, now_ms);
}

void progress_end(struct progress *p, uint64_t now_ms)
{
	if (!p->to || !p->shown)
		return;
	paint(p, now_ms);
	fputc('\n', p->to);
	p->shown = false;
}
