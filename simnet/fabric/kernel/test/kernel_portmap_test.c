/* The self-test of routers that map ports, on both engines: it passes what the file says, and nothing else. */
#include "simnet/fabric/kernel/test/kernel_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What the file says of it is another than what is there. */
struct wrong_portmap {
	const struct engine_ops *engine;
	const char *begins_with, *then, *says;
	bool ipv6;
};

static int wrong_portmap(void *arg)
{
	const struct wrong_portmap *w = arg;
	struct lab l = { .s = { .ipv6 = w->ipv6 } };
	struct scn_router *r = add_router(&l, "home", -1);
	r->portmap = w->begins_with;
	add_node(&l, "alice", 0);
	if (start_on(&l, w->engine))
		return 1;
	CHECK(self_test_on(&l, w->engine) == 0, "condemned as it was: %s", l.eb.text);
	r->portmap = w->then;
	CHECK(is_condemned_by(&l, w->engine) && strstr(l.eb.text, w->says), "%s", l.eb.text);
	stop(&l);
	return 0;
}

/* The service has the outer address that the router has now. */
static int portmap_follows(void *arg)
{
	const struct engine_ops *engine = *(const struct engine_ops *const *)arg;
	struct lab l = { 0 };
	struct scn_router *r = add_router(&l, "home", -1);
	r->portmap = "";
	add_node(&l, "alice", 0);
	if (start_on(&l, engine))
		return 1;
	struct scn_plug outer = { -1, 0, 0 };
	struct scn_iface f = topology_iface(&l.s, 0, outer);
	f.ip = addr_v4(0xcb007177);
	CHECK(engine->plug(l.e, outer, &f, &l.eb) == 0, "%s", l.eb.text);
	CHECK(self_test_on(&l, engine) == 0, "it has not followed its address: %s", l.eb.text);
	stop(&l);
	return 0;
}

static int portmap_leads_nowhere(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	add_router(&l, "home", -1)->portmap = "";
	add_node(&l, "alice", 0);
	if (start(&l))
		return 1;
	CHECK(run_on(&l, hosts_find(l.h, "home"),
		      "nft 'table ip lost { chain in { type filter hook prerouting priority -400; "
		      "iifname \"wan\" udp dport 21900 drop; }; }'") == 0,
		"no rule");
	CHECK(is_condemned(&l) && strstr(l.eb.text, "a port that it has given leads nowhere"), "%s",
		l.eb.text);
	stop(&l);
	return 0;
}

/* The firewall is as it was before the first pinhole was opened, whichever of the two opens it. */
static int pinhole_leads_nowhere(void *arg)
{
	struct lab l = { .s = { .ipv6 = true } };
	add_router(&l, "home", -1)->portmap = arg;
	add_node(&l, "alice", 0);
	if (start(&l))
		return 1;
	CHECK(self_test(&l) == 0, "condemned as it was: %s", l.eb.text);
	CHECK(run_on(&l, hosts_find(l.h, "home"),
		      "nft delete rule ip6 simnet inside handle $(nft -a list chain ip6 simnet inside | "
		      "sed -n 's/.*jump pinholes.*handle //p')") == 0,
		"no rule");
	CHECK(is_condemned(&l) &&
			strstr(l.eb.text, "its IPv6 firewall does not let in what it was opened for"),
		"%s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_portmap(void **state)
{
	static const struct engine_ops *const engines[] = { &engine_kernel, &engine_user };
	char by_pcp[] = "", by_upnp[] = "no-pcp";
	(void)state;
	in_sandbox(portmap_leads_nowhere, NULL);
	in_sandbox(pinhole_leads_nowhere, by_pcp);
	in_sandbox(pinhole_leads_nowhere, by_upnp);
	for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
		struct wrong_portmap rows[] = {
			{ engines[i], "no-pcp", "refuse",
				"it gives ports, and its `portmap` says that it refuses", false },
			{ engines[i], "refuse", "", "it refuses to map a port", false },
			{ engines[i], "no-pmp,no-pcp", "no-pmp,no-pcp,conflict",
				"it gives ports, and its `portmap` says that it refuses", false },
			{ engines[i], "no-pmp,no-pcp,conflict", "no-pmp,no-pcp", "it refuses to map a port",
				false },
			{ engines[i], "no-pcp,v1", "no-pcp", "it refuses to open its IPv6 firewall", true },
			{ engines[i], "no-pcp,no-upnp", "no-upnp",
				"nobody answers who asks it to open its IPv6 firewall", true },
		};
		for (size_t k = 0; k < ARRAY_LEN(rows); k++)
			in_sandbox(wrong_portmap, &rows[k]);
		in_sandbox(portmap_follows, (void *)(uintptr_t)&engines[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_portmap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
