/* ICMP echoes that the plane itself sends and takes back, beside those of the machine's own programs. RFC 792, 4443. */
#ifndef RW_NODE_PLANE_ECHO_H
#define RW_NODE_PLANE_ECHO_H

#include "mesh/node/plane/plane.h"

/* A request as a packet for p; mark and token come back with the answer. */
void echo_write(struct pkt *p, const struct addr *us, const struct addr *peer, uint64_t mark, uint64_t token);
/* p, the whole inner packet, answers one of ours: its token. */
bool echo_is_answer(const struct ip_view *v, const uint8_t *p, uint64_t mark, uint64_t *token);

#endif
