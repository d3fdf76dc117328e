#include "mesh/control/policy/source.h"

#include "mesh/base/blake2s.h"
#include "mesh/base/key.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void policy_tag(const char *text, size_t len, char out[static POLICY_TAG])
{
	uint8_t hash[32];
	blake2s_hash(&(struct noise_part) { text, len }, 1, hash);
	hex_encode(hash, sizeof(hash), out);
}

/* The text is kept twice while it is read: the reader blanks the comments of its own. */
struct policy_source *policy_source_new(const char *text, size_t len, struct errbuf *eb)
{
	struct policy_source *s = calloc(1, sizeof(*s));
	char *kept = malloc(len + 1), *read = malloc(len + 1);
	if (!s || !kept || !read) {
		err_set(eb, -ENOMEM, "policy");
		goto drop;
	}
	memcpy(kept, text, len);
	memcpy(read, text, len);
	kept[len] = 0;
	if (!(s->rules = policy_parse(read, len, eb)))
		goto drop;
	free(read);
	s->refs = 1;
	s->text = kept;
	s->len = len;
	policy_tag(text, len, s->tag);
	return s;
drop:
	free(read);
	free(kept);
	free(s);
	return NULL;
}

struct policy_source *policy_source_get(struct policy_source *s)
{
	if (s)
		s->refs++;
	return s;
}

void policy_source_put(struct policy_source *s)
{
	if (!s || --s->refs)
		return;
	policy_free(s->rules);
	free((char *)s->text);
	free(s);
}
