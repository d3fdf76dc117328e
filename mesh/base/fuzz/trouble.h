/* What the input of a fuzz target cannot say by itself, nor a test: memory that is short, and time that passes. Linked into
 * every target, and into the tests that ask for it (rw_troubled_test of cmake/room.cmake): allocations of our own code, not of
 * libraries, come by here, and the monotonic clock of the whole process does. */
#ifndef RW_BASE_FUZZ_TROUBLE_H
#define RW_BASE_FUZZ_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The nth allocation from now (1: the next) finds no memory, those after it do. 0: all do. */
void trouble_memory(unsigned nth);
/* The monotonic clock is so much later from now on; it is never set back. */
void trouble_pass_ms(uint64_t ms);

/* Runs the target on its input as it is, and once more with one allocation failing: which of those that were made between
 * trouble_begin and trouble_end the bytes decide. A target calls the two around what it is about. With RW_TROUBLE_PLACES in the
 * environment it runs as often as there is a place in the code that allocates, known by who called it, whose allocation has
 * not failed yet in this process: each of them does once. */
int trouble_twice(void (*target)(const uint8_t *data, size_t len), const uint8_t *data, size_t len);
void trouble_begin(void);
void trouble_end(void);
bool trouble_happened(void); /* memory was short since trouble_begin, or trouble_memory */

/* connect(2), whole. libFuzzer rings an alarm every few seconds to see whether an input is slow, and sets it so that a call
 * which waits ends with EINTR: a client of a busy machine would fail by the target's own clock. */
int trouble_connect(int fd, const struct sockaddr *to, socklen_t len);

#endif
