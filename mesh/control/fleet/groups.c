#include "mesh/control/fleet/groups.h"

#include "mesh/base/sorted.h"
#include <stdlib.h>
#include <string.h>

static bool is_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			return false;
	return len > 0;
}

bool groups_add_line(struct buf *text, const char *name)
{
	size_t len = strlen(name), lines = 0;
	const uint8_t *p = buf_data(text);
	for (size_t i = 0; i < text->len; i++)
		lines += p[i] == '\n';
	return is_name(name, len) && lines < GROUPS_MAX && text->len + len + 1 <= GROUPS_BYTES_MAX &&
	       buf_printf(text, "%s\n", name);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* How many lines may be kept, and how long they are together. */
static size_t measure(const char *lines, size_t *len)
{
	size_t n = 0;
	*len = 0;
	for (const char *p = lines; *p && n < GROUPS_MAX; n++) {
		p += strcspn(p, "\n");
		if ((size_t)(p - lines) >= GROUPS_BYTES_MAX)
			break;
		*len = (size_t)(p - lines);
		p += *p == '\n';
	}
	return n;
}

bool user_groups_new(const char *lines, const char *domain, struct user_groups **out)
{
	size_t len, domain_len = strlen(domain), kept = 0, word, n = measure(lines, &len);
	*out = NULL;
	if (!n)
		return true;
	struct user_groups *g = malloc(sizeof(*g) + n * sizeof(g->v[0]) + len + n * (domain_len + 2));
	if (!g)
		return false;
	*g = (struct user_groups) { .refs = 1 };
	char *to = (char *)&g->v[n];
	for (const char *p = lines; p < lines + len; p += word + 1) {
		word = strcspn(p, "\n");
		if (!is_name(p, word))
			continue;
		g->v[kept++] = to;
		memcpy(to, p, word);
		to[word] = '@';
		memcpy(to + word + 1, domain, domain_len + 1);
		to += word + domain_len + 2;
	}
	qsort(g->v, kept, sizeof(g->v[0]), by_text);
	for (size_t i = 0; i < kept; i++)
		if (!g->n || strcmp(g->v[g->n - 1], g->v[i]) != 0)
			g->v[g->n++] = g->v[i];
	if (g->n)
		*out = g;
	else
		free(g);
	return true;
}

struct user_groups *user_groups_get(struct user_groups *g)
{
	if (g)
		g->refs++;
	return g;
}

void user_groups_put(struct user_groups *g)
{
	if (g && !--g->refs)
		free(g);
}

static bool text_before(const void *v, size_t i, const void *key)
{
	return strcmp(((const char *const *)v)[i], key) < 0;
}

bool user_groups_have(const struct user_groups *g, const char *name)
{
	size_t i = g ? sorted_before(g->v, g->n, name, text_before) : 0;
	return g && i < g->n && !strcmp(g->v[i], name);
}

bool user_groups_equal(const struct user_groups *a, const struct user_groups *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}
