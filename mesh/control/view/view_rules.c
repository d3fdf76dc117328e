#include "mesh/control/view/view_rules.h"

#include "mesh/base/noise.h"
#include "mesh/proto/json.h"
#include <string.h>

/* Official clients send and take files where they are told this. */
#define FILE_SHARING_CAP "https://tailscale.com/cap/file-sharing"
/* The capability without which official clients do not let anybody log in. */
#define SSH_CAP "https://tailscale.com/cap/ssh"

/* Whose key has ended lets nobody in, and need not know the addresses and users that it would let in. */
static bool write_rules(const struct view_context *c, const struct member *self, bool logins, struct arena *a,
	struct ctl_map_response *out)
{
	const struct policy *p = c->set->policy;
	if (!self->expired && !policy_filter(p, c->fleet, view_rules_cache(c), self, a, &out->filters->rules,
				      &out->filters->n_rules))
		return false;
	return !logins || policy_ssh(self->expired ? NULL : p, c->fleet, self, a, &out->ssh_json);
}

bool view_rules_add(const struct view_context *c, const struct member *self, bool *logins, struct arena *a,
	uint8_t hash[static VIEW_HASH], struct ctl_map_response *out)
{
	struct ctl_map_response only = { .control_time_ms = FLEET_NO_TIME };
	struct buf text = { 0 };
	only.filters = arena_alloc(a, sizeof(*only.filters));
	if (!only.filters)
		return false;
	only.n_filters = 1;
	only.filters->name = "base";
	*logins = *logins || policy_has_ssh(c->set->policy);
	bool ok = write_rules(c, self, *logins, a, &only) && ctl_map_response_write(&text, &only);
	if (ok)
		blake2s_hash(&(struct noise_part) { buf_data(&text), text.len }, 1, hash);
	buf_free(&text);
	out->filters = only.filters;
	out->n_filters = 1;
	out->ssh_json = only.ssh_json;
	return ok;
}

bool view_rules_mark(const struct view_context *c, const struct member *self, uint64_t *mark)
{
	*mark = 0; /* no other's */
	return self->expired || policy_filter_mark(c->set->policy, c->fleet, view_rules_cache(c), self, mark);
}

const char *view_rules_caps(const struct view_context *c, const struct member *self, struct arena *a)
{
	struct ctl_strings attrs;
	struct buf text = { 0 };
	struct json_out out = { .to = &text };
	if (!policy_attrs(c->set->policy, c->fleet, self, a, &attrs))
		return NULL;
	/* A node that starts while this server is away may use its last map (capver 135). */
	json_put(&out, "{\"cache-network-maps\":null,\"" FILE_SHARING_CAP "\":null");
	if (policy_has_ssh(c->set->policy))
		json_put(&out, ",\"" SSH_CAP "\":null");
	for (size_t i = 0; i < attrs.n; i++) {
		json_put(&out, ",");
		json_put_string(&out, attrs.v[i]);
		json_put(&out, ":null");
	}
	if (c->set->block_node && !self->expired && !strcmp(c->set->block_node, self->name)) {
		json_put(&out, ",\"" CTL_BLOCKING_CAP "\":[");
		json_put(&out, c->set->block_caps);
		json_put(&out, "]");
	}
	json_put(&out, "}");
	const char *kept = out.bad ? NULL : arena_strndup(a, (const char *)buf_data(&text), text.len);
	buf_free(&text);
	return kept;
}

uint64_t view_rules_routes(const struct view_context *c, const struct member *self, const struct member *peer,
	struct arena *a, struct ctl_prefixes *out, bool *all)
{
	uint64_t told = 0;
	*out = (struct ctl_prefixes) { .v = arena_array(a, peer->carries.n, sizeof(*out->v)) };
	for (size_t i = 0; i < peer->carries.n && out->v; i++) {
		const struct prefix *p = &peer->carries.v[i];
		if (!policy_shows_route(c->set->policy, c->fleet, self, peer, p))
			continue;
		out->v[out->n++] = *p;
		told = addr_hash(&p->ip, told * 31 + p->bits + 1);
	}
	*all = out->n == peer->served.n;
	for (size_t i = 0; i < out->n && *all; i++)
		*all = prefix_equal(&out->v[i], &peer->served.v[i]);
	return told;
}
