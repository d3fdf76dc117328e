#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
	enum log_level level;
	bool json, journal;
	void (*each)(void *arg, enum log_level level, const char *text);
	void *arg;
} cfg = { .level = LOG_INFO };

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"
};

/* The journal reads these numbers of syslog(3). */
static const int priorities[] = { [LOG_ERROR] = 3, [LOG_WARN] = 4, [LOG_INFO] = 6, [LOG_DEBUG] = 7 };

/* JOURNAL_STREAM names the file that standard error was, and may be no more: it may have been redirected
 * since. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

void log_setup(enum log_level level, bool json)
{
	cfg.level = level;
	cfg.json = json;
	cfg.journal = is_journal();
}

bool log_level_parse(const char *text, enum log_level *out)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_tell(void (*each)(void *arg, enum log_level level, const char *text), void *arg)
{
	cfg.each = each;
	cfg.arg = arg;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

bool log_wanted(enum log_level level)
{
	return level <= cfg.level;
}

static size_t escape_json(const char *s, char *out, size_t cap)
{
	size_t n = 0;
	for (; *s && n + 7 < cap; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\') {
			out[n++] = '\\';
			out[n++] = (char)c;
		} else if (c < 0x20) {
			n += (size_t)snprintf(out + n, cap - n, "\\u%04x", c);
		} else {
			out[n++] = (char)c;
		}
	}
	out[n] = 0;
	return n;
}

/* What stands before the words: a priority, or the time. */
static void format_head(enum log_level level, char *out, size_t cap)
{
	char when[32];
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (cfg.journal)
		snprintf(out, cap, cfg.json ? "<%d>{" : "<%d>", priorities[level]);
	else
		snprintf(out, cap, cfg.json ? "{\"time\":\"%s.%03ldZ\"," : "%s.%03ldZ ", when,
			ts.tv_nsec / 1000000);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	if (!log_wanted(level))
		return;
	char text[1024], head[64], quoted[2048], line[2304];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_clean(text); /* names and reasons are strangers' words: none begins a line or moves a cursor */
	format_head(level, head, sizeof(head));
	int n;
	if (cfg.json) {
		escape_json(text, quoted, sizeof(quoted));
		n = snprintf(line, sizeof(line), "%s\"level\":\"%s\",\"msg\":\"%s\"}\n", head,
			level_names[level], quoted);
	} else {
		n = cfg.journal ? snprintf(line, sizeof(line), "%s%s\n", head, text)
				: snprintf(line, sizeof(line), "%s%-5s %s\n", head, level_names[level], text);
	}
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
	/* One write a line, so that programs sharing a log file do not mix theirs. */
	if (write(STDERR_FILENO, line, len) < 0 && !cfg.each)
		return;
	if (cfg.each)
		cfg.each(cfg.arg, level, text);
}

bool log_allowed(struct log_limit *l, uint32_t burst, uint64_t now_ms)
{
	if (now_ms - l->window_ms >= 1000) {
		l->window_ms = now_ms;
		l->seen = 0;
	}
	if (l->seen < burst) {
		l->seen++;
		return true;
	}
	l->suppressed++;
	return false;
}
