/* The resolver that runs: what signals, the control socket and the page ask of it. */
#ifndef RW_RESOLVER_ALONE_RUNNING_H
#define RW_RESOLVER_ALONE_RUNNING_H

#include "mesh/os/notify.h"
#include "resolver/blocker.h"
#include "resolver/conf.h"
#include "resolver/listen.h"

struct control;
struct keeper;
struct login;
struct own_lists;
struct page;
/* Who is told when what was on disk at his asking, or later, is in force. */
struct reload_waiter {
	struct reload_waiter *next;
	void (*told)(void *arg, int err, const struct errbuf *eb);
	void *arg;
};
struct reload {				   /* running.c's */
	struct work *work;		   /* NULL: no thread reads */
	bool begun, again;		   /* again: once more when it has ended */
	struct reload_waiter *now, *later; /* of this one; of the next */
	struct conf conf;
	struct zone *zone;
	struct local_names *names;
	int err;
	struct errbuf eb;
};
struct running {
	const char *config, *socket; /* files; socket NULL: none */
	bool json;		     /* events and statistics as lines of JSON */
	struct loop *loop;
	struct notify *notify;
	struct resolver_server *server;
	struct blocker *blocker;
	struct proxies *proxies;   /* of the environment; NULL: not read */
	struct local_names *names; /* out of files */
	struct control *control;
	struct keeper *keeper; /* NULL: the cache ends with the program */
	struct login *login;   /* NULL, as the next two: nothing is kept ("state") */
	struct own_lists *own;
	struct page *page; /* NULL: none */
	int64_t since_unix_ms;
	struct running_had {
		bool authorities, validation;
	} had; /* in the configuration that holds */
	struct reload reload;
};
/* The configuration and its zone; both are the caller's. */
int running_config_read(
	const char *config, struct conf *c, struct zone **z, struct buf *all, struct errbuf *eb);
/* All of c but the lists, the zone, and the names in it, into what runs. names are taken over; an error: they are the
 * caller's still, and holds says in words what of c is in force, "" for nothing. */
enum { RUNNING_HOLDS = 192 };
int running_config_apply(struct running *s, const struct conf *c, struct zone *z, struct local_names *names,
	char holds[static RUNNING_HOLDS], struct errbuf *eb);
/* Reads the configuration, the files that it names and the lists again, on threads: what runs goes on meanwhile. w (NULL:
 * nobody) is the caller's, and told once, from the loop, perhaps before this returns; he may ask anew then, and forget
 * others. An error: the sentence says what of the configuration holds. */
void running_reload(struct running *s, struct reload_waiter *w);
void running_reload_forget(struct running *s, struct reload_waiter *w); /* he is not told any more */
void running_reload_end(struct running *s); /* waits for the thread; nobody is told */

#endif
