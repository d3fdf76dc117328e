/* The node's names on a machine of machine.h: what tests of its owners share. getent(1) asks as every program does. */
#ifndef RW_NODE_TEST_OWNER_PLACE_H
#define RW_NODE_TEST_OWNER_PLACE_H

#include "mesh/node/names.h"
#include "mesh/node/test/machine.h"

#define KEY(c) "nodekey:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define MAP(more) \
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.mesh.test.\",\"Key\":\"" KEY( \
		"aa") "\",\"Addresses\":[\"100.64.0.1/" \
		      "32\"]},\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"b.mesh." \
		      "test.\",\"Key\":\"" KEY("bb") "\",\"Addresses\":[\"100.64.0.2/" \
						     "32\"]}],\"DNSConfig\":{\"Proxied\":true," \
						     "\"Domains\":[\"mesh.test\"],\"ExtraRecords\":[{" \
						     "\"Name\":\"six.other.example\"," \
						     "\"Value\":\"100.64.0.9\"}]" more "}}"
#define GLOBAL ",\"Resolvers\":[{\"Addr\":\"192.0.2.54\"}]"
#define IS(name, ip) "getent ahostsv4 " name " | grep -q '^" ip " '"

struct place {
	struct names n;
	struct state_prefs prefs;
	struct netmap *map;
	struct machine_server *own, *global; /* at 192.0.2.53 and .54 */
	pid_t bus, owner;
	uint64_t ask_again_ms; /* of struct dns_places; 0: as on any machine */
	int news;	       /* how often os_dns said that something changed */
};
/* With the loop and the nameservers, before any program is started. */
void place_open(struct place *p);
void place_names(struct place *p); /* then: /etc/resolv.conf, whose it is now */
void place_close(struct place *p);
void place_silence(struct place *p); /* nothing answers at 192.0.2.54 any more */
void place_map(struct place *p, const char *json);
void place_off(struct place *p); /* --accept-dns=false: all is as it was */
void place_expect(struct place *p, enum dns_owner owner, const char *reason);
/* A process that finds what another left behind, and puts it back. */
void place_recover(struct place *p);

#endif
