/* What is told belongs to the interface: when that goes, by a crash of ours too, systemd-resolved forgets it, so
 * that nothing is left to be undone. It forgets everything when it starts anew; the bus says so.
 *
 *   OFF       nothing was told. set: TELLING
 *   TELLING   calls are out; the first that fails decides. All answered: TOLD
 *   TOLD      it agreed. Another told it otherwise, or it started anew: TELLING
 *   REFUSED   a call failed, and what others did is undone, or it has gone for GONE_MS; `why` says it. It starts
 *             (anew): OFF, and the owner is told, who chooses again
 *
 * Answers to what is out of date are never seen: their slots are dropped before anything new is told. */
#include "mesh/node/host/os_dns_resolved.h"
#include "mesh/base/log.h"
#include "mesh/node/host/bus.h"
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define SERVICE "org.freedesktop.resolve1"
#define OBJECT "/org/freedesktop/resolve1"
#define MANAGER "org.freedesktop.resolve1.Manager"

enum {
	GONE_MS = 3000,
	AGAIN_MS = 10000,
	BURST = 3,
	CALLS_MAX = 8,
	DOMAINS_MAX = 200,
	MATCHES = 2,
	RETRY_MS = 100,
	TRIES_MAX = 30
};

enum resolved_state { RESOLVED_OFF, RESOLVED_TELLING, RESOLVED_TOLD, RESOLVED_REFUSED };

struct os_dns_resolved {
	struct loop *loop;
	const char *path;
	void (*changed)(void *arg);
	void *arg;
	struct bus *bus;	    /* NULL: not connected */
	const struct bus_calls *sd; /* the bus's */
	sd_bus_slot *match[MATCHES], *call[CALLS_MAX], *look;
	size_t n_calls, n_waited;
	struct log_limit flushes;
	struct loop_timer *flush; /* set: its cache was emptied often, and will be once more */
	struct loop_timer *retry; /* set: TELLING, and it does not know our interface yet */
	unsigned tries;
	struct loop_timer *gone,
		*again; /* again: somebody has undone it too often, or the bus is tried anew */
	struct log_limit limit;
	enum resolved_state state;
	bool fought;
	/* what is told */
	int ifindex;
	struct addr nameserver;
	struct buf domains; /* each: '~', or '+' of a search domain; the name; NUL */
	bool all;
	char why[160];
};

/* --- what is to be told --- */

static size_t name_len(const char *name)
{
	size_t n = strlen(name);
	while (n > 1 && name[n - 1] == '.')
		n--;
	return n;
}

static bool domain_add(struct buf *b, char mark, const char *name)
{
	return buf_append(b, &mark, 1) && buf_append(b, name, name_len(name)) && buf_append(b, "", 1);
}

/* A search domain leads here without more; said twice, it would be none. */
static bool is_search(const struct os_dns_config *c, const char *name)
{
	for (size_t i = 0; i < c->n_search; i++)
		if (name_len(c->search[i]) == name_len(name) &&
			strncasecmp(c->search[i], name, name_len(name)) == 0)
			return true;
	return false;
}

static bool domains_make(const struct os_dns_config *c, struct buf *out)
{
	bool ok = true;
	size_t n = 0;
	for (size_t i = 0; i < c->n_search && n < DOMAINS_MAX; i++, n++)
		ok = ok && domain_add(out, '+', c->search[i]);
	if (c->all)
		ok = ok && domain_add(out, '~', ".");
	for (size_t i = 0; i < c->n_match && n < DOMAINS_MAX; i++, n++)
		ok = ok && (is_search(c, c->match[i]) || domain_add(out, '~', c->match[i]));
	return ok;
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (!a->len || memcmp(buf_data(a), buf_data(b), a->len) == 0);
}

/* --- telling it --- */

static void drop_calls(struct os_dns_resolved *d)
{
	for (size_t i = 0; i < d->n_calls; i++)
		d->call[i] = d->sd->slot_unref(d->call[i]);
	d->n_calls = d->n_waited = 0;
	if (d->look)
		d->look = d->sd->slot_unref(d->look);
}

/* Older versions lack some of what is said beside the names; the names do without. */
static int told_or_not(sd_bus_message *m, void *arg, sd_bus_error *unused)
{
	(void)m;
	(void)arg;
	(void)unused;
	return 0;
}

