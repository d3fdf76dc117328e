/* The NAT's mappings and sessions, shared by its two files: nat_table.c keeps them, nat.c says what packets do. */
#ifndef SIMNET_USER_NAT_TABLE_H
#define SIMNET_USER_NAT_TABLE_H

#include "mesh/base/heap.h"
#include "simnet/fabric/user/nat.h"

struct nat_key { /* hashed as bytes; what does not count is zero */
	uint8_t proto, pad;
	uint16_t port, peer_port;
	struct addr ip, peer;
	uint16_t pad2;
};
struct nat_session;
struct nat_binding {
	struct nat_key key;	  /* inside end, and of the peer what the class makes it depend on */
	struct endpoint outside;  /* port 0: of a protocol without ports */
	struct nat_binding *same; /* the next that has this outside end, by overloading */
	struct nat_session *sessions;
};
enum nat_state {
	NAT_NEW,
	NAT_ANSWERED,
	NAT_CLOSING
}; /* NEW: seen one way only; TCP: the handshake is not over */
struct nat_session {
	struct heap_item due; /* ns */
	struct nat_key key;   /* inside end and peer */
	struct nat_binding *mapping;
	struct nat_session *next; /* of its mapping */
	enum nat_state state;
	bool outward;		    /* who spoke first */
	bool is_stream;		    /* UDP: nat_model.udp_stream_s; it stays so */
	uint64_t begun_ns, used_ns; /* its first packet; its life counts from here, 0 = not yet */
};
struct nat_count { /* how often a mapping was made, so that it moves */
	uint32_t made;
	uint16_t port; /* its last */
};

struct nat {
	struct nat_model m;
	struct addr pool[NAT_POOL_MAX];
	bool pool_given;
	const char *name;
	uint64_t seed;
	struct decision_log *log;
	struct draw_key draw;
	uint32_t epoch, next_port; /* resets; the sequence */
	struct table mappings, outside, sessions, counts, blocks;
	struct heap heap;
	struct {
		bool used;
		struct draw_flow flow;
		uint16_t id;
		bool inward;
		struct endpoint to;
	} fragments[16]; /* where later fragments go: what the first was rewritten to */
	unsigned next_fragment;
	uint32_t n_bindings[3]; /* UDP, TCP, others */
};

struct nat_key nat_key_of(uint8_t proto, const struct endpoint *inside, const struct endpoint *peer);
struct nat_session *nat_find_session(
	struct nat *n, uint8_t proto, const struct endpoint *inside, const struct endpoint *peer);
/* The session of an inside end with a peer; a new one, and its mapping, are made where there are none. NULL: why. */
struct nat_session *nat_open_session(struct nat *n, uint8_t proto, const struct endpoint *inside,
	const struct endpoint *peer, uint64_t now_ns, const char **why);
/* A new one of a mapping that is there (the peer spoke first). */
struct nat_session *nat_join_session(
	struct nat *n, struct nat_binding *m, const struct endpoint *peer, uint64_t now_ns, const char **why);
/* One of a peer who comes for the outside end, which leads to that inside one: by its own mapping, where that has another
 * outside end. */
struct nat_session *nat_lead_session(struct nat *n, uint8_t proto, const struct endpoint *inside,
	const struct endpoint *outside, const struct endpoint *peer, uint64_t now_ns, const char **why);
/* The router itself talks with the peer from its outside end. */
struct nat_session *nat_occupy(struct nat *n, uint8_t proto, const struct endpoint *outside,
	const struct endpoint *peer, uint64_t now_ns, const char **why);
/* The first mapping that has the outside end; more by `same`. */
struct nat_binding *nat_find_outside(struct nat *n, uint8_t proto, const struct endpoint *outside);
void nat_close_session(struct nat *n, struct nat_session *s, enum decision_kind kind, uint64_t now_ns);
enum nat_mapping nat_mapping_class(const struct nat *n, uint8_t proto);
enum nat_filtering nat_filtering_class(const struct nat *n, uint8_t proto);

#endif
