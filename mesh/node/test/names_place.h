/* The node's names in a network namespace of its own, with nameservers that know nothing and count who asks. */
#ifndef RW_NODE_TEST_NAMES_PLACE_H
#define RW_NODE_TEST_NAMES_PLACE_H

#include "mesh/node/names.h"

#define EXPIRED "\"Expired\":true,"
#define KEY(c) "nodekey:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define NODES \
	SELF_WITH("") \
	",\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"b.mesh.test.\",\"Key\":\"" KEY( \
		"bb") "\",\"Addresses\":[\"100.64.0.2/32\"]}]"
#define SELF_WITH(more) \
	"\"Node\":{" more "\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.mesh.test.\",\"Key\":\"" KEY( \
		"aa") "\",\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"]}"

/* An upstream that knows nothing, or one address for whatever is asked, and counts who asks. */
struct upstream {
	int fd;
	struct loop_fd *watch;
	int asked;
	bool knows;
	bool ring; /* sends what it is asked on to the node's resolver, as a dnsmasq does that reads
		      resolv.conf */
};
#define SERVERS(X) \
	X(corp, "127.0.0.9:53") \
	X(fallback, "127.0.0.8:53") \
	X(own, "127.0.0.7:53") \
	X(peer, "100.64.0.2:53") \
	X(self, "100.64.0.1:53")

struct names_place {
	char dir[64], resolv[96];
	struct names n;
	struct state_prefs prefs;
#define X(name, at) struct upstream name;
	SERVERS(X)
#undef X
};

struct names_answer {
	int code, rcode, count;
	bool over;
};

/* In a namespace; the test is skipped where the kernel gives none. */
struct names_place *names_place_make(void);
void names_place_end(struct names_place *p);
/* The names follow a whole map, or what comes onto one. */
void names_place_use(struct names_place *p, const char *json);
void names_place_use_after(struct names_place *p, const char *json, const struct netmap *before);
/* What the resolver answers at 100.100.100.100. */
struct names_answer names_place_ask(struct names_place *p, const char *name, const char *type);

#endif
