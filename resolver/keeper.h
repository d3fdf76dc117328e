/* A resolver's cache over a restart: a file (0600) that is read when the resolver has its routes, and written at its end,
 * every ten minutes in which something new was heard, and when answers were forgotten by order: the one of before goes at
 * once then. What is in it is copied a part at a time between questions; a thread writes it. keep.h has what is kept. */
#ifndef RW_RESOLVER_KEEPER_H
#define RW_RESOLVER_KEEPER_H

#include "mesh/os/loop.h"
#include "resolver/keep.h"

#define KEEPER_FILE "answers.cache"

struct keeper;
/* In folder (made, 0700, when there is something to write). moves: see keep_rules. NULL: memory is short. */
struct keeper *keeper_new(struct loop *l, const char *folder, bool moves);
void keeper_free(struct keeper *k); /* left first; NULL is fine, as below */
/* r has its zone and its routes. Reads the file once for each r; what cannot be read is said in the log. about: hash of
 * what else decides what answers are, 0: nothing. */
void keeper_serve(struct keeper *k, struct resolver *r, const uint8_t about[KEEP_ABOUT]);
/* Before r goes: the file is written. */
void keeper_leave(struct keeper *k);
/* The same where another one comes in its place: that one has what r heard, and the file is written as ever. */
void keeper_move(struct keeper *k);
/* The file goes, and what is heard from now on alone is kept. */
void keeper_forget(struct keeper *k);
/* Nothing is to be kept: the file of an earlier time goes. */
void keeper_remove(const char *folder);

#endif
