/* Names that this machine blocks for the others, since the server says so of it (CTL_BLOCKING_CAP): the map's words into
 * a blocker, and who of the mesh asks. docs/dns.md. */
#ifndef RW_NODE_BLOCKING_H
#define RW_NODE_BLOCKING_H

#include "mesh/netmap/netmap.h"
#include "mesh/base/table.h"
#include "mesh/os/loop.h"
#include "resolver/blocker.h"

/* Embedded in its owner, who sets the first three and leaves the rest at zero. */
struct blocking {
	struct loop *loop;
	const struct proxies
		*proxies;      /* borrowed, set anew each time; by which those are fetched; NULL: by none */
	const char *state_dir; /* borrowed; lists of URLs are kept in a folder of it */
	bool wanted;	       /* the map says so, in words that can be used */
	char *told;	       /* the capabilities that this was read from; owned; NULL: none */
	struct arena mem;      /* what `rules` lives in, until a blocker has it */
	struct conf_block rules;
	bool fresh;		 /* `rules` is to be taken by the blocker */
	struct blocker *blocker; /* NULL: nothing is blocked */
	struct netmap *map;	 /* a reference of our own; what by_address is of */
	bool filled;		 /* by_address knows them all; else it is empty */
	struct table by_address; /* struct addr -> number of the peer, of `map` */
	char odd[256];		 /* what of the words cannot be used; "" = nothing */
};

/* What the map says now: wanted, odd. false: memory is short; the words are as they were, and until it is told again peers
 * are strangers, who are told least. */
bool blocking_follow(struct blocking *b, struct netmap *m);
/* As wanted: the resolver blocks, or does not. false: memory is short, what was blocked is; to be called again. */
bool blocking_serve(struct blocking *b, struct resolver *core);
/* Why it is not blocked as is wanted; "" = it is. Valid until the next call into the loop. */
const char *blocking_trouble(const struct blocking *b);
/* The resolver is closed (NULL) or another, which blocks at once what the one before did. */
void blocking_move(struct blocking *b, struct resolver *core);
void blocking_fini(struct blocking
		*b); /* before the resolver is closed for good: nothing is blocked, the map is forgotten */
/* Where others ask this machine for names: nowhere, or at its own addresses of that map. */
size_t blocking_places(const struct blocking *b, const struct netmap *m, struct addr out[static 2]);
/* Which lists hold for who asks from there, a bit for each. */
uint32_t blocking_lists(const struct blocking *b, const struct addr *from);
/* Is it this machine, or one that is none of the mesh (a container of its own)? Others of the mesh, and who is in a
 * network behind one of them, are told the names that they may know by the server, and hear no more of them from here. */
bool blocking_is_ours(const struct blocking *b, const struct addr *from);
/* As blocker_search_start; NULL: nothing is blocked here, or memory is short. */
struct blocker_search *blocking_search(struct blocking *b, const struct addr *from,
	const struct dns_name *name,
	void (*told)(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb), void *arg);

#endif
