#include "resolver/alone/running.h"

#include "mesh/base/blake2s.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"
#include "mesh/transport/stream.h"
#include "resolver/keeper.h"
#include "resolver/local_names.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CONF_MAX = 16 << 20 };

int running_config_read(
	const char *config, struct conf *c, struct zone **z, struct buf *all, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read_given(config, CONF_MAX, false, &text, eb);
	if (!err)
		err = conf_read_all(config, (const char *)buf_data(&text), text.len, c, all, eb);
	buf_free(&text);
	if (err)
		return err;
	*z = conf_zone_all(config, c, all, eb);
	if (*z)
		return 0;
	conf_free(c);
	return eb->code;
}

/* What else than routes decides what answers are. */
static void answers_depend_on(const struct conf *c, uint8_t out[KEEP_ABOUT])
{
	const char *files[] = { c->validate ? c->anchors : "", c->authorities ? c->authorities : "" };
	struct noise_part parts[2];
	memset(out, 0, KEEP_ABOUT);
	if (!blake2s_setup())
		return;
	for (size_t i = 0; i < ARRAY_LEN(files) + c->n_insecure; i++) {
		const char *text = i < ARRAY_LEN(files) ? files[i] : c->insecure[i - ARRAY_LEN(files)];
		uint8_t before[KEEP_ABOUT];
		memcpy(before, out, KEEP_ABOUT);
		parts[0] = (struct noise_part) { before, KEEP_ABOUT };
		parts[1] = (struct noise_part) { text, strlen(text) + 1 };
		blake2s_hash(parts, 2, out);
	}
}

static void zone_changed(void *arg, struct zone *z)
{
	resolver_zone_set(resolver_server_core(((struct running *)arg)->server), z);
}

/* What is taken of a configuration, in this order; the first that cannot be ends it. */
static int take_authorities(struct running *s, const struct conf *c, struct errbuf *eb)
{
	return resolver_server_authorities(s->server, c->authorities, eb);
}

static int take_certificate(struct running *s, const struct conf *c, struct errbuf *eb)
{
	struct errbuf why;
	if (!c->secure.certificate)
		return 0;
	int err = resolver_server_certificate(s->server, c->secure.certificate, c->secure.key, eb);
	if (!err && tls_cert_fault(c->secure.certificate, NULL, &why) != 0)
		log_warn("%s", why.text);
	return err;
}

static int take_validation(struct running *s, const struct conf *c, struct errbuf *eb)
{
	struct resolver_validation v = {
		.anchors = c->anchors, .insecure = c->insecure, .n_insecure = c->n_insecure
	};
	return resolver_server_validate(s->server, c->validate ? &v : NULL, eb);
}

static int take_routes(struct running *s, const struct conf *c, struct errbuf *eb)
{
	struct resolver_config rc = { .routes = c->routes,
		.n_routes = c->n_routes,
		.local_zones = c->local_zones,
		.n_local_zones = c->n_local_zones,
		.cache_bytes = c->cache_bytes,
		.mesh_ttl_s = (uint32_t)c->ttl_s,
		.refuse_private = c->refuse_private,
		.lower_case = !c->mixed_case,
		.private_ok = c->private_ok,
		.n_private_ok = c->n_private_ok,
		.stale_s = c->stale_s,
		.dns64 = c->dns64,
		.dns64_find = c->dns64_find };
	return resolver_server_configure(s->server, &rc, eb);
}

static int take_clients(struct running *s, const struct conf *c, struct errbuf *eb)
{
	return resolver_server_allow(s->server, c->allow, c->n_allow, eb);
}

static int take_rate(struct running *s, const struct conf *c, struct errbuf *eb)
{
	return resolver_server_rate(s->server, (uint32_t)c->rate, eb);
}

static const struct {
	const char *keys; /* of the configuration, as it is said that they hold */
	int (*take)(struct running *s, const struct conf *c, struct errbuf *eb);
} parts[] = { { "\"upstream-authorities\"", take_authorities }, { "\"secure\"", take_certificate },
	{ "\"dnssec\"", take_validation }, { "upstreams and routes", take_routes },
	{ "\"allow\"", take_clients }, { "\"rate-limit\"", take_rate } };

/* Which of the parts before this one another configuration may have changed. */
static void holds_say(const struct running *s, const struct conf *c, size_t part, char *out, size_t cap)
{
	const bool has[] = { c->authorities || s->had.authorities, c->secure.certificate != NULL,
		c->validate || s->had.validation };
	size_t len = 0;
	out[0] = 0;
	for (size_t i = 0; i < part; i++)
		if ((i >= ARRAY_LEN(has) || has[i]) && len < cap)
			len += (size_t)snprintf(out + len, cap - len, "%s%s", len ? ", " : "", parts[i].keys);
}

