/* The node's names on a machine whose names systemd-resolved gives, which is the real one, on a system bus of its own.
 * getent(1) asks as every program does: by resolv.conf. */
#include "mesh/node/test/owner_place.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define RESOLVED "exec /usr/lib/systemd/systemd-resolved 2>/run/resolved.log"
#define TOLD "resolvectl dns rope0 | grep -q 100.100.100.100"

static struct place place;

static void resolved_start(struct place *p)
{
	p->owner = machine_start(RESOLVED);
	machine_await(
		p->n.loop, "resolvectl dns eth0 192.0.2.53 2>/dev/null && resolvectl default-route eth0 yes");
}

static int setup(void **state)
{
	struct place *p = &place;
	place_open(p);
	machine_run(p->n.loop,
		"ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf; rm -f /etc/resolv.conf.*");
	p->bus = machine_bus(p->n.loop, "");
	resolved_start(p);
	place_names(p);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	place_close(*state);
	return 0;
}

/* The network names no nameserver: the machine asks its own as ever, and us for the rest. C32 */
static void test_some_names(void **state)
{
	struct place *p = *state;
	machine_run(p->n.loop, IS("b.mesh.test", "192.0.2.99")); /* which is kept for a minute: C44 */
	place_map(p, MAP(""));
	place_expect(p, DNS_OWNER_RESOLVED, "names its stub");
	machine_await(p->n.loop, TOLD);
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	machine_run(p->n.loop, IS("six.other.example", "100.64.0.9"));
	machine_run(p->n.loop, "getent hosts 100.64.0.2 | grep -q b.mesh.test");
	int before = machine_asked(p->own);
	machine_run(p->n.loop, IS("www.example", "192.0.2.99"));
	machine_run(p->n.loop, "resolvectl query www.example | grep -q 'link: eth0'");
	assert_true(machine_asked(p->own) > before);
	/* a bare name, by the search domain */
	machine_await(p->n.loop, "grep -q '^search mesh.test' /etc/resolv.conf");
	machine_run(p->n.loop, IS("b", "100.64.0.2"));
	assert_non_null(os_dns_match(p->n.os_dns, 0));
	machine_run(p->n.loop, "test -L /etc/resolv.conf && test ! -e /etc/resolv.conf.before-ropewalk");
	/* and in the end nothing is left */
	place_off(p);
	machine_await(p->n.loop, "! " TOLD);
	machine_run(p->n.loop, IS("b.mesh.test", "192.0.2.99"));
}

/* It names one: then that is asked for everything, by us. */
static void test_all_names(void **state)
{
	struct place *p = *state;
	place_map(p, MAP(GLOBAL));
	machine_await(p->n.loop, TOLD);
	machine_await(p->n.loop, "resolvectl domain rope0 | grep -q '~[.]'");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	int before = machine_asked(p->own);
	machine_run(p->n.loop, IS("www.example", "192.0.2.98"));
	assert_int_equal(machine_asked(p->own), before);
	assert_null(os_dns_match(p->n.os_dns, 0));
	/* and back, when it names none any more */
	place_map(p, MAP(""));
	machine_await(p->n.loop, "! resolvectl domain rope0 | grep -q '~[.]'");
	machine_await(p->n.loop, IS("mail.example", "192.0.2.99"));
}

/* A search domain that begins as a route is written is one all the same. */
static void test_tilde(void **state)
{
	struct place *p = *state;
	char *json = strdup(MAP(""));
	assert_non_null(json);
	memcpy(strstr(json, "[\"mesh.test\"]") + 2, "~odd.test", strlen("~odd.test"));
	place_map(p, json);
	free(json);
	machine_await(p->n.loop, TOLD);
	machine_await(p->n.loop, "busctl get-property org.freedesktop.resolve1 /org/freedesktop/resolve1 "
				 "org.freedesktop.resolve1.Manager "
				 "Domains | grep -q '126odd[.]test\" false'"); /* as it writes the letter */
}

/* A route for the parent of the mesh's own domain. C34 */
static void test_parent(void **state)
{
	struct place *p = *state;
	place_map(p, MAP(",\"Routes\":{\"test\":[{\"Addr\":\"192.0.2.54\"}]}"));
	machine_await(p->n.loop, TOLD);
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	machine_run(p->n.loop, IS("b", "100.64.0.2"));
	machine_run(p->n.loop, IS("x.test", "192.0.2.98"));
	machine_run(p->n.loop, IS("www.example", "192.0.2.99"));
	machine_run(p->n.loop, "! getent ahostsv4 none.mesh.test");
}

