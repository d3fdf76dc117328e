/* The last word to the server of a network that is left for another. */
#ifndef RW_NODE_FAREWELL_H
#define RW_NODE_FAREWELL_H

#include "mesh/node/host/state.h"
#include "mesh/os/loop.h"

struct farewell;
struct proxies;
/* Says, from the loop and over a connection of its own, that this machine logs out; for three seconds at most,
 * and nobody is told how it went. was: logged in, copied, and wiped when all is said. proxies: borrowed. NULL: memory is short. */
struct farewell *farewell_say(struct loop *l, const struct state *was, const struct proxies *proxies);
void farewell_close(struct farewell *f); /* said or not; NULL is fine */

#endif
