#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/rows.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rows_text_at(const json_t *v, const char *path, char out[static 256])
{
	char word[64];
	for (size_t len; v && *path; path += len + (path[len] == '.')) {
		len = strcspn(path, ".");
		snprintf(word, sizeof(word), "%.*s", (int)len, path);
		v = json_is_array(v) ? json_array_get(v, (size_t)atoi(word)) : json_object_get(v, word);
	}
	char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	snprintf(out, 256, "%s", json_is_string(v) ? json_string_value(v) : text ? text : "nothing");
	free(text);
}

void rows_run(struct world *w, const char *key, const struct row *rows, size_t n)
{
	char got[256];
	for (size_t i = 0; i < n; i++) {
		json_t *v = world_ask(w, key, rows[i].method, rows[i].target, rows[i].body);
		rows_text_at(v, rows[i].at, got);
		bool any =
			!strcmp(rows[i].want, "*") && strcmp(got, "nothing") != 0 && strcmp(got, "null") != 0;
		if (w->status != rows[i].status || (!any && strcmp(got, rows[i].want) != 0))
			fail_msg("%s %s: %d, %s is %s in %s", rows[i].method, rows[i].target, w->status,
				rows[i].at, got, w->answer);
		json_decref(v);
	}
}
