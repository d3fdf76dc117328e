/* A list that is published at a URL, kept in a file: asked for now and then, by its ETag, so that one that has not
 * changed costs a header. What comes is looked at before it takes the place of what is there: an answer without a
 * name in it (a portal's page, an error) is none, and the last good one stays. RFC 9110. */
#ifndef RW_RESOLVER_LIST_FETCH_H
#define RW_RESOLVER_LIST_FETCH_H

#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include <stddef.h>

enum { LIST_FETCH_MAX = 64 << 20 }; /* bytes */

struct list_fetch;
struct proxies;
struct list_fetch_options { /* strings are copied */
	struct loop *loop;
	const char *name, *url; /* name: for the log */
	/* The file; its ETag is in "path.etag", where it came from in "path.url". As old as it is, and from this URL, it need
	 * not be asked for. */
	const char *path;
	uint64_t every_ms;
	uint64_t
		retry_ms; /* after a failure, then twice as long, up to every_ms; 0 = 5 minutes, 10 s while there is none */
	bool foreign; /* the URL is the word of somebody elsewhere: it leads to the internet or the mesh alone */
	/* By which proxies it is asked for, looked at each time; borrowed, NULL: by none. A host that this machine finds no
	 * address of is the proxy's to know. */
	const struct proxies *const *proxies;
	void (*changed)(void *arg); /* the file is another */
	void *arg;
};
struct list_fetch *list_fetch_start(
	const struct list_fetch_options *o, struct errbuf *eb); /* NULL: a sentence */
/* No `changed` after. Waits for a file that is being written. NULL is fine. */
void list_fetch_stop(struct list_fetch *f);

#endif
