#include "mesh/proto/shapes.h"

#include <string.h>

#define ROW(type, name, codec, field, arg) \
	{ \
		name, codec, offsetof(struct type, field), JSON_OMIT, 0, arg \
	}
#define MUST(type, name, codec, field) \
	{ \
		name, codec, offsetof(struct type, field), JSON_MUST, 0, NULL \
	}
static const struct json_row list_rows[] = {
	MUST(ctl_block_list, "Name", &json_str, name),
	ROW(ctl_block_list, "URL", &json_str, url, NULL),
	ROW(ctl_block_list, "Names", &json_strings, names, NULL),
	ROW(ctl_block_list, "Allow", &json_bool, allow, NULL),
	ROW(ctl_block_list, "When", &json_strings, when, NULL),
	{ 0 },
};
static const struct json_shape list_shape = { list_rows, sizeof(struct ctl_block_list), NULL };

static const struct json_row group_rows[] = {
	MUST(ctl_block_group, "Name", &json_str, name),
	ROW(ctl_block_group, "Clients", &json_strings, clients, NULL),
	ROW(ctl_block_group, "Lists", &json_strings, lists, NULL),
	{ 0 },
};
static const struct json_shape group_shape = { group_rows, sizeof(struct ctl_block_group), NULL };

static const struct json_row blocking_rows[] = {
	ROW(ctl_blocking, "Lists", &json_list, lists, &list_shape),
	ROW(ctl_blocking, "Groups", &json_list, groups, &group_shape),
	ROW(ctl_blocking, "Answer", &json_strings, answer, NULL),
	ROW(ctl_blocking, "TTL", &json_u64, ttl_s, NULL),
	ROW(ctl_blocking, "Refresh", &json_u64, refresh_ms, NULL),
	ROW(ctl_blocking, "Pause", &json_u64, pause_ms, NULL),
	{ 0 },
};
static const struct json_shape blocking_shape = { blocking_rows, sizeof(struct ctl_blocking), NULL };

/* Of a CapMap this alone; a capability has a list of values. */
struct caps {
	struct ctl_blocking *v;
	size_t n;
};
static const struct json_row caps_rows[] = {
	{ CTL_BLOCKING_CAP, &json_list, offsetof(struct caps, v), JSON_OMIT, 0, &blocking_shape },
	{ 0 },
};
static const struct json_shape caps_shape = { caps_rows, sizeof(struct caps), NULL };

int ctl_blocking_read(
	struct arena *a, const char *cap_map_json, const struct ctl_blocking **out, struct errbuf *eb)
{
	struct caps caps = { 0 };
	int err = cap_map_json ? json_read(a, cap_map_json, strlen(cap_map_json), &caps_shape, &caps, eb) : 0;
	if (!err)
		*out = caps.n ? caps.v : NULL;
	return err;
}

bool ctl_blocking_write(struct buf *out, const struct ctl_blocking *m)
{
	return json_write(out, &blocking_shape, m);
}
