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
};
/* The configuration and its zone; both are the caller's. */
int running_config_read(const char *config, struct conf *c, struct zone **z, struct errbuf *eb);
/* All of c but the lists, and the zone, into what runs. */
int running_config_apply(struct running *s, const struct conf *c, struct zone *z, struct errbuf *eb);
/* Reads the configuration and the lists again. An error: all stays as it was. */
int running_reload(struct running *s, struct errbuf *eb);

#endif
