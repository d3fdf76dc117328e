#include "resolver/local_zone.h"

#include "resolver/suffix.h"
#include "resolver/zone_soa.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[RESOLVER_WORDS] = { [RESOLVER_WORD_NONE] = "",
	[RESOLVER_REFUSE] = "refuse",
	[RESOLVER_TRANSPARENT] = "transparent",
	[RESOLVER_TYPETRANSPARENT] = "typetransparent",
	[RESOLVER_REDIRECT] = "redirect",
	[RESOLVER_ALWAYS_NXDOMAIN] = "always-nxdomain",
	[RESOLVER_ALWAYS_NODATA] = "always-nodata",
	[RESOLVER_ALWAYS_REFUSE] = "always-refuse",
	[RESOLVER_ALWAYS_NULL] = "always-null",
	[RESOLVER_ALWAYS_TRANSPARENT] = "always-transparent" };

struct local_zones {
	struct suffixes *index;
	struct dns_name *suffixes;
	enum resolver_word *words;
};

const char *resolver_word_text(enum resolver_word w)
{
	return words[w];
}

bool resolver_word_parse(const char *text, enum resolver_word *out)
{
	for (unsigned i = RESOLVER_WORD_NONE + 1; i < RESOLVER_WORDS; i++)
		if (strcmp(text, words[i]) == 0) {
			*out = (enum resolver_word)i;
			return true;
		}
	return false;
}

void local_zones_free(struct local_zones *z)
{
	if (!z)
		return;
	suffixes_free(z->index);
	free(z->suffixes);
	free(z->words);
	free(z);
}

static int zones_fill(struct local_zones *z, const struct resolver_local_zone *from, size_t n,
	const uint64_t seed[2], struct errbuf *eb)
{
	for (size_t i = 0; i < n; i++) {
		if (!dns_name_parse(from[i].suffix, &z->suffixes[i]))
			return err_say(eb, ERR_MALFORMED, "\"%s\" is not a domain name", from[i].suffix);
		dns_name_fold(&z->suffixes[i]);
		z->words[i] = from[i].word;
	}
	z->index = suffixes_new(z->suffixes, n, seed);
	if (!z->index)
		return err_say(eb, -ENOMEM, "out of memory for local zones");
	for (size_t i = 0; i < n; i++) /* the index holds the last of equal names */
		if (suffixes_exact(z->index, &z->suffixes[i]) != (int)i)
			return err_say(
				eb, ERR_MALFORMED, "the local zone \"%s\" is given twice", from[i].suffix);
	return 0;
}

struct local_zones *local_zones_new(
	const struct resolver_local_zone *from, size_t n, const uint64_t seed[2], struct errbuf *eb)
{
	struct local_zones *z = calloc(1, sizeof(*z));
	if (z) {
		z->suffixes = calloc(n + 1, sizeof(*z->suffixes));
		z->words = calloc(n + 1, sizeof(*z->words));
	}
	if (!z || !z->suffixes || !z->words)
		err_say(eb, -ENOMEM, "out of memory for local zones");
	else if (!zones_fill(z, from, n, seed, eb))
		return z;
	local_zones_free(z);
	return NULL;
}

enum resolver_word local_zones_word(
	const struct local_zones *z, const struct dns_name *name, const struct dns_name **suffix)
{
	unsigned labels;
	int i = z ? suffixes_longest(z->index, name, &labels) : -1;
	if (i < 0)
		return RESOLVER_WORD_NONE;
	*suffix = &z->suffixes[i];
	return z->words[i];
}

bool local_zone_is_final(enum resolver_word w)
{
	return w == RESOLVER_ALWAYS_NXDOMAIN || w == RESOLVER_ALWAYS_NODATA || w == RESOLVER_ALWAYS_REFUSE ||
	       w == RESOLVER_ALWAYS_NULL;
}

bool local_zone_speaks(
	enum resolver_word w, const struct dns_name *suffix, const struct zone *z, struct zone_hit *hit)
{
	switch (w) {
	case RESOLVER_WORD_NONE: break;
	case RESOLVER_REFUSE:
	case RESOLVER_ALWAYS_NXDOMAIN:
	case RESOLVER_ALWAYS_NODATA:
	case RESOLVER_ALWAYS_REFUSE:
	case RESOLVER_ALWAYS_NULL: return true;
	case RESOLVER_TRANSPARENT:
	case RESOLVER_TYPETRANSPARENT: return hit->n;
	case RESOLVER_REDIRECT:
		zone_find(z, suffix, hit);
		if (hit->verdict != ZONE_NAME) {
			*hit = (struct zone_hit) { .verdict = ZONE_NAME };
			hit->apex = *suffix;
		}
		return true;
	case RESOLVER_ALWAYS_TRANSPARENT: return false;
	case RESOLVER_WORDS: break;
	}
	return hit->verdict != ZONE_FOREIGN;
}

static void null_write(struct dns_writer *d, const struct dns_name *name, uint16_t type, uint32_t ttl_s)
{
	static const uint8_t zero[16];
	dns_write_mark(d, DNS_ANSWER);
	size_t at = dns_write_rr(d, name, type, ttl_s);
	wr_bytes(&d->w, zero, type == DNS_A ? 4 : sizeof(zero));
	dns_write_rr_end(d, at);
	(void)dns_write_keep(d);
}

uint16_t local_zone_write(struct dns_writer *d, const struct dns_name *name, uint16_t type,
	enum resolver_word w, uint32_t ttl_s)
{
	if (w == RESOLVER_ALWAYS_REFUSE)
		return DNS_REFUSED;
	if (w == RESOLVER_ALWAYS_NULL && (type == DNS_A || type == DNS_AAAA)) {
		null_write(d, name, type, ttl_s);
		return DNS_NOERROR;
	}
	dns_write_mark(d, DNS_AUTHORITY);
	zone_soa_write(d, name);
	(void)dns_write_keep(d);
	return w == RESOLVER_ALWAYS_NXDOMAIN ? DNS_NXDOMAIN : DNS_NOERROR;
}

bool local_zone_localhost_write(struct dns_writer *d, const struct dns_name *name, uint16_t type)
{
	static const uint8_t loopback[16] = { [15] = 1 };
	if (type != DNS_A && type != DNS_AAAA)
		return false;
	dns_write_mark(d, DNS_ANSWER);
	size_t at = dns_write_rr(d, name, type, ZONE_NEGATIVE_TTL_S);
	if (type == DNS_A)
		wr_bytes(&d->w, "\177\0\0\1", 4);
	else
		wr_bytes(&d->w, loopback, 16);
	dns_write_rr_end(d, at);
	(void)dns_write_keep(d);
	return true;
}
