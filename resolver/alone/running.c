#include "resolver/alone/running.h"

#include "mesh/base/blake2s.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"
#include "resolver/keeper.h"
#include "resolver/local_names.h"
#include <errno.h>
#include <string.h>

enum { CONF_MAX = 16 << 20 };

int running_config_read(const char *config, struct conf *c, struct zone **z, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read_given(config, CONF_MAX, false, &text, eb);
	if (!err)
		err = conf_read(config, (const char *)buf_data(&text), text.len, c, eb);
	buf_free(&text);
	if (err)
		return err;
	*z = conf_zone(config, c, eb);
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

int running_config_apply(
	struct running *s, const struct conf *c, struct zone *z, struct local_names *names, struct errbuf *eb)
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
	int err = resolver_server_authorities(s->server, c->authorities, eb);
	if (!err && c->secure.certificate)
		err = resolver_server_certificate(s->server, c->secure.certificate, c->secure.key, eb);
	struct resolver_validation v = {
		.anchors = c->anchors, .insecure = c->insecure, .n_insecure = c->n_insecure
	};
	err = err ? err : resolver_server_validate(s->server, c->validate ? &v : NULL, eb);
	err = err ? err : resolver_server_configure(s->server, &rc, eb);
	err = err ? err : resolver_server_allow(s->server, c->allow, c->n_allow, eb);
	err = err ? err : resolver_server_rate(s->server, (uint32_t)c->rate, eb);
	const struct local_watch watch = { .changed = zone_changed, .arg = s };
	if (!err && !local_names_watch(names, s->loop, &watch))
		err = err_say(eb, -ENOMEM, "out of memory for names of machines");
	if (err)
		return err;
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
	x->err = running_config_read(s->config, &x->conf, &x->zone, &x->eb);
	if (x->err)
		return;
	x->names = local_names_read(x->zone, x->conf.names_from, x->conf.n_names_from, &x->eb);
	if (x->names)
		return;
	x->err = x->eb.code;
	zone_put(x->zone);
	conf_free(&x->conf);
}

static int take_anew(struct running *s)
{
	struct reload *x = &s->reload;
	int err = running_config_apply(s, &x->conf, x->zone, x->names, &x->eb);
	if (err)
		local_names_close(x->names);
	else
		err = blocker_reconfigure(s->blocker, &x->conf.arena, &x->conf.block, &x->eb);
	zone_put(x->zone);
	conf_free(&x->conf);
	return err;
}

static void begin(struct running *s);

/* Each may ask again, and so may who is not told any more for another's word. */
static void end(struct running *s, int err)
{
	struct reload *x = &s->reload;
	if (err)
		log_error("%s; the configuration stays as it was", x->eb.text);
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
		end(s, err_say(&x->eb, -ENOMEM, "memory is short"));
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
