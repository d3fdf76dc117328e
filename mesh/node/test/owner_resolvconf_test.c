/* The node's names on a machine of Debian's resolvconf, the real one: resolv.conf is a link to the file that it makes
 * of what each interface says. */
#include "mesh/node/test/owner_place.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define SAYS(ip) \
	"printf 'nameserver " ip "\\nsearch lan.example\\n' | resolvconf -a eth0.inet 2>/run/resolvconf.log"
#define AS_BEFORE \
	"test \"$(readlink /etc/resolv.conf)\" = /run/resolvconf/resolv.conf && ! ls /etc/resolv.conf.* " \
	"2>/dev/null"

static struct place place;

static int setup(void **state)
{
	struct place *p = &place;
	place_open(p);
	machine_run(p->n.loop,
		"rm -rf /run/resolvconf /etc/resolv.conf*; mkdir -p /run/resolvconf/interface; "
		": >/run/resolvconf/enable-updates; ln -s /run/resolvconf/resolv.conf "
		"/etc/resolv.conf; " SAYS("192.0.2.53"));
	machine_run(p->n.loop, IS("www.example", "192.0.2.99"));
	place_names(p);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	place_close(*state);
	return 0;
}

static void test_follows(void **state)
{
	struct place *p = *state;
	place_map(p, MAP(""));
	place_expect(p, DNS_OWNER_RESOLVCONF, "a link to resolvconf's file");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	machine_run(p->n.loop, IS("www.example", "192.0.2.99"));
	machine_run(p->n.loop, SAYS("192.0.2.54"));
	machine_await(p->n.loop, IS("mail.example", "192.0.2.98"));
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	machine_run(p->n.loop, "grep -q '^search mesh.test lan.example' /etc/resolv.conf");
	place_off(p);
	machine_run(p->n.loop, AS_BEFORE " && grep -q 'nameserver 192.0.2.54' /etc/resolv.conf");
	machine_run(p->n.loop, SAYS("192.0.2.53"));
	machine_run(p->n.loop, IS("www.example", "192.0.2.99"));
}

/* A process that was killed: without a turn of the loop, as it sees nothing of it. C1 */
static void test_crash(void **state)
{
	struct place *p = *state;
	place_map(p, MAP(""));
	machine_run(p->n.loop, SAYS("192.0.2.54"));
	place_recover(p);
	assert_int_equal(system(AS_BEFORE " && grep -q 'nameserver 192.0.2.54' /etc/resolv.conf"), 0);
}

/* Behind a portal the network's nameserver is out of reach: the names by which a portal is found, and those alone, are
 * asked of the place, and only then. C37 */
static void test_portal(void **state)
{
	struct place *p = *state;
	place_map(p, MAP(GLOBAL));
	int before = machine_asked(p->own);
	machine_run(p->n.loop, IS("detectportal.firefox.com", "192.0.2.98"));
	machine_run(p->n.loop, IS("www.example", "192.0.2.98"));
	assert_int_equal(machine_asked(p->own), before);
	place_silence(p);
	machine_await(p->n.loop, IS("captive.apple.com", "192.0.2.99"));
	machine_run(p->n.loop, "! getent ahostsv4 mail.example");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	/* not where the network says itself who is asked for such names */
	place_map(p, MAP(GLOBAL ",\"Routes\":{\"gnome.org\":[{\"Addr\":\"192.0.2.54\"}]}"));
	machine_run(p->n.loop, "! getent ahostsv4 nmcheck.gnome.org");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { CASE(test_follows), CASE(test_crash), CASE(test_portal) };
	if (!machine_open("resolvconf"))
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
