/* Packets of the plane's target, as its script says: between addresses that mean something, with right sums. */
#ifndef RW_NODE_PLANE_FUZZ_PLANE_PACKETS_H
#define RW_NODE_PLANE_FUZZ_PLANE_PACKETS_H

#include "mesh/base/wire.h"
#include "mesh/node/plane/plane.h"

enum { PLANE_L4_MAX = 1400 };
/* What packets are from and to. */
enum { PEER4, PEER6, OTHER4, OTHER6, US4, US6, PLACES = 16 };
extern struct addr places[PLACES];
void name_places(void);

size_t put_text(struct rd *script, uint8_t *out, size_t most); /* a length, and bytes; returns how many */
void put_bytes(struct rd *script, struct pkt *p);
/* Between two of the places. Bits of its second byte: what it is, and whether it may be cut. */
void put_packet(struct rd *script, struct pkt *p);
/* What answers `was`, or an error of somebody who quotes it. */
void put_answer(struct rd *script, struct pkt *p, const struct pkt *was);

#endif
