/* Process-wide log to stderr, text or JSON lines. Never give it a secret; short keys only (key.h). Where
 * standard error is the systemd journal (JOURNAL_STREAM), lines begin with the priority as it takes it,
 * "<6>", and have no time: it has its own. */
#ifndef RW_BASE_LOG_H
#define RW_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_setup(enum log_level level, bool json);
/* "error" "warn" "info" "debug" to *out; false when it is none of them. */
bool log_level_parse(const char *text, enum log_level *out);
bool log_wanted(enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) (log_wanted(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)

/* each is told of every line that is written, on the thread that writes it: it takes little time, and logs nothing. NULL:
 * nobody is. Before another thread writes, or when none does. */
void log_tell(void (*each)(void *arg, enum log_level level, const char *text), void *arg);
const char *log_level_name(enum log_level level);

/* For lines a stranger can cause: at most `burst` lines in a second, the rest counted. */
struct log_limit {
	uint64_t window_ms;
	uint32_t seen, suppressed;
};
bool log_allowed(struct log_limit *l, uint32_t burst, uint64_t now_ms);

#endif
