/* Passwords of local admins: Argon2id, by libsodium. */
#ifndef RW_WEB_PASSWORD_H
#define RW_WEB_PASSWORD_H

#include <stdbool.h>

enum { PASSWORD_HASH = 128, PASSWORD_MIN = 10, PASSWORD_MAX = 256 };
/* Takes a tenth of a second or more and 64 MiB, as the next does. false: there is no memory. */
bool password_make(const char *text, char hash[static PASSWORD_HASH]);
bool password_is(const char *hash, const char *text);
/* A hash that no password has: compared for a name that nobody has, it takes as long as another. */
extern const char password_of_nobody[];
/* Whether hash is one that password_make makes: no other is taken, whose cost would be another. */
bool password_hash_is_ours(const char *hash);

#endif