/* What it keeps of our names is forgotten when they change: another name, and the old one gone, in the next answer. B43 */
static void test_renamed(void **state)
{
	struct place *p = *state;
	char *json = strdup(MAP(""));
	assert_non_null(json);
	place_map(p, json);
	machine_await(p->n.loop, TOLD);
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	machine_run(p->n.loop, "! getent ahostsv4 c.mesh.test");
	strstr(json, "b.mesh.test")[0] = 'c';
	place_map(p, json);
	machine_run(p->n.loop, TOLD); /* asked on the bus, behind what it was told there */
	machine_run(p->n.loop, IS("c.mesh.test", "100.64.0.2"));
	machine_run(p->n.loop, "! getent ahostsv4 b.mesh.test");
	free(json);
}

/* An upgrade, a crash: what it forgot is told again, in less than a second of its being back. C7 */
static void test_restart(void **state)
{
	enum { TRIES = 8, SOON_MS = 1000 };
	struct place *p = *state;
	uint64_t took_ms = SOON_MS + 1;
	place_map(p, MAP(""));
	machine_await(p->n.loop, TOLD);
	for (int i = 0; i < TRIES && took_ms > SOON_MS; i++) { /* a machine may be busy once */
		machine_stop(p->owner);
		machine_run(
			p->n.loop, "rm -rf /run/systemd/resolve/netif"); /* what it keeps of links on disk */
		p->owner = machine_start(RESOLVED);
		machine_await(p->n.loop, "resolvectl status >/dev/null 2>&1");
		uint64_t back_ms = loop_now_ms(p->n.loop);
		machine_await(p->n.loop, TOLD);
		took_ms = loop_now_ms(p->n.loop) - back_ms;
	}
	assert_in_range(took_ms, 0, SOON_MS);
	machine_await(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
}

/* It goes for good: the file is taken, and given back when it comes again. */
static void test_gone(void **state)
{
	struct place *p = *state;
	place_map(p, MAP(""));
	machine_await(p->n.loop, TOLD);
	machine_stop(p->owner);
	p->owner = 0;
	machine_await(p->n.loop, "grep -q 'nameserver 100.100.100.100' /etc/resolv.conf");
	place_expect(p, DNS_OWNER_FILE, "it has gone from the system bus");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	resolved_start(p);
	machine_await(p->n.loop, TOLD);
	place_expect(p, DNS_OWNER_RESOLVED, "names its stub");
	machine_run(p->n.loop, "readlink /etc/resolv.conf | grep -q stub-resolv.conf");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
}

/* Asked directly, our resolver asks whom the machine would ask, which may change at any time. C8, C42 */
static void test_uplinks(void **state)
{
	struct place *p = *state;
	place_map(p, MAP(""));
	machine_await(p->n.loop, TOLD);
	machine_run(p->n.loop, "dig +short @100.100.100.100 one.example | grep -q '^192.0.2.99$'");
	machine_run(p->n.loop, "resolvectl dns eth0 192.0.2.54");
	machine_await(
		p->n.loop, "dig +short @100.100.100.100 two$(date +%N).example | grep -q '^192.0.2.98$'");
	/* none at all: then by the stub, which has none to ask either, and no ring comes of it */
	machine_run(p->n.loop, "resolvectl dns eth0 ''");
	machine_await(p->n.loop, "dig +tries=1 @100.100.100.100 three$(date +%N).example | grep -q REFUSED");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	machine_run(p->n.loop, "resolvectl dns eth0 192.0.2.53");
	machine_await(
		p->n.loop, "dig +short @100.100.100.100 four$(date +%N).example | grep -q '^192.0.2.99$'");
}

/* The machine starts, and it after us; or the bus starts anew. */
static void test_late(void **state)
{
	struct place *p = *state;
	machine_stop(p->owner);
	place_map(p, MAP(""));
	place_expect(p, DNS_OWNER_FILE, "does not listen in this network namespace");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	resolved_start(p);
	machine_await(p->n.loop, TOLD);
	place_expect(p, DNS_OWNER_RESOLVED, "names its stub");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	/* without a bus nothing can be told, and the file is taken */
	machine_stop(p->bus);
	machine_await(p->n.loop, "grep -q 'nameserver 100.100.100.100' /etc/resolv.conf");
	place_expect(p, DNS_OWNER_FILE, "the system bus has gone");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	p->bus = machine_bus(p->n.loop, "");
	machine_stop(p->owner);
	resolved_start(p);
	machine_await(p->n.loop, TOLD);
	machine_await(p->n.loop, "readlink /etc/resolv.conf | grep -q stub-resolv.conf");
}

/* Another program undoes it, and insists. */
static void test_fight(void **state)
{
	struct place *p = *state;
	place_map(p, MAP(""));
	machine_await(p->n.loop, TOLD);
	machine_run(p->n.loop, "resolvectl dns rope0 192.0.2.66");
	machine_await(p->n.loop, TOLD);
	while (!p->n.no_dns[0])
		machine_run(p->n.loop, "resolvectl dns rope0 192.0.2.66");
	assert_non_null(strstr(p->n.no_dns, "another program changes again and again"));
}

/* Told to leave names alone, it does. C2 */
static void test_off(void **state)
{
	struct place *p = *state;
	p->prefs.accept_dns = false;
	place_map(p, MAP(GLOBAL));
	machine_run(p->n.loop, "resolvectl flush-caches"); /* a turn of the bus: what was sent has arrived */
	machine_run(p->n.loop, "! " TOLD " && readlink /etc/resolv.conf | grep -q stub-resolv.conf");
	machine_run(p->n.loop, "! ls /etc/resolv.conf.* 2>/dev/null");
}

/* It refuses one of the calls: the file is taken, and who is asked is who it would have asked. */
static void refuses(struct place *p, const char *method)
{
	char policy[128];
	machine_stop(p->owner);
	machine_stop(p->bus);
	snprintf(policy, sizeof(policy),
		"<deny send_interface=\"org.freedesktop.resolve1.Manager\" send_member=\"%s\"/>", method);
	p->bus = machine_bus(p->n.loop, policy);
	p->owner = machine_start(RESOLVED);
	machine_await(p->n.loop, "resolvectl status >/dev/null 2>&1");
	/* who is behind its stub is in the file for that */
	machine_run(p->n.loop, "rm /run/systemd/resolve/resolv.conf; echo nameserver 192.0.2.53 "
			       ">/run/systemd/resolve/resolv.conf");
	place_map(p, MAP(""));
	machine_await(p->n.loop, "grep -q 'nameserver 100.100.100.100' /etc/resolv.conf");
	place_expect(p, DNS_OWNER_FILE, "it refuses (");
	machine_run(p->n.loop, IS("b.mesh.test", "100.64.0.2"));
	machine_run(p->n.loop, IS("www.example", "192.0.2.99"));
}

static void test_refused(void **state)
{
	struct place *p = *state;
	refuses(p, "SetLinkDNS");
	place_off(p);
	machine_run(p->n.loop, "readlink /etc/resolv.conf | grep -q stub-resolv.conf");
}

/* Only what it is to be asked for: then it does not go on to ask us what it took before that. */
static void test_refused_half(void **state)
{
	struct place *p = *state;
	refuses(p, "SetLinkDomains");
	machine_await(p->n.loop, "resolvectl dns rope0 >/dev/null && ! " TOLD);
	place_off(p);
	machine_run(p->n.loop, "! " TOLD);
}

/* A search domain that is no name: it would refuse all that is told beside it. */
static void test_no_name(void **state)
{
	struct place *p = *state;
	char *json = strdup(MAP(""));
	assert_non_null(json);
	memcpy(strstr(json, "[\"mesh.test\"]") + 2, "mesh..tes", 9);
	place_map(p, json);
	machine_await(p->n.loop, TOLD);
	place_expect(p, DNS_OWNER_RESOLVED, "names its stub");
	machine_await(p->n.loop, IS("six.other.example", "100.64.0.9"));
	free(json);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_some_names),
		CASE(test_all_names),
		CASE(test_tilde),
		CASE(test_parent),
		CASE(test_renamed),
		CASE(test_restart),
		CASE(test_gone),
		CASE(test_uplinks),
		CASE(test_late),
		CASE(test_fight),
		CASE(test_off),
		CASE(test_refused),
		CASE(test_refused_half),
		CASE(test_no_name),
	};
	if (!machine_open("resolved"))
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
