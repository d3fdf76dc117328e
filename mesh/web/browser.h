/* How a browser is known again: one cookie with 32 random bytes, of which the server keeps the hash alone. Forms carry a
 * second text that only this server can make of the cookie, so that no other site can send them (CSRF). */
#ifndef RW_WEB_BROWSER_H
#define RW_WEB_BROWSER_H

#include "mesh/base/key.h"

enum { BROWSER_TOKEN = 44, BROWSER_HASH = 32, BROWSER_FORM = 65 }; /* texts with their NUL */

struct browser_hash {
	uint8_t b[BROWSER_HASH];
};
void browser_token_make(const struct random *rnd, char out[static BROWSER_TOKEN]);
struct browser_hash browser_token_hash(const char *token);
bool browser_hash_equal(const struct browser_hash *a, const struct browser_hash *b); /* constant time */
/* Of a Cookie header (NULL is fine), the first of that name that has the form of a token. */
bool browser_cookie_find(const char *cookies, const char *name, char out[static BROWSER_TOKEN]);

/* secret: 32 random bytes of this run. */
void browser_form_make(const uint8_t secret[static 32], const char *token, char out[static BROWSER_FORM]);
bool browser_form_is(const uint8_t secret[static 32], const char *token, const char *given);

#endif