/* *n: of the parts, how many were taken. */
static int parts_take(struct running *s, const struct conf *c, size_t *n, struct errbuf *eb)
{
	int err = 0;
	for (*n = 0; *n < ARRAY_LEN(parts); ++*n)
		if ((err = parts[*n].take(s, c, eb)))
			break;
	return err;
}

int running_config_apply(struct running *s, const struct conf *c, struct zone *z, struct local_names *names,
	char holds[static RUNNING_HOLDS], struct errbuf *eb)
{
	size_t n;
	int err = parts_take(s, c, &n, eb);
	const struct local_watch watch = { .changed = zone_changed, .arg = s };
	if (!err && !local_names_watch(names, s->loop, &watch))
		err = err_say(eb, -ENOMEM, "out of memory for names of machines");
	holds_say(s, c, n, holds, RUNNING_HOLDS);
	if (err)
		return err;
	s->had = (struct running_had) { .authorities = c->authorities, .validation = c->validate };
	resolver_zone_set(resolver_server_core(s->server), z);
	local_names_close(s->names); /* with the last reference of the zone before */
	s->names = names;
	if (s->keeper) { /* for the hash OpenSSL is set up, which takes 2 MiB */
		uint8_t about[KEEP_ABOUT];
		answers_depend_on(c, about);
		keeper_serve(s->keeper, resolver_server_core(s->server), about);
	}
	return 0;
}

/* ---- anew ---- */

static void read_anew(void *arg)
{
	struct running *s = arg;
	struct reload *x = &s->reload;
	struct errbuf why = { 0 };
	x->err = running_config_read(s->config, &x->conf, &x->zone, NULL, &why);
	if (!x->err) {
		x->names = local_names_read(x->zone, x->conf.names_from, x->conf.n_names_from, &why);
		if (x->names)
			return;
		x->err = why.code;
		zone_put(x->zone);
		conf_free(&x->conf);
	}
	err_say(&x->eb, x->err, "%.340s; the configuration stays as it was", why.text);
}

static int take_anew(struct running *s)
{
	struct reload *x = &s->reload;
	struct errbuf why = { 0 };
	char holds[RUNNING_HOLDS];
	int err = running_config_apply(s, &x->conf, x->zone, x->names, holds, &why);
	if (err)
		local_names_close(x->names);
	else if ((err = blocker_reconfigure(s->blocker, &x->conf.arena, &x->conf.block, &why)))
		err_say(&x->eb, err, "%.200s; all else of the configuration holds", why.text);
	zone_put(x->zone);
	conf_free(&x->conf);
	if (err && !x->eb.code)
		err_say(&x->eb, err,
			holds[0] ? "%.170s; what the configuration says of %s holds, the rest stays as it was"
				 : "%.300s; the configuration stays as it was",
			why.text, holds);
	return err;
}

static void begin(struct running *s);

/* Each may ask again, and so may who is not told any more for another's word. */
static void end(struct running *s, int err)
{
	struct reload *x = &s->reload;
	if (err)
		log_error("%s", x->eb.text);
	else
		log_info("configuration read again (changes of \"listen\", \"page\", \"state\" and "
			 "\"keep-cache\" need a "
			 "restart)");
	notify_ready(s->notify, NULL);
	for (struct reload_waiter *w; (w = x->now);) {
		x->now = w->next;
		w->told(w->arg, err, &x->eb);
	}
	x->begun = false;
	if (x->again)
		begin(s);
}

static void is_read(void *arg)
{
	struct running *s = arg;
	s->reload.work = NULL;
	end(s, s->reload.err ? s->reload.err : take_anew(s));
}

static void begin(struct running *s)
{
	struct reload *x = &s->reload;
	x->begun = true;
	x->again = false;
	x->now = x->later;
	x->later = NULL;
	x->eb = (struct errbuf) { 0 };
	notify_reloading(s->notify);
	x->work = work_start(s->loop, read_anew, is_read, s);
	if (!x->work)
		end(s, err_say(&x->eb, -ENOMEM, "memory is short; the configuration stays as it was"));
}

void running_reload(struct running *s, struct reload_waiter *w)
{
	struct reload *x = &s->reload;
	struct reload_waiter **at = &x->later;
	while (w && *at)
		at = &(*at)->next;
	if (w) {
		w->next = NULL;
		*at = w;
	}
	if (x->begun)
		x->again = true;
	else
		begin(s);
}

static void waiter_remove(struct reload_waiter **at, const struct reload_waiter *w)
{
	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
}

void running_reload_forget(struct running *s, struct reload_waiter *w)
{
	waiter_remove(&s->reload.now, w);
	waiter_remove(&s->reload.later, w);
}

void running_reload_end(struct running *s)
{
	struct reload *x = &s->reload;
	bool has_read = x->work && work_finish(x->work) && !x->err;
	x->work = NULL;
	if (!has_read)
		return;
	local_names_close(x->names);
	zone_put(x->zone);
	conf_free(&x->conf);
}