static void revert(struct os_dns_resolved *d)
{
	(void)d->sd->call_method_async(bus_sd(d->bus), NULL, SERVICE, OBJECT, MANAGER, "RevertLink",
		told_or_not, NULL, "i", d->ifindex);
	bus_flush(d->bus);
}

/* One call failed, and those beside it may have been done. */
static void refusal(struct os_dns_resolved *d, const char *why)
{
	drop_calls(d);
	if (d->bus && d->state == RESOLVED_TELLING)
		revert(d);
	loop_timer_clear(d->retry);
	d->state = RESOLVED_REFUSED;
	snprintf(d->why, sizeof(d->why), "%s", why);
	d->why[strcspn(d->why, "\r\n")] = 0;
	log_warn("systemd-resolved is not told of the mesh's names: %s", d->why);
}

static void refused(struct os_dns_resolved *d, const char *why)
{
	refusal(d, why);
	d->changed(d->arg);
}

static void say_refusal(struct os_dns_resolved *d, const sd_bus_error *e)
{
	char why[sizeof(d->why)];
	const char *dot = strrchr(e->name ? e->name : "", '.');
	if (d->sd->error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
		d->sd->error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
		snprintf(why, sizeof(why), "it is not on the system bus");
	else
		snprintf(why, sizeof(why), "it refuses (%s)", dot ? dot + 1 : "without a word");
	refused(d, why);
}

static int told(sd_bus_message *m, void *arg, sd_bus_error *unused)
{
	struct os_dns_resolved *d = arg;
	(void)unused;
	/* an interface that has just been made is not known yet */
	bool young = d->sd->message_is_method_error(m, SERVICE ".NoSuchLink") && d->tries < TRIES_MAX;
	if (young) {
		d->tries++;
		drop_calls(d);
		loop_timer_set(d->retry, RETRY_MS);
	} else if (d->sd->message_is_method_error(m, NULL)) {
		say_refusal(d, d->sd->message_get_error(m));
	} else if (d->n_waited && --d->n_waited == 0) {
		d->state = RESOLVED_TOLD;
		log_info("systemd-resolved asks the mesh's resolver for %s",
			d->all ? "all names" : "names of the mesh");
	}
	return 0;
}

static int call_begin(struct os_dns_resolved *d, const char *method, sd_bus_message **m)
{
	return d->n_calls == CALLS_MAX
		       ? -ENOBUFS
		       : d->sd->message_new_method_call(bus_sd(d->bus), m, SERVICE, OBJECT, MANAGER, method);
}

static int call_send(struct os_dns_resolved *d, sd_bus_message *m, int err, sd_bus_message_handler_t done)
{
	if (err >= 0)
		err = d->sd->call_async(bus_sd(d->bus), &d->call[d->n_calls], m, done, d, 0);
	if (err >= 0) {
		d->n_calls++;
		d->n_waited += done == told;
	}
	d->sd->message_unref(m);
	return err;
}

static int tell_nameserver(struct os_dns_resolved *d)
{
	sd_bus_message *m = NULL;
	bool v4 = addr_is_v4(&d->nameserver);
	int err = call_begin(d, "SetLinkDNS", &m);
	err = err < 0 ? err : d->sd->message_append(m, "i", d->ifindex);
	err = err < 0 ? err : d->sd->message_open_container(m, 'a', "(iay)");
	err = err < 0 ? err : d->sd->message_open_container(m, 'r', "iay");
	err = err < 0 ? err : d->sd->message_append(m, "i", v4 ? AF_INET : AF_INET6);
	err = err < 0 ? err
		      : d->sd->message_append_array(m, 'y', d->nameserver.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	err = err < 0 ? err : d->sd->message_close_container(m);
	err = err < 0 ? err : d->sd->message_close_container(m);
	return call_send(d, m, err, told);
}

static int tell_domains(struct os_dns_resolved *d)
{
	sd_bus_message *m = NULL;
	const char *p = (const char *)buf_data(&d->domains), *end = p ? p + d->domains.len : p;
	int err = call_begin(d, "SetLinkDomains", &m);
	err = err < 0 ? err : d->sd->message_append(m, "i", d->ifindex);
	err = err < 0 ? err : d->sd->message_open_container(m, 'a', "(sb)");
	for (; err >= 0 && p < end; p += strlen(p) + 1)
		err = d->sd->message_append(m, "(sb)", p + 1, *p == '~');
	err = err < 0 ? err : d->sd->message_close_container(m);
	return call_send(d, m, err, told);
}

/* Names of the mesh are no matter for the neighbours on a link, of which this one has none; that its resolver
 * signs nothing is no reason to refuse its answers. */
static int tell_rest(struct os_dns_resolved *d)
{
	static const char *const off[] = { "SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSSEC",
		"SetLinkDNSOverTLS" };
	sd_bus_message *m = NULL;
	int err = call_begin(d, "SetLinkDefaultRoute", &m);
	err = err < 0 ? err : d->sd->message_append(m, "ib", d->ifindex, (int)d->all);
	err = call_send(d, m, err, told_or_not);
	for (size_t i = 0; err >= 0 && i < sizeof(off) / sizeof(*off); i++) {
		m = NULL;
		err = call_begin(d, off[i], &m);
		err = err < 0 ? err : d->sd->message_append(m, "is", d->ifindex, "no");
		err = call_send(d, m, err, told_or_not);
	}
	return err;
}

static int tell(struct os_dns_resolved *d)
{
	drop_calls(d);
	d->state = RESOLVED_TELLING;
	int err = tell_nameserver(d);
	err = err < 0 ? err : tell_domains(d);
	err = err < 0 ? err : tell_rest(d);
	if (err >= 0)
		bus_flush(d->bus);
	return err;
}

static void tell_anew(struct os_dns_resolved *d)
{
	d->tries = 0;
	int err = tell(d);
	if (err < 0)
		refused(d, strerror(-err));
}

static void retry(void *arg)
{
	struct os_dns_resolved *d = arg;
	int err = d->state == RESOLVED_TELLING ? tell(d) : 0;
	if (err < 0)
		refused(d, strerror(-err));
}

/* --- news of it --- */

static int owner_changed(sd_bus_message *m, void *arg, sd_bus_error *unused)
{
	struct os_dns_resolved *d = arg;
	const char *name = "", *old = "", *now = "";
	(void)unused;
	if (d->sd->message_read(m, "sss", &name, &old, &now) < 0)
		return 0;
	if (!*now && d->state != RESOLVED_OFF && d->state != RESOLVED_REFUSED) {
		loop_timer_set(d->gone, GONE_MS); /* most come back: an upgrade, a restart */
	} else if (*now && (d->state == RESOLVED_REFUSED || d->state == RESOLVED_OFF)) {
		d->state = RESOLVED_OFF;
		d->why[0] = 0;
		d->changed(d->arg);
	} else if (*now) {
		loop_timer_clear(d->gone);
		log_info("systemd-resolved has started anew, and is told again");
		tell_anew(d);
	}
	return 0;
}

static void has_gone(void *arg)
{
	refused(arg, "it has gone from the system bus");
}

/* The DNS property of the manager: a(iiay), of all interfaces. Is ours there as it was told? */
static bool is_still_told(struct os_dns_resolved *d, sd_bus_message *m)
{
	bool v4 = addr_is_v4(&d->nameserver), there = false, other = false;
	size_t want = v4 ? 4 : 16;
	int more;
	if (d->sd->message_enter_container(m, 'v', "a(iiay)") < 0 ||
		d->sd->message_enter_container(m, 'a', "(iiay)") < 0)
		return true; /* nothing is known */
	while ((more = d->sd->message_enter_container(m, 'r', "iiay")) > 0) {
		int32_t ifindex = 0, family = 0;
		const void *p = NULL;
		size_t len = 0;
		if (d->sd->message_read(m, "ii", &ifindex, &family) < 0 ||
			d->sd->message_read_array(m, 'y', &p, &len) < 0)
			return true;
		bool same = len == want && memcmp(p, d->nameserver.b + (v4 ? 12 : 0), want) == 0;
		there = there || (ifindex == d->ifindex && same);
		other = other || (ifindex == d->ifindex && !same);
		if (d->sd->message_exit_container(m) < 0)
			return true;
	}
	return more < 0 || (there && !other);
}

static int looked(sd_bus_message *m, void *arg, sd_bus_error *unused)
{
	struct os_dns_resolved *d = arg;
	(void)unused;
	char name[IF_NAMESIZE];
	if (d->state != RESOLVED_TOLD || d->sd->message_is_method_error(m, NULL) || is_still_told(d, m))
		return 0;
	if (!if_indextoname((unsigned)d->ifindex, name)) {
		d->state = RESOLVED_OFF; /* with the interface everything went */
		return 0;
	}
	if (log_allowed(&d->limit, BURST, loop_now_ms(d->loop) * 1000 / AGAIN_MS)) {
		log_warn("another program changed what systemd-resolved was told of the mesh; it is told "
			 "again");
		tell_anew(d);
	} else if (!d->fought) {
		d->fought = true;
		loop_timer_set(d->again, AGAIN_MS);
		d->changed(d->arg);
	}
	return 0;
}

/* It says that nameservers changed, of any interface: ours may be among them, and what others have is what our
 * resolver asks. */
static int properties_changed(sd_bus_message *m, void *arg, sd_bus_error *unused)
{
	struct os_dns_resolved *d = arg;
	(void)m;
	(void)unused;
	if (d->state == RESOLVED_TOLD && !d->fought) {
		d->look = d->sd->slot_unref(d->look);
		(void)d->sd->call_method_async(bus_sd(d->bus), &d->look, SERVICE, OBJECT,
			"org.freedesktop.DBus.Properties", "Get", looked, d, "ss", MANAGER, "DNS");
	}
	return 0;
}

/* --- the bus --- */

static void disconnect(struct os_dns_resolved *d)
{
	drop_calls(d);
	for (size_t i = 0; i < MATCHES; i++)
		if (d->match[i])
			d->match[i] = d->sd->slot_unref(d->match[i]);
	bus_close(d->bus);
	d->bus = NULL;
	d->sd = NULL;
}

/* The bus is started anew about as often as the machine. */
static void bus_lost(void *arg)
{
	struct os_dns_resolved *d = arg;
	disconnect(d);
	loop_timer_clear(d->gone);
	loop_timer_set(d->again, AGAIN_MS);
	refused(d, "the system bus has gone");
}

static int connect_bus(struct os_dns_resolved *d, struct errbuf *eb)
{
	if (d->bus)
		return 0;
	d->bus = bus_open(d->loop, d->path, bus_lost, d, eb);
	if (!d->bus)
		return eb->code;
	d->sd = bus_calls(d->bus);
	int err = d->sd->add_match_async(bus_sd(d->bus), &d->match[0],
		"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" SERVICE "'",
		owner_changed, NULL, d);
	err = err < 0 ? err
		      : d->sd->match_signal_async(bus_sd(d->bus), &d->match[1], SERVICE, OBJECT,
				"org.freedesktop.DBus.Properties", "PropertiesChanged", properties_changed,
				NULL, d);
	if (err >= 0)
		return 0;
	disconnect(d);
	return err_set(eb, err, "listen to systemd-resolved on the system bus");
}

static void try_again(void *arg)
{
	struct os_dns_resolved *d = arg;
	struct errbuf eb;
	d->fought = false;
	if (d->state == RESOLVED_TOLD) {
		tell_anew(d);
	} else if (!d->bus && connect_bus(d, &eb) == 0) {
		d->state = RESOLVED_OFF;
		d->why[0] = 0;
	} else if (!d->bus) {
		loop_timer_set(d->again, AGAIN_MS);
		return;
	}
	d->changed(d->arg);
}

/* Its cache is for all interfaces, so it is not thrown away at each of many changes. */
void os_dns_resolved_flush(struct os_dns_resolved *d)
{
	if (!os_dns_resolved_active(d) || !d->sd)
		return;
	if (!log_allowed(&d->flushes, BURST, loop_now_ms(d->loop) * 1000 / AGAIN_MS)) {
		loop_timer_set(d->flush, AGAIN_MS);
		return;
	}
	(void)d->sd->call_method_async(
		bus_sd(d->bus), NULL, SERVICE, OBJECT, MANAGER, "FlushCaches", told_or_not, NULL, "");
	bus_flush(d->bus);
}

static void flush_due(void *arg)
{
	os_dns_resolved_flush(arg);
}

/* --- the owner --- */

static void resolved_free(struct os_dns_resolved *d)
{
	loop_timer_free(d->gone);
	loop_timer_free(d->again);
	loop_timer_free(d->retry);
	loop_timer_free(d->flush);
	buf_free(&d->domains);
	free(d);
}

struct os_dns_resolved *os_dns_resolved_open(
	struct loop *l, const char *bus, void (*changed)(void *arg), void *arg)
{
	struct os_dns_resolved *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	*d = (struct os_dns_resolved) { .loop = l, .path = bus, .changed = changed, .arg = arg };
	d->gone = loop_timer_new(l, has_gone, d);
	d->again = loop_timer_new(l, try_again, d);
	d->retry = loop_timer_new(l, retry, d);
	d->flush = loop_timer_new(l, flush_due, d);
	if (d->gone && d->again && d->retry && d->flush)
		return d;
	resolved_free(d);
	return NULL;
}

void os_dns_resolved_close(struct os_dns_resolved *d)
{
	if (!d)
		return;
	os_dns_resolved_restore(d);
	disconnect(d);
	resolved_free(d);
}

int os_dns_resolved_set(struct os_dns_resolved *d, const struct os_dns_config *c, struct errbuf *eb)
{
	struct buf domains = { 0 };
	int ifindex = (int)if_nametoindex(c->dev);
	if (d->state == RESOLVED_REFUSED)
		return err_say(
			eb, ERR_REFUSED, "systemd-resolved is not told of the mesh's names: %s", d->why);
	if (!ifindex)
		return err_set(eb, -errno, "tell systemd-resolved of %s", c->dev);
	if (!domains_make(c, &domains)) {
		buf_free(&domains);
		return err_set(eb, -ENOMEM, "tell systemd-resolved of the mesh's names");
	}
	bool same = d->state != RESOLVED_OFF && ifindex == d->ifindex && c->all == d->all &&
		    addr_equal(&c->nameserver, &d->nameserver) && same_bytes(&domains, &d->domains);
	buf_free(same ? &domains : &d->domains);
	if (same)
		return d->fought ? err_say(eb, -EBUSY,
					   "another program changes again and again what systemd-resolved is "
					   "told of %s; "
					   "let it leave that interface alone, or run `ropewalk up "
					   "--accept-dns=false`",
					   c->dev)
				 : 0;
	d->domains = domains;
	d->ifindex = ifindex;
	d->nameserver = c->nameserver;
	d->all = c->all;
	int err = connect_bus(d, eb);
	d->tries = 0;
	err = err ? err : tell(d);
	if (err < 0)
		refusal(d, eb && err == eb->code ? eb->text : strerror(-err));
	return err < 0 ? err_say(eb, err, "systemd-resolved is not told of the mesh's names: %s", d->why) : 0;
}

void os_dns_resolved_listen(struct os_dns_resolved *d)
{
	struct errbuf eb;
	if (!d->bus && d->state != RESOLVED_REFUSED && connect_bus(d, &eb) != 0)
		refusal(d, eb.text);
}

void os_dns_resolved_restore(struct os_dns_resolved *d)
{
	if (d->bus && (d->state == RESOLVED_TELLING || d->state == RESOLVED_TOLD)) {
		drop_calls(d);
		revert(d);
	}
	if (d->state != RESOLVED_REFUSED)
		d->state = RESOLVED_OFF;
	d->fought = false;
	loop_timer_clear(d->gone);
	loop_timer_clear(d->retry);
}

bool os_dns_resolved_active(const struct os_dns_resolved *d)
{
	return d->state == RESOLVED_TELLING || d->state == RESOLVED_TOLD;
}

const char *os_dns_resolved_refused(const struct os_dns_resolved *d)
{
	return d->why;
}

const char *os_dns_resolved_domain(const struct os_dns_resolved *d, size_t i)
{
	const char *p = (const char *)buf_data(&d->domains), *end = p ? p + d->domains.len : p;
	while (p < end && i--)
		p += strlen(p) + 1;
	return p < end ? p + 1 : NULL;
}

bool os_dns_resolved_all(const struct os_dns_resolved *d)
{
	return d->all;
}
