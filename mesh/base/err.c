#include "mesh/base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_text(int code)
{
#define X(name, text) \
	if (code == ERR_##name) \
		return text;
	ERR_LIST(X)
#undef X
	/* Not strerror's, whose text of a code that it does not know goes with its next. */
	const char *text = strerrordesc_np(code < 0 ? -code : code);
	return text ? text : "unknown error";
}

static int say(struct errbuf *eb, int code, bool with_text, const char *fmt, va_list ap)
{
	if (!eb)
		return code;
	/* The sentence may quote what eb holds: format beside it. */
	char text[sizeof(eb->text)];
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	size_t at = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	if (with_text)
		snprintf(text + at, sizeof(text) - at, ": %s", err_text(code));
	memcpy(eb->text, text, sizeof(text));
	eb->code = code;
	return code;
}

int err_set(struct errbuf *eb, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(eb, code, true, fmt, ap);
	va_end(ap);
	return code;
}

int err_say(struct errbuf *eb, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(eb, code, false, fmt, ap);
	va_end(ap);
	return code;
}
