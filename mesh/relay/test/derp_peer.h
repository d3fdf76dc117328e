/* A DERP client for the tests and benchmarks of the relay: what it hears is kept frame by frame. */
#ifndef RW_RELAY_TEST_DERP_PEER_H
#define RW_RELAY_TEST_DERP_PEER_H

#include "mesh/base/buf.h"
#include "mesh/proto/derp.h"
#include "mesh/relay/relay.h"
#include "mesh/transport/http.h"

enum { PEER_FRAMES_MAX = 4096 };

struct peer_frame {
	uint8_t type;
	struct node_key who; /* packets, peer-gone */
	uint8_t reason;
	size_t len;	  /* of the data or payload */
	uint8_t head[16]; /* its first bytes */
};

struct derp_peer {
	struct loop *loop;
	struct stream *stream;
	struct http_client *http;
	struct node_private priv;
	struct node_key pub;
	uint8_t server[KEY_LEN];
	bool has_metacert, fast, mute, ready, closed; /* mute: says nothing after the upgrade */
	int status;				      /* of the upgrade answer */
	char version[8], public_hex[80];
	struct buf in;
	struct peer_frame frames[PEER_FRAMES_MAX];
	size_t n_frames;
	uint64_t bytes;
};

/* Connects; `fast` uses the metacert and no 101. *p must stay where it is. */
void derp_peer_start(struct derp_peer *p, struct loop *l, const struct relay *r, bool fast);
void derp_peer_dial(struct derp_peer *p, struct loop *l, const struct endpoint *at,
	const char *pin); /* p->fast is kept */
void derp_peer_send(struct derp_peer *p, const struct node_key *to, const void *data, size_t len);
void derp_peer_frame(struct derp_peer *p, uint8_t type, const void *payload, size_t len);
void derp_peer_stop(struct derp_peer *p);
/* A connection that says nothing: its descriptor. */
int derp_peer_knock(const struct relay *r);
/* Runs the loop until it has heard n frames of this type. */
const struct peer_frame *derp_peer_wait(struct derp_peer *p, uint8_t type, size_t n);
size_t derp_peer_count(const struct derp_peer *p, uint8_t type);
/* A relay on loopback in a fresh folder. */
struct relay *derp_relay_start(struct loop *l, char dir[static 64]);
void derp_relay_stop(struct relay *r, const char *dir);
/* The loop runs for so long. */
void derp_peer_pass_ms(struct loop *l, uint64_t ms);

#endif
