/* What is said of names below a suffix, whoever else may know them: the words that unbound.conf has for it.
 *
 *   refuse            what has a record of the type is answered, the rest is REFUSED
 *   transparent       what has no record is asked for as if there were no zone, inside another one too
 *   typetransparent   a record of another type is no answer either
 *   redirect          the records of the suffix itself are those of every name below it
 *   always-nxdomain   such names do not exist, records or not; and so on
 *   always-nodata  always-refuse  always-null (0.0.0.0 and ::)
 *   always-transparent   records are not looked at
 *
 * "static" is an authority of the zone (zone.h). The longest suffix counts. */
#ifndef RW_RESOLVER_LOCAL_ZONE_H
#define RW_RESOLVER_LOCAL_ZONE_H

#include "resolver/resolver.h"
#include "resolver/zone.h"

struct local_zones;
/* NULL with a sentence: a suffix is not a name or is there twice, memory is short. */
struct local_zones *local_zones_new(
	const struct resolver_local_zone *z, size_t n, const uint64_t seed[2], struct errbuf *eb);
void local_zones_free(struct local_zones *z); /* NULL is fine */
/* The word for a name (lower case), RESOLVER_WORD_NONE where there is none, and the suffix it stands for. z may be NULL. */
enum resolver_word local_zones_word(
	const struct local_zones *z, const struct dns_name *name, const struct dns_name **suffix);
const char *resolver_word_text(enum resolver_word w);
bool resolver_word_parse(const char *text, enum resolver_word *out);

/* Of a name with this word: does the zone speak for it? *hit is zone_find's of the name, and is changed where the word
 * says so. */
bool local_zone_speaks(
	enum resolver_word w, const struct dns_name *suffix, const struct zone *z, struct zone_hit *hit);
/* The end of an answer for a name that a word decides alone (local_zone_is_final): the rcode. */
uint16_t local_zone_write(struct dns_writer *d, const struct dns_name *name, uint16_t type,
	enum resolver_word w, uint32_t ttl_s);
bool local_zone_is_final(enum resolver_word w);
/* The addresses of localhost. false: it has nothing of this type. */
bool local_zone_localhost_write(struct dns_writer *d, const struct dns_name *name, uint16_t type);

#endif
