#include "mesh/node/host/hostinfo.h"
#include <sys/utsname.h>

static void describe_network(struct node *n, struct arena *a, struct ctl_netinfo *out)
{
	struct path_report r;
	path_report(n->engine.path, &r);
	*out = (struct ctl_netinfo) { .mapping_varies = r.mapping_varies,
		.preferred_derp = path_home(n->engine.path),
		.link_type = "",
		.working_udp = r.done ? (r.udp ? OPT_TRUE : OPT_FALSE) : OPT_ABSENT,
		.working_ipv6 = r.done ? (r.ipv6 ? OPT_TRUE : OPT_FALSE) : OPT_ABSENT };
	out->latency = arena_array(a, r.n_regions, sizeof(*out->latency));
	for (size_t i = 0; out->latency && i < r.n_regions; i++) {
		if (r.regions[i].latency_ms < 0)
			continue;
		out->latency[out->n_latency++] =
			(struct ctl_latency) { .key = arena_printf(a, "%d-v4", r.regions[i].id),
				.seconds = r.regions[i].latency_ms / 1000 };
	}
}

void hostinfo_describe(struct node *n, struct arena *a, struct ctl_hostinfo *out)
{
	struct utsname u;
	*out = (struct ctl_hostinfo) { .ipn_version = RW_VERSION "-ropewalk",
		.backend_log_id = "",
		.os = "linux",
		.os_version = "",
		.hostname = "",
		.machine = "",
		.go_arch = "" };
	if (uname(&u) == 0) {
		out->os_version = arena_strdup(a, u.release);
		out->machine = arena_strdup(a, u.machine);
		out->hostname = arena_strdup(a, u.nodename);
	}
	if (n->state.prefs.hostname[0])
		out->hostname = n->state.prefs.hostname;
	if (n->engine.path) {
		out->has_netinfo = true;
		describe_network(n, a, &out->netinfo);
	}
}
