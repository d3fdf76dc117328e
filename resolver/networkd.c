#include "resolver/networkd.h"

#include "mesh/proto/json.h"
#include <string.h>

enum { USEC = 1000000 };

bool networkd_is(const char *text, size_t len)
{
	while (len && strchr(" \t\r\n", *text) && *text)
		text++, len--;
	return len && *text == '{';
}

/* [192, 168, 1, 5] */
static bool address_of(const json_t *v, struct addr *out)
{
	uint8_t b[4];
	if (json_array_size(v) != sizeof(b))
		return false;
	for (size_t i = 0; i < sizeof(b); i++) {
		const json_t *n = json_array_get(v, i);
		json_int_t x = json_integer_value(n);
		if (!json_is_integer(n) || x < 0 || x > 255)
			return false;
		b[i] = (uint8_t)x;
	}
	*out = addr_v4_bytes(b);
	return !addr_is_loopback(out) && !addr_is_unspecified(out) && !addr_is_multicast(out);
}

static bool name_of(const json_t *v, struct dns_name *out)
{
	const char *s = json_string_value(v);
	if (!s || !*s || !dns_text_is_ascii(s) || strcmp(s, "*") == 0 || !dns_name_parse(s, out) ||
		out->len == 1)
		return false;
	dns_name_fold(out);
	return true;
}

int networkd_read(const char *text, size_t len, int64_t now_s, const struct hosts_ops *ops)
{
	json_t *all = json_open(text, len, &json_of_own_daemon, NULL);
	const json_t *leases = json_object_get(all, "Leases"), *l;
	size_t i;
	int err = 0;
	json_array_foreach(leases, i, l)
	{
		const json_t *until = json_object_get(l, "ExpirationRealtimeUSec");
		struct dns_name name;
		struct addr ip;
		if (!err && json_integer_value(until) / USEC > now_s &&
			address_of(json_object_get(l, "Address"), &ip) &&
			name_of(json_object_get(l, "Hostname"), &name))
			err = ops->entry(ops->arg, &ip, &name, true);
	}
	json_decref(all);
	return err;
}
