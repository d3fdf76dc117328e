#include "mesh/control/config/settings.h"

#include "mesh/base/log.h"
#include "mesh/base/blake2s.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_policy(const char *path, struct policy_source **out, struct errbuf *eb)
{
	struct buf text = { 0 };
	struct errbuf why = { 0 };
	int err = file_read_given(path, POLICY_BYTES_MAX, false, &text, eb);
	if (!err) {
		*out = policy_source_new((char *)buf_data(&text), text.len, &why);
		if (!*out)
			err = err_say(eb, why.code, "policy %s:%s%s", path,
				why.text[0] >= '0' && why.text[0] <= '9' ? "" : " ", why.text);
	}
	buf_free(&text);
	return err;
}

static bool hash_message(const struct ctl_map_response *m, uint8_t hash[static SETTINGS_HASH])
{
	struct buf text = { 0 };
	bool ok = blake2s_setup() && ctl_map_response_write(&text, m);
	if (ok)
		blake2s_hash(&(struct noise_part) { buf_data(&text), text.len }, 1, hash);
	buf_free(&text);
	return ok;
}

struct settings *settings_get(struct settings *s)
{
	s->refs++;
	return s;
}

void settings_put(struct settings *s)
{
	if (!s || --s->refs)
		return;
	policy_source_put(s->source);
	settings_put(s->lent);
	arena_free(&s->mem);
	free(s);
}

static void use_policy(struct settings *s, struct policy_source *source)
{
	s->source = source;
	s->policy = source ? source->rules : NULL;
}

static bool use_blocking(struct settings *s, const struct config_blocking *b)
{
	struct buf text = { 0 };
	if (!b->node)
		return true;
	if (ctl_blocking_write(&text, &b->rules)) {
		s->block_caps = arena_strndup(&s->mem, (const char *)buf_data(&text), text.len);
		s->block_node = s->block_caps ? arena_strdup(&s->mem, b->node) : NULL;
	}
	buf_free(&text);
	return s->block_node;
}

static bool use_dns(struct settings *s, const struct control_config *c, const struct control_config *set,
	const struct config_records *records)
{
	struct control_config with = *c;
	if (set)
		config_dns_take(&with, set);
	s->dns_overrides = with.override_local_dns;
	s->file_dns_overrides = c->override_local_dns;
	return config_dns(&with, records, &s->mem, &s->dns) &&
	       config_dns(c, &(struct config_records) { 0 }, &s->mem, &s->file_dns);
}

struct settings *settings_read(const struct control_config *c, const struct control_config *dns_set,
	const struct settings_relay *relay, struct policy_source *kept, struct errbuf *eb)
{
	struct policy_source *source = c->policy_database ? policy_source_get(kept) : NULL;
	struct settings *s = calloc(1, sizeof(*s));
	if (!s) {
		policy_source_put(source);
		err_set(eb, -ENOMEM, "settings");
		return NULL;
	}
	s->refs = 1;
	s->base_domain = arena_strdup(&s->mem, c->base_domain);
	s->name = arena_strdup(&s->mem, c->network_name);
	s->records_path = arena_strdup(&s->mem, c->records_path);
	struct ctl_map_response dns = { .dns = &s->dns, .control_time_ms = FLEET_NO_TIME };
	struct ctl_map_response derp = { .derp_map = &s->derp, .control_time_ms = FLEET_NO_TIME };
	struct config_records records = c->records;
	int err = !c->policy_database && *c->policy_path ? read_policy(c->policy_path, &source, eb) : 0;
	use_policy(s, source);
	if (err || config_derp_read(&c->derp_paths, &s->mem, &s->derp, eb) ||
		(*c->records_path && config_records_read(c->records_path, &s->mem, &records, eb))) {
		settings_put(s);
		return NULL;
	}
	bool region = relay && !c->relay.no_region;
	if ((region && !config_relay_region(c, &relay->at, &relay->stun, relay->pin, &s->mem, &s->derp)) ||
		s->mem.failed || !use_blocking(s, &c->blocking) || !use_dns(s, c, dns_set, &records) ||
		!hash_message(&dns, s->dns_hash) || !hash_message(&derp, s->derp_hash)) {
		err_set(eb, -ENOMEM, "settings");
		settings_put(s);
		return NULL;
	}
	return s;
}

/* The same, lent by whom has all of it, but for the DNS records, which are left out. NULL: memory is short. */
static struct settings *borrow(struct settings *from)
{
	struct settings *s = calloc(1, sizeof(*s)), *owner = from->lent ? from->lent : from;
	if (!s)
		return NULL;
	*s = *owner;
	s->refs = 1;
	s->lent = settings_get(owner);
	s->mem = (struct arena) { 0 };
	s->dns.extra = NULL;
	s->dns.n_extra = 0;
	use_policy(s, policy_source_get(from->source));
	return s;
}

struct settings *settings_with_records(struct settings *from, struct errbuf *eb)
{
	struct settings *s = borrow(from);
	struct config_records records = { 0 };
	if (!s) {
		err_set(eb, -ENOMEM, "settings");
		return NULL;
	}
	struct ctl_map_response dns = { .dns = &s->dns, .control_time_ms = FLEET_NO_TIME };
	int err = config_records_read(s->records_path, &s->mem, &records, eb);
	s->dns.extra = records.v;
	s->dns.n_extra = records.n;
	if (!err && !hash_message(&dns, s->dns_hash))
		err = err_set(eb, -ENOMEM, "settings");
	if (!err)
		return s;
	settings_put(s);
	return NULL;
}

struct settings *settings_with_policy(struct settings *from, struct policy_source *source)
{
	struct settings *s = borrow(from);
	struct ctl_record *v = s ? arena_array(&s->mem, from->dns.n_extra, sizeof(*v)) : NULL;
	for (size_t i = 0; i < from->dns.n_extra && v; i++)
		v[i] = (struct ctl_record) { .name = arena_strdup(&s->mem, from->dns.extra[i].name),
			.type = arena_strdup(&s->mem, from->dns.extra[i].type),
			.value = arena_strdup(&s->mem, from->dns.extra[i].value) };
	if (!v || s->mem.failed) {
		settings_put(s);
		return NULL;
	}
	s->dns.extra = v;
	s->dns.n_extra = from->dns.n_extra;
	memcpy(s->dns_hash, from->dns_hash, sizeof(s->dns_hash));
	policy_source_put(s->source);
	use_policy(s, policy_source_get(source));
	return s;
}
