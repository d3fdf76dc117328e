/* The relay inside the server (derp.server): it has no door of its own. Requests for it come by the server's
 * TLS door, which web.c watches, and are handed over; STUN has a socket of its own. Only nodes of this server
 * may stay, unless verify_clients is false. */
#include "mesh/control/server.h"

#include "mesh/relay/relay.h"
#include "mesh/transport/stream.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

static struct web_door *tls_door(struct server *s)
{
	return s->doors[1].tls ? &s->doors[1] : &s->doors[0];
}

static bool is_member(void *arg, const struct node_key *who)
{
	const struct server *s = arg;
	return fleet_by_key(&s->reg.fleet, who) != NULL;
}

/* A certificate for everybody may carry the relay's key, which saves clients a round trip. With a pinned one
 * clients before 1.84 take it for a second certificate and refuse both. */
int derp_certificate_changed(struct server *s, struct errbuf *eb)
{
	struct web_door *d = tls_door(s);
	return s->relay && d->tls && !*s->own_pin ? tls_server_metacert(d->tls, relay_public(s->relay), eb)
						  : 0;
}

int derp_open(struct server *s, struct errbuf *eb)
{
	const struct config_relay *c = &s->cfg.relay;
	const char *slash = strrchr(s->cfg.noise_key_path, '/');
	char key[PATH_MAX];
	if (!c->enabled)
		return 0;
	snprintf(key, sizeof(key), "%.*sderp_server_private.key",
		slash ? (int)(slash + 1 - s->cfg.noise_key_path) : 0, s->cfg.noise_key_path);
	struct relay_options o = { .embedded = true,
		.derp_key_file = c->key_path ? c->key_path : key,
		.stun = { c->stun },
		.n_stun = endpoint_is_set(&c->stun),
		.admits = c->verify_clients ? is_member : NULL,
		.admits_arg = s };
	s->relay = relay_open(s->loop, &o, eb);
	return s->relay ? derp_certificate_changed(s, eb) : eb->code;
}

void derp_close(struct server *s)
{
	relay_close(s->relay);
	s->relay = NULL;
}

const struct settings_relay *derp_facts(const struct server *s, struct settings_relay *out)
{
	if (!s->relay)
		return NULL;
	*out = (struct settings_relay) { .at = tls_door((struct server *)s)->at,
		.stun = relay_stun_at(s->relay, 0) };
	memcpy(out->pin, s->own_pin, sizeof(out->pin));
	return out;
}
