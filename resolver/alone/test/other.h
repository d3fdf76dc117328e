/* Resolvers of others beside ours, on loopback: started, asked, compared. */
#ifndef RW_RESOLVER_ALONE_TEST_OTHER_H
#define RW_RESOLVER_ALONE_TEST_OTHER_H

#include <stdbool.h>
#include <sys/types.h>

enum { OTHER_TEXT = 8192 };
unsigned other_port(void); /* one that is free just now, of UDP and TCP */
/* Waits until it answers for www.example.com at the port; ends the test when it does not. */
pid_t other_start(const char *const *argv, unsigned port);
void other_stop(pid_t pid);
/* One question to 127.0.0.1: the rcode and the records of the answer, a line each, without times and in one order. false: no
 * answer within 4 s. */
bool other_ask(unsigned port, const char *name, const char *type, char out[static OTHER_TEXT]);
/* As a client that asks again: for who wants to know what the answer is, not whether one question has one. false: none within a
 * minute. */
bool other_answer(unsigned port, const char *name, const char *type, char out[static OTHER_TEXT]);

#endif
