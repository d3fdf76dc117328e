#include "mesh/web/password.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static_assert(PASSWORD_HASH >= crypto_pwhash_STRBYTES, "the hash fits");

static const unsigned long long rounds = crypto_pwhash_OPSLIMIT_INTERACTIVE;
static const size_t memory = crypto_pwhash_MEMLIMIT_INTERACTIVE;

const char password_of_nobody[] = "$argon2id$v=19$m=65536,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
				  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

bool password_make(const char *text, char hash[static PASSWORD_HASH])
{
	return crypto_pwhash_str_alg(
		       hash, text, strlen(text), rounds, memory, crypto_pwhash_ALG_ARGON2ID13) == 0;
}

bool password_is(const char *hash, const char *text)
{
	return crypto_pwhash_str_verify(hash, text, strlen(text)) == 0;
}

bool password_hash_is_ours(const char *hash)
{
	return strlen(hash) < PASSWORD_HASH &&
	       !strncmp(hash, crypto_pwhash_STRPREFIX, strlen(crypto_pwhash_STRPREFIX)) &&
	       crypto_pwhash_str_needs_rehash(hash, rounds, memory) == 0;
}
