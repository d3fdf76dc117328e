#include "mesh/node/host/hostinfo.h"
#include <sys/utsname.h>

void hostinfo_describe(struct arena *a, const char *hostname, struct ctl_hostinfo *out)
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
	if (hostname[0])
		out->hostname = hostname;
}
