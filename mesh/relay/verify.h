/* Which nodes may use a relay that is not everybody's: those on a list, those that the server beside it
 * knows, those that an admission controller allows (one yes is enough). What was answered is kept for a
 * while, and a yes as long as nobody can be asked: a server that is away costs no node its relay. */
#ifndef RW_RELAY_VERIFY_H
#define RW_RELAY_VERIFY_H

#include "mesh/relay/relay.h"

struct proxies;
struct verify_options {
	const char *keys_file;	       /* "nodekey:..." a line; NULL = none */
	const char *socket_path;       /* of the server's admin socket; NULL = none */
	const char *url;	       /* asked as derper asks; NULL = none */
	const struct proxies *proxies; /* by which the URL is asked; borrowed, NULL: directly */
	bool fail_open;		       /* when nobody can be asked, who is unknown may stay */
	/* The word about a key for which verify_admits said RELAY_LATER. */
	void (*decided)(void *arg, const struct node_key *who, bool allow);
	void *arg;
	uint64_t keep_ms; /* 0 = a minute; a no is kept for a thirtieth of it */
};

struct verify;
/* NULL with a sentence: the list cannot be read, the URL is none. The strings must outlive it. */
struct verify *verify_open(struct loop *l, const struct verify_options *o, struct errbuf *eb);
void verify_close(struct verify *v); /* NULL is fine */
/* Reads the list again; on failure the old one stays. */
int verify_reload(struct verify *v, struct errbuf *eb);
/* As relay_options.admits; arg is the struct verify. */
enum relay_verdict verify_admits(void *arg, const struct node_key *who, const struct endpoint *from);

#endif
