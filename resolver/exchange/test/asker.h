/* Who asks through an exchange in the tests of its kinds: questions that say their id, and what has come back by id. */
#ifndef RW_RESOLVER_EXCHANGE_TEST_ASKER_H
#define RW_RESOLVER_EXCHANGE_TEST_ASKER_H

#include "resolver/exchange/exchange.h"

enum { ASKER_IDS = 80, ASKER_QUESTION = 128 };

struct asker {
	struct loop *loop;
	struct exchange *x;
	size_t question; /* bytes of each, and of its answer */
	unsigned answered[ASKER_IDS], failed[ASKER_IDS], events, want;
	int code; /* of the last that failed */
	uint8_t last[ASKER_QUESTION];
	bool timed_out;
};

/* A loop and an exchange of its own, which the test closes. */
void asker_open(struct asker *a, size_t question);
/* Until so many answers or failures more have come. */
void asker_wait(struct asker *a, unsigned events);
void asker_ask(struct asker *a, uint64_t id, const struct exchange_to *to);
/* Asks and waits: whether it was answered, and by what belongs to it. */
bool asker_is_answered(struct asker *a, uint64_t id, const struct exchange_to *to);

#endif
