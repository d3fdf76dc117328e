#include "mesh/os/call_program.h"

#include <assert.h>
#include <linux/seccomp.h>

enum {
	X32_CALLS =
		0x40000000,    /* and above: of programs with short pointers, which no 64-bit program makes */
	WHEN_LEN = 6,	       /* instructions that a condition takes */
	LOW = sizeof(uint32_t) /* half of an argument */
};
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half of an argument comes first");

static void put(struct call_program *c, struct sock_filter i)
{
	if (c->n == CALL_PROGRAM_MAX)
		c->full = true;
	else
		c->p[c->n++] = i;
}

static void put_load(struct call_program *c, size_t at)
{
	put(c, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)at));
}

static void put_answer(struct call_program *c, uint32_t answer)
{
	put(c, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer));
}

/* Goes on when it is so, else behind the next `skip` instructions. */
static void put_equal(struct call_program *c, uint32_t value, size_t skip)
{
	put(c, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, (uint8_t)skip));
}

static void put_half(struct call_program *c, size_t at, uint32_t mask, uint32_t value, size_t skip)
{
	put_load(c, at);
	put(c, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
	put_equal(c, value, skip);
}

void call_program_begin(struct call_program *c, uint32_t arch, uint32_t otherwise)
{
	c->n = 0;
	c->full = false;
	put_load(c, offsetof(struct seccomp_data, arch));
	put(c, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0));
	put_answer(c, otherwise);
	put_load(c, offsetof(struct seccomp_data, nr));
	put(c, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1));
	put_answer(c, otherwise);
}

void call_program_rule(
	struct call_program *c, int nr, uint32_t answer, const struct call_when *when, size_t n_when)
{
	size_t left = n_when * WHEN_LEN + 1; /* behind the comparison that is made */
	put_load(c, offsetof(struct seccomp_data, nr));
	put_equal(c, (uint32_t)nr, left);
	for (size_t i = 0; i < n_when; i++) {
		size_t at = offsetof(struct seccomp_data, args) + when[i].at * sizeof(uint64_t);
		put_half(c, at, (uint32_t)when[i].mask, (uint32_t)when[i].value, left -= WHEN_LEN / 2);
		put_half(c, at + LOW, (uint32_t)(when[i].mask >> 32), (uint32_t)(when[i].value >> 32),
			left -= WHEN_LEN / 2);
	}
	put_answer(c, answer);
}

bool call_program_end(struct call_program *c, uint32_t answer)
{
	put_answer(c, answer);
	return !c->full;
}
