/* Two cores and a network between them that is as bad as a test wants it; its clock is the test's. */
#ifndef RW_WG_TEST_PAIR_H
#define RW_WG_TEST_PAIR_H

#include "mesh/wg/core.h"

enum { PAIR_FLIGHT = 512, PAIR_START_MS = 1000000, PAIR_UNIX_MS = 1700000000 };

struct pair_datagram {
	uint64_t at_ms;
	int to;
	size_t len;
	uint8_t b[PKT_SIZE];
};
struct pair;
enum pair_op { PAIR_SEND, PAIR_SEND_BACK, PAIR_HEARD, PAIR_READY, PAIR_UNKNOWN, PAIR_OPS };
struct pair_end {
	struct pair *pair;
	int self;
	struct wg *wg;
	struct node_private priv;
	struct node_key key;
	struct addr ip;
	struct endpoint at; /* where the network says it is */
	bool under_load, on_demand;
	void (*inside)(struct pair_end *e, enum pair_op op); /* called first in every op; NULL: nothing is */
	void (*recall)(struct pair_end *e);		     /* the op; NULL: nothing was lent */
	struct wg_received last;
	enum wg_verdict verdict;
	unsigned ready, heard, delivered, keepalives, twice, sent[5]; /* sent: by message type */
	uint64_t sent_ms[5];					      /* when the last one left */
	uint8_t *seen;						      /* by sequence number, when wanted */
	size_t n_seen;
};
struct pair {
	struct pair_end end[2];
	uint64_t now_ms, rng;
	unsigned loss, twice; /* per thousand */
	unsigned delay_ms, jitter_ms;
	uint8_t psk[KEY_LEN];
	bool cut[5];		      /* message types the network swallows */
	struct pair_datagram *flight; /* PAIR_FLIGHT; at_ms 0 = free */
	struct pair_datagram last[5]; /* newest of each type */
};

void pair_init(struct pair *p, const uint8_t *psk);
void pair_fini(struct pair *p);
uint64_t pair_random(struct pair *p);
void pair_introduce(struct pair *p, int who); /* tells who of the other */
/* A 64-byte IP packet with this sequence number from one end to the other. */
enum wg_verdict pair_send(struct pair *p, int from, uint32_t seq);
size_t pair_packet(const struct pair *p, int from, uint32_t seq, uint8_t *out);
/* Hands a datagram to an end now. */
enum wg_verdict pair_deliver(struct pair *p, int to, const uint8_t *b, size_t len);
void pair_run(struct pair *p, uint64_t ms);
/* Until both ends can send, by a handshake from `from`. */
void pair_connect(struct pair *p, int from);

#endif
