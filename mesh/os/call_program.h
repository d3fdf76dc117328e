/* A filter of system calls as the kernel takes it: rules one after the other, the first that fits decides. It is made
 * without memory, which may be short, and the kernel remembers which calls are allowed whatever their arguments are: rules
 * of such calls cost nothing once it is in force. Source: Linux, userspace-api/seccomp_filter.rst. */
#ifndef RW_OS_CALL_PROGRAM_H
#define RW_OS_CALL_PROGRAM_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CALL_PROGRAM_MAX = 2048, CALL_WHEN_MAX = 2 };

struct call_program {
	struct sock_filter p[CALL_PROGRAM_MAX];
	size_t n;
	bool full; /* a rule found no room: not to be used */
};
/* Argument `at` (0 to 5), masked, has this value. */
struct call_when {
	unsigned at;
	uint64_t mask, value;
};

/* Calls of another architecture than arch (AUDIT_ARCH_*) are answered so (SECCOMP_RET_*). */
void call_program_begin(struct call_program *c, uint32_t arch, uint32_t otherwise);
/* The call nr, when all of `when` are so (n_when at most CALL_WHEN_MAX; 0: always). */
void call_program_rule(
	struct call_program *c, int nr, uint32_t answer, const struct call_when *when, size_t n_when);
/* Any other call. false: the rules had no room. */
bool call_program_end(struct call_program *c, uint32_t answer);

#endif
