#include "mesh/os/test/own_lo.h"
#include "mesh/os/netlink.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

void own_lo(const char *const *local, size_t n)
{
	struct errbuf eb = { 0 };
	struct prefix a;
	struct nl *nl = nl_open(&eb);
	if (!nl)
		fail_msg("%s", eb.text);
	int lo = nl_link_index(nl, "lo");
	if (nl_link_up(nl, lo, true, &eb) != 0)
		fail_msg("%s", eb.text);
	for (size_t i = 0; i < n; i++) {
		assert_true(prefix_parse(local[i], &a));
		if (nl_addr_add(nl, lo, &a, &eb) != 0)
			fail_msg("%s: %s", local[i], eb.text);
	}
	nl_close(nl);
}
