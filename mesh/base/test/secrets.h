/* What of a secret is left in this process. */
#ifndef RW_BASE_TEST_SECRETS_H
#define RW_BASE_TEST_SECRETS_H

#include <stddef.h>
#include <stdint.h>

/* Upside down, so that looking for it finds no copy of the test's own. */
void secret_turn(uint8_t *out, const uint8_t *in, size_t len);
/* How many copies there are of what was turned, in all that this process can write. */
size_t secret_count(const uint8_t *turned, size_t len);

#endif
