/* Names of nodes: DNS labels, each once in the fleet. */
#include "mesh/control/fleet/fleet.h"

#include "mesh/base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { STEM_MAX = 50, SUFFIXES_SPARE = 1024 };

/* Names that machines look up unasked and then trust: the proxy configuration (WPAD), the tunnel router
 * (ISATAP, RFC 5214 8), loopback. No node can have one of them, as no DHCP server should give one out. */
static bool is_magic(const char *label)
{
	static const char *const names[] = { "localhost", "wpad", "isatap" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(label, names[i]))
			return true;
	return false;
}

void fleet_label_from(const char *hostname, char out[static FLEET_LABEL])
{
	size_t len = 0;
	for (const char *p = hostname ? hostname : ""; *p && *p != '.' && len < FLEET_LABEL - 1; p++) {
		char c = (char)tolower((unsigned char)*p);
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (plain)
			out[len++] = c;
		else if (len && out[len - 1] != '-' && (c == '-' || c == '_' || c == ' '))
			out[len++] = '-';
	}
	while (len && out[len - 1] == '-')
		len--;
	out[len] = 0;
	if (!len || is_magic(out))
		memcpy(out, "node", sizeof("node"));
}

bool fleet_label_valid(const char *label)
{
	size_t len = strlen(label);
	if (!len || len >= FLEET_LABEL || label[0] == '-' || label[len - 1] == '-' || is_magic(label))
		return false;
	return strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static void number_label(const char *stem, size_t n, char out[static FLEET_LABEL])
{
	snprintf(out, FLEET_LABEL, "%.*s-%zu", STEM_MAX, stem, n);
}

/* N of "stem-N". */
static bool label_number(const char *label, const char *stem, size_t *n)
{
	size_t len = strlen(stem);
	uint64_t v;
	if (strncmp(label, stem, len) != 0 || label[len] != '-' ||
		!text_u64(label + len + 1, 1, UINT32_MAX, &v))
		return false;
	*n = (size_t)v;
	return true;
}

/* "box" -> where the search for a free box-N begins: below it all are taken. Kept only for stems of which
 * there are several, and only a few more than there are members: hosts change their names at will. */
static size_t first_suffix(const struct fleet *f, const char stem[static FLEET_LABEL])
{
	size_t n = (size_t)(uintptr_t)table_get(&f->next_suffix, stem);
	return n ? n : 1;
}

static void keep_suffix(struct fleet *f, const char stem[static FLEET_LABEL], size_t n)
{
	if (f->next_suffix.n > f->n + SUFFIXES_SPARE) {
		uint64_t seed = f->next_suffix.seed[0];
		table_fini(&f->next_suffix);
		table_init(&f->next_suffix, FLEET_LABEL, seed);
	}
	(void)table_put(
		&f->next_suffix, stem, (void *)(uintptr_t)n); /* without it the search is only longer */
}

void fleet_label_unique(
	struct fleet *f, const char *hostname, int64_t except_id, char out[static FLEET_LABEL])
{
	char stem[FLEET_LABEL] = { 0 };
	fleet_label_from(hostname, stem);
	const struct member *m = fleet_by_name(f, stem), *except = fleet_by_id(f, except_id);
	memcpy(out, stem, FLEET_LABEL);
	if (!m || m == except)
		return;
	stem[STEM_MAX] = 0;
	memset(stem + strlen(stem), 0, FLEET_LABEL - strlen(stem));
	size_t n = first_suffix(f, stem), own = 0;
	if (except && label_number(except->name, stem, &own) && own < n) {
		memcpy(out, except->name, strlen(except->name) + 1); /* a node keeps the number it has */
		return;
	}
	for (;; n++) {
		number_label(stem, n, out);
		m = fleet_by_name(f, out);
		if (!m || m == except)
			break;
	}
	keep_suffix(f, stem, n);
}

void fleet_label_freed(struct fleet *f, const struct member *old, const struct member *now)
{
	char stem[FLEET_LABEL] = { 0 };
	const char *dash = old ? strrchr(old->name, '-') : NULL;
	size_t n;
	if (!dash || dash - old->name > STEM_MAX || (now && !strcmp(now->name, old->name)))
		return;
	memcpy(stem, old->name, (size_t)(dash - old->name));
	if (label_number(old->name, stem, &n) && n < first_suffix(f, stem))
		keep_suffix(f, stem, n);
}
