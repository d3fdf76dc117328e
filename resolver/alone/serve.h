/* ropewalk-resolver at work, from its start to the signal that ends it. */
#ifndef RW_RESOLVER_ALONE_SERVE_H
#define RW_RESOLVER_ALONE_SERVE_H

#include "resolver/alone/running.h"

/* Until a signal ends it. s holds config, socket and json; c is emptied, z taken over. */
int serve_run(struct running *s, struct conf *c, struct zone *z, struct errbuf *eb);

/* Its beginning and its end alone: without signals, and without a word of where it listens. c is emptied. After an error it
 * is closed as well. */
int serve_open(struct running *s, struct conf *c, struct zone *z, struct errbuf *eb);
void serve_close(struct running *s);

#endif
