#include "mesh/node/test/owner_place.h"
#include "mesh/netmap/test/told_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void apply(struct place *p)
{
	struct errbuf eb = { 0 };
	(void)names_apply(&p->n, p->map, "rope0", false, &eb); /* no_dns says */
}

/* As node.c does, but from within: what allows that allows the rest. */
static void changed(void *arg)
{
	struct place *p = arg;
	p->news++;
	if (p->map)
		apply(p);
}

void place_open(struct place *p)
{
	*p = (struct place) { .prefs = { .accept_dns = true } };
	p->n = (struct names) { .loop = loop_new(), .prefs = &p->prefs, .guarded = true };
	p->own = machine_server(p->n.loop, "192.0.2.53:53", 99);
	p->global = machine_server(p->n.loop, "192.0.2.54:53", 98);
}

void place_names(struct place *p)
{
	struct dns_places places;
	dns_places_system(&places, "/etc/resolv.conf");
	if (p->ask_again_ms)
		places.ask_again_ms = p->ask_again_ms;
	p->n.os_dns = os_dns_open(p->n.loop, &places, changed, p);
	assert_non_null(p->n.os_dns);
}

void place_silence(struct place *p)
{
	if (p->global)
		machine_server_free(p->global);
	p->global = NULL;
}

void place_close(struct place *p)
{
	names_forget(&p->n);
	os_dns_close(p->n.os_dns);
	netmap_put(p->map);
	if (p->owner)
		machine_stop(p->owner);
	if (p->bus)
		machine_stop(p->bus);
	machine_server_free(p->own);
	place_silence(p);
	loop_free(p->n.loop);
}

void place_map(struct place *p, const char *json)
{
	netmap_put(p->map);
	p->map = told_map(NULL, json);
	apply(p);
}

void place_off(struct place *p)
{
	p->prefs.accept_dns = false;
	apply(p);
}

void place_expect(struct place *p, enum dns_owner owner, const char *reason)
{
	const struct dns_choice *c = os_dns_choice(p->n.os_dns);
	if (c->owner != owner || !strstr(c->reason, reason))
		fail_msg("%s: %s", dns_owner_text(c->owner), c->reason);
	assert_string_equal(p->n.no_dns, "");
}

static void nothing(void *arg)
{
	(void)arg;
}

void place_recover(struct place *p)
{
	struct dns_places places;
	dns_places_system(&places, "/etc/resolv.conf");
	struct os_dns *d = os_dns_open(p->n.loop, &places, nothing, NULL);
	assert_non_null(d);
	os_dns_recover(d);
	os_dns_close(d);
}
