/* The relay inside the server (derp.server): it has no door of its own. Requests for it come by the server's
 * TLS door, which web.c watches, and are handed over; STUN has a socket of its own. Only nodes of this server
 * may stay, unless verify_clients is false. */
#include "mesh/control/http/derp.h"

#include "mesh/relay/relay.h"
#include "mesh/transport/stream.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const struct door *tls_door(const struct web *w)
{
	return w->doors[1].tls ? &w->doors[1] : &w->doors[0];
}

static enum relay_verdict is_member(void *arg, const struct node_key *who, const struct endpoint *from)
{
	const struct web *w = arg;
	(void)from;
	return fleet_by_key(&w->api->reg->fleet, who) ? RELAY_YES : RELAY_NO;
}

void derp_member_gone(struct web *w, const struct node_key *who)
{
	if (w->relay && w->api->cfg->relay.verify_clients)
		relay_dismiss(w->relay, who);
}

/* A certificate for everybody may carry the relay's key, which saves clients a round trip. With a pinned one
 * clients before 1.84 take it for a second certificate and refuse both. */
int derp_certificate_carries(const struct web *w, const struct web_certificate *c, struct errbuf *eb)
{
	return w->relay && c->tls && !*c->pin ? tls_server_metacert(c->tls, relay_public(w->relay), eb) : 0;
}

static int open_certificate_carries(const struct web *w, struct errbuf *eb)
{
	struct web_certificate shown = { .tls = tls_door(w)->tls };
	memcpy(shown.pin, w->pin, sizeof(shown.pin));
	return derp_certificate_carries(w, &shown, eb);
}

int derp_open(struct web *w, struct errbuf *eb)
{
	const struct config_relay *c = &w->api->cfg->relay;
	const char *slash = strrchr(w->api->cfg->noise_key_path, '/');
	char key[PATH_MAX];
	if (!c->enabled)
		return 0;
	snprintf(key, sizeof(key), "%.*sderp_server_private.key",
		slash ? (int)(slash + 1 - w->api->cfg->noise_key_path) : 0, w->api->cfg->noise_key_path);
	struct relay_options o = { .embedded = true,
		.derp_key_file = c->key_path ? c->key_path : key,
		.stun = { c->stun },
		.n_stun = endpoint_is_set(&c->stun),
		.admits = c->verify_clients ? is_member : NULL,
		.admits_arg = w };
	w->relay = relay_open(w->loop, &o, eb);
	return w->relay ? open_certificate_carries(w, eb) : eb->code;
}

void derp_close(struct web *w)
{
	relay_close(w->relay);
	w->relay = NULL;
}

const struct settings_relay *web_relay_facts(const struct web *w, const char *pin, struct settings_relay *out)
{
	if (!w->relay)
		return NULL;
	*out = (struct settings_relay) { .at = tls_door(w)->at, .stun = relay_stun_at(w->relay, 0) };
	snprintf(out->pin, sizeof(out->pin), "%s", pin);
	return out;
}
