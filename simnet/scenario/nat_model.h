/* All that a NAT is, as plain data: what an engine makes, what the oracle reckons with, what the self-test
 * measures. Nothing here knows how. An engine that cannot be a NAT as described refuses it by name. Classes
 * and terms: RFC 4787 (UDP), 5382 (TCP), 5508 (ICMP), 7857 (what changed since), 6888 and 7422 (blocks of
 * ports). */
#ifndef SIMNET_NAT_MODEL_H
#define SIMNET_NAT_MODEL_H

#include "mesh/base/addr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 4787 section 4.1: what a mapping depends on besides the inside endpoint (nothing, the outside address,
 * the outside address and port), and section 5: who may send to it. For TCP RFC 5382 sections 4 and 5. */
enum nat_mapping { NAT_EIM, NAT_ADM, NAT_APDM, NAT_MAPPINGS };
enum nat_filtering { NAT_EIF, NAT_ADF, NAT_APDF, NAT_FILTERINGS };
struct nat_class {
	enum nat_mapping mapping;
	enum nat_filtering filtering;
};

/* How a new mapping gets its external port. RFC 4787 section 4.2. */
enum nat_ports {
	NAT_PORTS_HASH, /* a hash of seed and what the mapping depends on; never the inner port by intent */
	NAT_PORTS_PRESERVE,   /* the inner port while nobody has it, else another (4.2.1) */
	NAT_PORTS_OVERLOAD,   /* the inner port even if another host has it, towards another outside endpoint
			     */
	NAT_PORTS_SEQUENTIAL, /* the next one, over all inside hosts */
	NAT_PORTS_RANDOM,     /* a free one by chance; not by the seed where the kernel chooses */
	NAT_PORTS_PARITY,     /* as HASH, and even for even, odd for odd (4.2.2) */
	NAT_PORTS_BLOCK, /* each inside address has block_ports of its own; when they are gone, no more */
	NAT_PORTS_KINDS
};
/* RFC 4787 section 6, REQ-9. INTERNAL: the inside peer sees the sender's inside endpoint; EXTERNAL: its
 * mapping. */
enum nat_hairpin { NAT_HAIRPIN_OFF, NAT_HAIRPIN_INTERNAL, NAT_HAIRPIN_EXTERNAL, NAT_HAIRPINS };
/* Which packets keep a mapping alive. RFC 4787 section 4.3, REQ-6. */
enum nat_refresh { NAT_REFRESH_BOTH, NAT_REFRESH_OUT, NAT_REFRESH_IN, NAT_REFRESHES };
/* Whether a mapping that has expired comes back with its port. POLICY: as `ports` happens to choose. */
enum nat_expiry { NAT_EXPIRY_POLICY, NAT_EXPIRY_KEEP, NAT_EXPIRY_MOVE, NAT_EXPIRIES };
/* What becomes of a TCP segment without SYN that belongs to no flow the NAT knows, from inside. RFC 5382
 * section 7, RFC 7857 section 2. */
enum nat_unknown {
	NAT_UNKNOWN_LOOSE,  /* makes a mapping, as if the connection had begun */
	NAT_UNKNOWN_STRICT, /* is answered with ICMP "administratively prohibited" */
	NAT_UNKNOWN_RESET,  /* is answered with a reset; so is one from outside */
	NAT_UNKNOWN_SILENT, /* is dropped */
	NAT_UNKNOWNS
};
/* RFC 4787 section 11, REQ-14. */
enum nat_fragments {
	NAT_FRAGMENTS_ANY,   /* in any order */
	NAT_FRAGMENTS_ORDER, /* only behind the first */
	NAT_FRAGMENTS_NONE,  /* dropped, all */
	NAT_FRAGMENTS_KINDS
};

/* Whole seconds without a packet that refreshes. RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 5508 REQ-2. */
struct nat_lifetimes {
	uint32_t udp_new_s;	/* of a UDP mapping that nobody has answered */
	uint32_t udp_s;		/* and once somebody has */
	uint32_t tcp_opening_s; /* half open */
	uint32_t tcp_s;		/* established */
	uint32_t tcp_closing_s; /* after FIN or RST */
	uint32_t icmp_s;	/* of a query */
};

