#include "resolver/block_list.h"

#include "mesh/base/err.h"
#include "resolver/block.h"
#include <string.h>
#include <strings.h>

enum { WORDS_MAX = 64 };

struct word {
	const char *s;
	size_t len;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool word_is(const struct word *w, const char *text)
{
	return w->len == strlen(text) && strncasecmp(w->s, text, w->len) == 0;
}

/* ---- names ---- */

/* A name as lists have them: letters, digits, - and _, 63 a label, and at least `labels` of them. false: out->len
 * is as it was. */
static bool name_read(const struct word *w, unsigned labels, struct dns_name *out)
{
	size_t at = 0, len = w->len;
	unsigned n = 0;
	if (len && w->s[len - 1] == '.')
		len--;
	if (!len || len + 2 > DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i <= len; i++) {
		char c = i < len ? (char)dns_lower((uint8_t)w->s[i]) : '.';
		if (c == '.') {
			size_t label = i - at;
			if (!label || label > DNS_LABEL_MAX)
				return false;
			out->b[at] = (uint8_t)label;
			at = i + 1;
			n++;
		} else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
			out->b[i + 1] = (uint8_t)c;
		} else {
			return false;
		}
	}
	if (n < labels)
		return false;
	out->b[len + 1] = 0;
	out->len = (uint8_t)(len + 2);
	return true;
}

/* "*." in front is taken off. */
static bool take_star(struct word *w)
{
	if (w->len < 2 || w->s[0] != '*' || w->s[1] != '.')
		return false;
	w->s += 2;
	w->len -= 2;
	return true;
}

/* What hosts files say of this machine. */
static bool is_own(const struct word *w)
{
	static const char *const own[] = { "localhost", "localhost.localdomain", "localhost4", "localhost6",
		"localhost4.localdomain4", "localhost6.localdomain6", "local", "broadcasthost",
		"ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes",
		"ip6-allrouters", "ip6-allhosts", "0.0.0.0" };
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (word_is(w, own[i]))
			return true;
	return false;
}

static int name_give(struct block_list *l, struct block_item *item, unsigned reach)
{
	item->reach = reach;
	item->line = l->line;
	return l->ops->item(l->ops->arg, item);
}

static int line_skip(struct block_list *l)
{
	l->skipped++;
	if (!l->first_skipped)
		l->first_skipped = l->line;
	return 0;
}

/* ---- forms of lines ---- */

/* ||name^ ; an option other than "important" means that not all of the name's questions are meant. */
static int abp_read(struct block_list *l, struct word w)
{
	struct block_item item;
	bool except = w.len > 2 && w.s[0] == '@' && w.s[1] == '@';
	if (except) {
		w.s += 2;
		w.len -= 2;
	}
	if (w.len < 3 || w.s[0] != '|' || w.s[1] != '|')
		return line_skip(l);
	struct word name = { w.s + 2, w.len - 2 };
	const char *end = memchr(name.s, '^', name.len);
	struct word rest = { end ? end + 1 : "", end ? (size_t)(name.s + name.len - end - 1) : 0 };
	name.len = end ? (size_t)(end - name.s) : name.len;
	(void)take_star(&name);
	if ((rest.len && !word_is(&rest, "$important") && !word_is(&rest, "|")) ||
		!name_read(&name, 1, &item.name))
		return line_skip(l);
	if (except && !l->allows)
		return 0;
	return name_give(l, &item, BLOCK_NAME | BLOCK_BELOW);
}

static int regex_read(struct block_list *l, const struct word *w)
{
	struct block_item item;
	item.name.len = 0;
	item.regex = w->s + 1;
	item.regex_len = w->len - 2;
	return name_give(l, &item, 0);
}

static int hosts_read(struct block_list *l, const struct word *words, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct block_item item;
		if (is_own(&words[i]))
			continue;
		if (!name_read(&words[i], 2, &item.name)) {
			(void)line_skip(l);
			continue;
		}
		int err = name_give(l, &item, BLOCK_NAME);
		if (err)
			return err;
	}
	return 0;
}

/* An absolute name in an RPZ has the zone's behind it. */
static void origin_cut(const struct block_list *l, struct dns_name *name)
{
	if (!l->origin.len || !dns_name_within(name, &l->origin) || name->len == l->origin.len)
		return;
	name->len = (uint8_t)(name->len - l->origin.len + 1);
	name->b[name->len - 1] = 0;
}

