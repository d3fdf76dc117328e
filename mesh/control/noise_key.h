/* The private key by which nodes know the server, in its file. */
#ifndef RW_CONTROL_NOISE_KEY_H
#define RW_CONTROL_NOISE_KEY_H

#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include <stdbool.h>

/* *made: there is no file, and the key was made and is not on disk yet. A file that holds none, or is not ours alone, is a
 * negative code with the sentence. */
int noise_key_load(const char *path, struct machine_private *out, bool *made, struct errbuf *eb);
/* An old key beside no database is a network that lost its members, and not a new one. */
int noise_key_check(const char *path, const char *database, struct errbuf *eb);
int noise_key_save(const char *path, const struct machine_private *key, struct errbuf *eb);

#endif