/* What arrives at an external port goes to one inside endpoint, whoever sends it; what that endpoint sends
 * leaves by the same port. */
struct nat_forward {
	uint8_t proto; /* 17 or 6 */
	uint16_t port; /* outer */
	uint16_t to_port;
	const char *to; /* name of a node or router behind this one */
	struct addr ip; /* its address there; filled by topology_plan */
};
enum { NAT_FORWARDS_MAX = 16, NAT_POOL_MAX = 8, NAT_LIFETIME_MAX_S = 432000, NAT_TABLE_MAX = 65536 };

struct nat_model {
	struct nat_class udp, tcp;
	enum nat_ports ports;
	uint32_t block_ports; /* BLOCK: a power of two, 4 to 4096 */
	uint32_t pool;	     /* external addresses: the WAN's and the pool - 1 behind it; 1 to NAT_POOL_MAX */
	bool pool_arbitrary; /* each mapping takes any of them; else an inside address keeps one (REQ-2) */
	enum nat_hairpin hairpin;
	bool hairpin_filters; /* what hairpins is let in as if it came from outside; else always */
	struct nat_lifetimes lifetimes;
	/* udp_s holds from the first packet of an answered flow that comes so long after its first; 0 = as soon as it is
	 * answered. conntrack's: NAT_STREAM_S (nf_conntrack_proto_udp.c). */
	uint32_t udp_stream_s;
	enum nat_refresh refresh;
	enum nat_expiry expiry;
	enum nat_unknown tcp_unknown;
	uint32_t
		table; /* mappings of each protocol, at most; what finds no room is dropped. 1 to NAT_TABLE_MAX */
	bool icmp_errors_lost; /* ICMP errors about translated packets do not pass (against RFC 5508 REQ-3) */
	enum nat_fragments fragments;
	bool accepts_wan; /* unsolicited packets reach the router itself, make state, and may take a port away
			     that a later flow wants: the plain `masquerade` without an input filter */
	struct nat_forward forwards[NAT_FORWARDS_MAX];
	size_t n_forwards;
};
/* EIM/APDF for both, hashed ports, no hairpin, 120 s, 2 h 4 min for TCP. */
extern const struct nat_model nat_model_default;

/* Words of the enums in files and messages, each list NULL-terminated; index = value. */
extern const char *const nat_mapping_words[],
	*const nat_filtering_words[], *const nat_ports_words[],
					      *const nat_hairpin_words[],
						      *const nat_refresh_words[],
							      *const nat_expiry_words[],
								      *const nat_unknown_words[],
									      *const nat_fragments_words[];

/* Whether a UDP mapping of it is a flow of Linux's connection tracking and nothing else, which lives by that one's times: its
 * port gives way by the outside end, a stream begins after NAT_STREAM_S, and each packet counts, also one from inside that gets
 * no further than the router. */
enum { NAT_STREAM_S = 2 };
bool nat_model_is_conntrack(const struct nat_model *m);

/* m becomes `next`, but for its outer addresses and forwards, which belong to where the router stands. */
void nat_model_replace(struct nat_model *m, const struct nat_model *next);

/* What names stand for. `translates` false: no NAT at all. `source`: who measured or specified it so. */
struct nat_preset {
	const char *word;
	bool translates;
	struct nat_model model;
	const char *source;
};
extern const struct nat_preset nat_presets[];
extern const size_t nat_n_presets;
extern const char *const nat_preset_words[];		    /* of the same order, NULL-terminated */
const struct nat_preset *nat_preset_find(const char *word); /* NULL: none */

/* NULL, or what contradicts itself in m, as "a block of 3 ports: ...". Static text. */
const char *nat_model_trouble(const struct nat_model *m);
/* Everything in which m differs from nothing at all, in words: "UDP EIM/APDF, TCP EIM/APDF, ports hash,
 * hairpin off, ...". Returns out. */
enum { NAT_MODEL_TEXT = 512 };
const char *nat_model_format(const struct nat_model *m, char out[static NAT_MODEL_TEXT]);

#endif
