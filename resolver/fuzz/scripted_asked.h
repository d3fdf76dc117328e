/* The resolver of this machine, as resolver/ask.c asks it, for targets of rooms that ask: no packet leaves. Link it with
 * -Wl,--wrap=sock_tcp_connect, in whose place it stands. */
#ifndef RW_RESOLVER_FUZZ_SCRIPTED_ASKED_H
#define RW_RESOLVER_FUZZ_SCRIPTED_ASKED_H

#include <stddef.h>
#include <stdint.h>

/* The next connections cannot be made. */
void scripted_asked_refuses(int on);
/* Reads what was asked since, and answers each question with a message of these bytes; NULL: as the first letter of the name
 * says: before e an empty one, before i a private address, before m an alias, and else an address. */
void scripted_asked_turn(const uint8_t *answer, size_t len);
/* All that are connected hear the end of it. */
void scripted_asked_end(void);

#endif
