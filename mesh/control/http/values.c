#include "mesh/control/http/values.h"

#include "mesh/base/text.h"
#include <string.h>

json_t *value_time(int64_t ms)
{
	char text[40];
	return ms == FLEET_NO_TIME ? json_null() : json_string(text_time_format(ms, text));
}

json_t *value_addresses(const struct member *m)
{
	json_t *list = json_array();
	char text[ADDR_TEXT];
	if (m->has_v4)
		json_array_append_new(list, json_string(addr_format(&m->v4, text)));
	if (m->has_v6)
		json_array_append_new(list, json_string(addr_format(&m->v6, text)));
	return list;
}

json_t *value_strings(const struct ctl_strings *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(list, json_string(s->v[i]));
	return list;
}

json_t *value_prefixes(const struct ctl_prefixes *p)
{
	json_t *list = json_array();
	char text[PREFIX_TEXT];
	for (size_t i = 0; i < p->n; i++)
		json_array_append_new(list, json_string(prefix_format(&p->v[i], text)));
	return list;
}

json_t *value_key(const uint8_t key[static KEY_LEN], const char *prefix)
{
	char text[KEY_TEXT];
	return json_string_nocheck(key_format(key, prefix, text));
}

json_t *value_tags(const char *tags)
{
	json_t *list = json_array();
	for (size_t len; *tags; tags += len + (tags[len] == ',')) {
		len = strcspn(tags, ",");
		if (len)
			json_array_append_new(list, json_stringn(tags, len));
	}
	return list;
}
