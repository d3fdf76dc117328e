/* TSMP, the engine's own protocol inside the tunnel (IP protocol 99). tailscale-protocol.md 3.4. */
#ifndef RW_NODE_PLANE_TSMP_H
#define RW_NODE_PLANE_TSMP_H

#include "mesh/node/plane/plane.h"

/* p is the whole inner packet; its source has been checked against the peer's allowed-ips. */
void tsmp_received(struct plane *d, uint64_t peer, bool by_relay, const struct ip_view *v, const uint8_t *p);
/* The rules forbid this TCP connection: the peer's user should not have to guess. */
void tsmp_reject(struct plane *d, uint64_t peer, const struct ip_view *v);
/* The answer goes to path_data_answered. */
void tsmp_ping(struct plane *d, uint64_t peer, uint64_t token, const struct path_way *way);
/* The same as a packet for p, to be sealed by the caller; the answer goes to io.echo_answered too. */
void tsmp_ping_write(struct pkt *p, const struct addr *us, const struct addr *peer, uint64_t token);
/* A session is up. While the server is away the peer cannot have learnt our disco key from it: tell it. */
void tsmp_session_ready(struct plane *d, uint64_t peer);

#endif
