/* Captured packets as programs read them: the pcap format, as official clients write it (net/packet and feature/capture of
 * v1.102.5), or with bare packets. */
#ifndef RW_PROTO_CAPTURE_H
#define RW_PROTO_CAPTURE_H

#include "mesh/base/buf.h"
#include <stdint.h>

enum capture_form {
	CAPTURE_OFFICIAL, /* link type 147: before each packet 4 bytes, which say how it travels */
	CAPTURE_RAW	  /* link type 101, raw IP: for programs that know nothing of it */
};
enum { CAPTURE_HEAD = 24, CAPTURE_RECORD = 16, CAPTURE_HOW = 4 };

/* What begins a capture, and one packet. how: local_node.h. unix_us: when. false: memory is short, nothing is appended. */
bool capture_head_write(struct buf *out, enum capture_form form);
bool capture_packet_write(
	struct buf *out, enum capture_form form, unsigned how, int64_t unix_us, const uint8_t *p, size_t len);

#endif
