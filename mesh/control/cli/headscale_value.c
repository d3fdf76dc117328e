#include "mesh/control/cli/headscale.h"

#include "mesh/base/buf.h"
#include "mesh/base/text.h"
#include "mesh/os/file.h"
#include "mesh/os/loop.h"
#include <errno.h>
#include <string.h>

enum { FILE_BYTES_MAX = 4 * 1024 * 1024 };

json_t *headscale_time(const char *text)
{
	char out[40];
	int64_t ms;
	uint64_t life;
	if (text_time_ms(text, &ms))
		return json_string(text);
	if (!text_duration_ms(text, &life))
		return NULL;
	return json_string(text_time_format(clock_unix_ms() + (int64_t)life, out));
}

json_t *headscale_list(const char *text)
{
	json_t *list = json_array();
	for (size_t len; *text; text += len + (text[len] == ',')) {
		len = strcspn(text, ",");
		if (len)
			json_array_append_new(list, json_stringn(text, len));
	}
	return list;
}

json_t *headscale_file(const char *path, struct errbuf *eb)
{
	struct buf text = { 0 };
	json_t *v = NULL;
	if (!file_read(path, FILE_BYTES_MAX, &text, eb)) {
		v = json_stringn((const char *)buf_data(&text), text.len);
		if (!v)
			err_say(eb, -EINVAL, "%s is no text", path);
	}
	buf_free(&text);
	return v;
}
