#include "mesh/control/fleet/test/net.h"

#include <stdio.h>
#include <string.h>

void net_init(struct fleet *f)
{
	fleet_init(f, 1);
	fleet_user_put(f, &(struct user) { .id = 1, .name = "alice", .role = USER_OWNER });
	fleet_user_put(f, &(struct user) { .id = 2, .name = "bob" });
}

struct member *net_put(struct fleet *f, const struct member *draft)
{
	struct member *m = member_copy(draft);
	return m && fleet_put(f, m) ? m : NULL;
}

struct member *net_add(struct fleet *f, int64_t id, const char *name, int64_t user, const char *tag)
{
	char text[64];
	struct member d = { .id = id,
		.user = user,
		.role = fleet_role(f, user),
		.name = name,
		.hostname = name,
		.has_v4 = true,
		.has_v6 = true,
		.expiry_ms = FLEET_NO_TIME,
		.last_seen_ms = FLEET_NO_TIME };
	snprintf(text, sizeof(text), "100.64.0.%lld", (long long)id);
	(void)addr_parse(text, &d.v4);
	snprintf(text, sizeof(text), "fd7a:115c:a1e0::%llx", (long long)id);
	(void)addr_parse(text, &d.v6);
	memset(d.key.b, (int)id, KEY_LEN);
	memset(d.machine.b, (int)id + 100, KEY_LEN);
	if (tag)
		d.tags = (struct ctl_strings) { .v = &tag, .n = 1 };
	return net_put(f, &d);
}

void net_make(struct fleet *f)
{
	net_init(f);
	net_add(f, 1, "laptop", 1, NULL);
	net_add(f, 2, "phone", 1, NULL);
	net_add(f, 3, "bobs", 2, NULL);
	net_add(f, 4, "web", 1, "tag:web");
	net_add(f, 5, "db", 1, "tag:db");
}
