#include "mesh/node/host/os_dns.h"
#include "mesh/base/log.h"
#include "mesh/node/host/os_dns_file.h"
#include "mesh/node/host/os_dns_openresolv.h"
#include "mesh/node/host/os_dns_resolved.h"
#include "mesh/node/host/resolv_conf.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct os_dns {
	struct dns_places places;
	struct os_dns_file *file;
	struct os_dns_resolved *resolved;
	struct os_dns_openresolv *openresolv;
	struct dns_choice choice;
	bool chosen; /* false: what it was chosen by has changed */
	void (*changed)(void *arg);
	void *arg;
};

static void owner_changed(void *arg)
{
	struct os_dns *d = arg;
	d->chosen = false;
	d->changed(d->arg);
}

struct os_dns *os_dns_open(
	struct loop *l, const struct dns_places *places, void (*changed)(void *arg), void *arg)
{
	struct os_dns *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	*d = (struct os_dns) { .places = *places, .changed = changed, .arg = arg };
	d->file = os_dns_file_open(l, places->resolv_conf, places->uplinks, owner_changed, d);
	d->resolved = os_dns_resolved_open(l, places->bus, owner_changed, d);
	d->openresolv = os_dns_openresolv_open(l, &d->places, owner_changed, d);
	if (d->file && d->resolved && d->openresolv)
		return d;
	os_dns_close(d);
	return NULL;
}

void os_dns_close(struct os_dns *d)
{
	if (!d)
		return;
	os_dns_resolved_close(d->resolved);
	os_dns_openresolv_close(d->openresolv);
	os_dns_file_close(d->file);
	free(d);
}

bool os_dns_active(const struct os_dns *d)
{
	return os_dns_file_active(d->file) || os_dns_resolved_active(d->resolved) ||
	       os_dns_openresolv_active(d->openresolv);
}

void os_dns_restore(struct os_dns *d)
{
	os_dns_resolved_restore(d->resolved);
	os_dns_openresolv_restore(d->openresolv);
	os_dns_file_restore(d->file);
}

void os_dns_answers_changed(struct os_dns *d)
{
	os_dns_resolved_flush(d->resolved);
}

/* --- whose names they are --- */

static void decide(struct os_dns *d, struct dns_choice *out)
{
	struct dns_facts_store store;
	struct dns_facts facts;
	const char *own = "";
	bool missing = false;
	const struct buf *text = os_dns_file_text(d->file, &own, &missing);
	dns_facts_read(&d->places, own, missing, text, &store, &facts);
	facts.resolved_refused = os_dns_resolved_refused(d->resolved);
	facts.openresolv_refused = os_dns_openresolv_refused(d->openresolv);
	dns_owner_choose(&facts, out);
	/* Whoever goes on to keep a file of his own says there what ours would have said. */
	bool keeps = out->owner == DNS_OWNER_NETWORKMANAGER;
	if (!os_dns_file_active(d->file))
		os_dns_file_way(d->file, keeps, keeps ? d->places.networkmanager : facts.link);
	dns_facts_free(&store);
}

static void choose_owner(struct os_dns *d)
{
	struct dns_choice next;
	if (d->chosen)
		return;
	decide(d, &next);
	bool same = next.owner == d->choice.owner && next.file_too == d->choice.file_too;
	if (!same && os_dns_active(d)) { /* the file is taken in another way, or not at all */
		os_dns_restore(d);
		decide(d, &next);
	}
	if (!d->places.own_path && strcmp(next.reason, d->choice.reason) != 0)
		log_info("names of this machine: %s: %s", dns_owner_text(next.owner), next.reason);
	d->choice = next;
	d->chosen = true;
	if (next.resolved_wanted)
		os_dns_resolved_listen(d->resolved);
}

const struct dns_choice *os_dns_choice(struct os_dns *d)
{
	choose_owner(d);
	return &d->choice;
}

void os_dns_recover(struct os_dns *d)
{
	struct dns_choice unused;
	decide(d, &unused); /* who wrote the file has his newest word put back */
	os_dns_file_recover(d->file);
	if (!d->places.own_path)
		os_dns_openresolv_recover(d->openresolv);
}

static int set_file(struct os_dns *d, const struct os_dns_config *c, struct errbuf *eb)
{
	return os_dns_file_set(d->file, &c->nameserver, c->search, c->n_search, eb);
}

static int set_resolved(struct os_dns *d, const struct os_dns_config *c, struct errbuf *eb)
{
	struct os_dns_config told = *c;
	struct errbuf second = { 0 };
	/* what the file says is for everything, and systemd-resolved reads it too */
	told.all = c->all || d->choice.file_too;
	os_dns_file_watch(d->file); /* who is behind the stub may change at any time */
	int err = os_dns_resolved_set(d->resolved, &told, eb);
	int too = d->choice.file_too ? set_file(d, c, &second) : 0;
	return err || !too ? err : err_say(eb, too, "%s", second.text);
}

/* One who can be told; *refused: he cannot. */
static int set_told(struct os_dns *d, const struct os_dns_config *c, bool *refused, struct errbuf *eb)
{
	bool resolved = d->choice.owner == DNS_OWNER_RESOLVED;
	int err = resolved ? set_resolved(d, c, eb) : os_dns_openresolv_set(d->openresolv, c, eb);
	*refused =
		resolved ? *os_dns_resolved_refused(d->resolved) : *os_dns_openresolv_refused(d->openresolv);
	return err;
}

int os_dns_set(struct os_dns *d, const struct os_dns_config *c, struct errbuf *eb)
{
	choose_owner(d);
	if (d->choice.owner == DNS_OWNER_RESOLVED || d->choice.owner == DNS_OWNER_OPENRESOLV) {
		bool refused = false;
		int err = set_told(d, c, &refused, eb);
		if (!refused)
			return err;
		d->chosen = false;
		choose_owner(d);
	}
	if (d->choice.owner == DNS_OWNER_NOBODY)
		return err_say(eb, -EACCES, "%s", d->choice.reason);
	return set_file(d, c, eb);
}

const char *os_dns_match(const struct os_dns *d, size_t i)
{
	bool some = os_dns_resolved_active(d->resolved) && !os_dns_resolved_all(d->resolved);
	return some ? os_dns_resolved_domain(d->resolved, i) : NULL;
}

/* --- the machine's own nameservers --- */

bool os_dns_base_changed(struct os_dns *d)
{
	bool others = os_dns_file_base_changed(d->file);
	others = os_dns_openresolv_base_changed(d->openresolv) || others;
	if (others)
		d->chosen = false;
	return others;
}

/* A stub that asks us is nobody to ask. */
static bool is_ring(const struct os_dns *d, const struct endpoint *e)
{
	struct resolv_conf one = { .nameservers = { *e }, .n_nameservers = 1 };
	return os_dns_resolved_active(d->resolved) && os_dns_resolved_all(d->resolved) &&
	       resolv_conf_is_stub(&one);
}

size_t os_dns_base(const struct os_dns *d, struct endpoint *out, size_t cap)
{
	size_t k = 0, n = d->choice.owner == DNS_OWNER_OPENRESOLV
				  ? os_dns_openresolv_base(d->openresolv, out, cap)
				  : os_dns_file_base(d->file, out, cap);
	for (size_t i = 0; i < n; i++)
		if (!is_ring(d, &out[i]))
			out[k++] = out[i];
	return k;
}