/* OWNER [TTL] [IN] CNAME TARGET, and the lines of a zone that say nothing of names. */
static int zone_line_read(struct block_list *l, const struct word *words, size_t n, size_t type)
{
	struct block_item item;
	struct word owner = words[0];
	if (!word_is(&words[type], "CNAME")) {
		if (word_is(&words[type], "SOA") && !l->origin.len && owner.s[owner.len - 1] == '.')
			(void)name_read(&owner, 1, &l->origin);
		return 0;
	}
	bool absolute = owner.s[owner.len - 1] == '.', star = take_star(&owner);
	if (type + 1 >= n || !name_read(&owner, 1, &item.name))
		return line_skip(l);
	if (absolute)
		origin_cut(l, &item.name);
	if (word_is(&words[type + 1], "rpz-passthru.") != l->allows)
		return 0;
	return name_give(l, &item, star ? BLOCK_BELOW : BLOCK_NAME);
}

/* Which word is the type of a record of a zone file; 0: none. */
static size_t zone_type_at(const struct word *words, size_t n)
{
	static const char *const types[] = { "CNAME", "SOA", "NS" };
	for (size_t i = 1; i < n && i < 4; i++)
		for (size_t k = 0; k < ARRAY_LEN(types); k++)
			if (word_is(&words[i], types[k]))
				return i;
	return 0;
}

static int plain_read(struct block_list *l, struct word w)
{
	struct block_item item;
	bool star = take_star(&w);
	if (is_own(&w))
		return 0;
	if (!name_read(&w, star ? 1 : 2, &item.name))
		return line_skip(l);
	return name_give(l, &item, star ? BLOCK_NAME | BLOCK_BELOW : BLOCK_NAME);
}

static size_t words_cut(const char *s, size_t len, struct word *words)
{
	size_t n = 0;
	for (size_t i = 0; n < WORDS_MAX;) {
		while (i < len && is_space(s[i]))
			i++;
		if (i == len)
			break;
		words[n].s = s + i;
		while (i < len && !is_space(s[i]))
			i++;
		words[n].len = (size_t)(s + i - words[n].s);
		n++;
	}
	return n;
}

/* Rules for parts of pages (##, #@#, #?#) have a # too, but right behind a name. */
static size_t comment_at(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((s[i] == '#' || s[i] == ';') && (i == 0 || is_space(s[i - 1])))
			return i;
	return len;
}

static int line_read(struct block_list *l, const char *s, size_t len)
{
	struct word words[WORDS_MAX];
	struct addr ip;
	char first[64];
	l->line++;
	while (len && is_space(*s))
		s++, len--;
	while (len && is_space(s[len - 1]))
		len--;
	if (!len || *s == '!' || *s == '[' || (*s == '$' && len > 4 && strncasecmp(s, "$TTL", 4) == 0))
		return 0;
	if (len > 2 && *s == '/' && s[len - 1] == '/')
		return regex_read(l, &(struct word) { s, len });
	len = comment_at(s, len);
	size_t n = words_cut(s, len, words);
	if (!n)
		return 0;
	if (n == 2 && word_is(&words[0], "$ORIGIN"))
		return name_read(&words[1], 1, &l->origin) ? 0 : line_skip(l);
	if (*s == '|' || *s == '@')
		return n == 1 && len > 1 && (*s == '|' || s[1] == '@') ? abp_read(l, words[0])
		       : n > 1					       ? 0
								       : line_skip(l);
	if (n == 1)
		return plain_read(l, words[0]);
	size_t type = zone_type_at(words, n);
	if (type)
		return zone_line_read(l, words, n, type);
	if (words[0].len < sizeof(first)) {
		memcpy(first, words[0].s, words[0].len);
		first[words[0].len] = 0;
		if (addr_parse(first, &ip))
			return hosts_read(l, words, n);
	}
	return line_skip(l);
}

void block_list_begin(struct block_list *l, bool allows, const struct block_list_ops *ops)
{
	memset(l, 0, sizeof(*l));
	l->ops = ops;
	l->allows = allows;
}

/* What was held and the rest of the line, as one. */
static int held_read(struct block_list *l)
{
	size_t len = l->len;
	bool too_long = l->too_long;
	l->len = 0;
	l->too_long = false;
	if (!too_long)
		return line_read(l, l->held, len);
	l->line++;
	return line_skip(l);
}

static void hold(struct block_list *l, const char *p, size_t len)
{
	l->too_long = l->too_long || len > sizeof(l->held) - l->len;
	if (l->too_long)
		return;
	memcpy(l->held + l->len, p, len);
	l->len += len;
}

int block_list_read(struct block_list *l, const char *p, size_t len)
{
	int err = 0;
	for (const char *end; !err && len && (end = memchr(p, '\n', len));) {
		size_t n = (size_t)(end - p);
		if (l->len || l->too_long || n > sizeof(l->held)) {
			hold(l, p, n);
			err = held_read(l);
		} else {
			err = line_read(l, p, n);
		}
		p = end + 1;
		len -= n + 1;
	}
	if (!err && len)
		hold(l, p, len);
	return err;
}

int block_list_end(struct block_list *l)
{
	return l->len || l->too_long ? held_read(l) : 0;
}
