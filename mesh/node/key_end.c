#include "mesh/node/key_end.h"
#include "mesh/base/err.h"
#include "mesh/base/text.h"
#include <stdio.h>
#include <stddef.h>

enum { DAY_MS = 24 * 3600000 };

unsigned key_end_stage(int64_t end_ms, int64_t now_ms)
{
	static const unsigned stages[] = { 1, 3, 14 };
	if (end_ms == INT64_MIN || end_ms <= now_ms)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(stages); i++)
		if (end_ms - now_ms <= (int64_t)stages[i] * DAY_MS)
			return stages[i];
	return 0;
}

char *key_end_text(int64_t end_ms, int64_t now_ms, char buf[static KEY_END_TEXT])
{
	char when[40], left[TEXT_COUNT];
	buf[0] = 0;
	if (!key_end_stage(end_ms, now_ms))
		return buf;
	snprintf(buf, KEY_END_TEXT, "The key of this machine ends in %s (%s). To renew it: ropewalk login",
		text_span((uint64_t)(end_ms - now_ms), left), text_time_format(end_ms / 1000 * 1000, when));
	return buf;
}
