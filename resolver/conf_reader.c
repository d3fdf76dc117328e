#include "resolver/conf_reader.h"

#include "mesh/base/text.h"
#include "resolver/name.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINES_MAX = 50 };

int conf_fault(struct conf_faults *f, int code, const char *fmt, ...)
{
	struct errbuf one;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(one.text, sizeof(one.text), fmt, ap);
	va_end(ap);
	if (!f->n++)
		err_say(f->eb, code, "%s", one.text);
	if (f->all && f->n <= LINES_MAX + 1) /* where memory is short the first is said */
		(void)buf_printf(f->all, "%s\n", f->n > LINES_MAX ? "and more" : one.text);
	return code;
}

int conf_bad(const struct conf_reader *r, const yaml_node_t *at, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return conf_fault(r->faults, ERR_MALFORMED, "%s:%zu:%zu: %s", r->file, at->start_mark.line + 1,
		at->start_mark.column + 1, text);
}

yaml_node_t *conf_node(struct conf_reader *r, int number)
{
	return yaml_document_get_node(&r->doc, number);
}

const char *conf_scalar(const yaml_node_t *n)
{
	if (n->type != YAML_SCALAR_NODE ||
		strlen((const char *)n->data.scalar.value) != n->data.scalar.length)
		return NULL;
	return (const char *)n->data.scalar.value;
}

/* ---- values ---- */

int conf_string(struct conf_reader *r, const yaml_node_t *n, const char *what, const char **out)
{
	const char *s = conf_scalar(n);
	if (!s || !*s)
		return conf_bad(r, n, "%s: text is wanted here", what);
	*out = arena_strdup(&r->c->arena, s);
	if (*out)
		return 0;
	(void)conf_bad(r, n, "out of memory");
	return -ENOMEM;
}

int conf_number(
	struct conf_reader *r, const yaml_node_t *n, const char *what, struct conf_range range, uint64_t *out)
{
	const char *s = conf_scalar(n);
	if (!s || !text_u64(s, range.min, range.max, out))
		return conf_bad(r, n, "%s: a number from %llu to %llu is wanted here", what,
			(unsigned long long)range.min, (unsigned long long)range.max);
	return 0;
}

/* i: of the key at p; as many as there are: none has its name. */
static int key_find(struct conf_reader *r, const yaml_node_t *k, const struct conf_key *keys, size_t *i)
{
	const char *name = conf_scalar(k);
	const char *names[32] = { NULL };
	for (*i = 0; keys[*i].name && (!name || strcmp(keys[*i].name, name) != 0); ++*i)
		names[*i] = keys[*i].name;
	if (keys[*i].name)
		return 0;
	const char *near = name ? text_nearest(name, names) : NULL;
	return conf_bad(r, k, "unknown key \"%s\"%s%s%s", name ? name : "", near ? "; did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
}

int conf_keys(struct conf_reader *r, const yaml_node_t *map, const struct conf_key *keys, void *into)
{
	uint64_t seen = 0;
	int err = 0;
	if (map->type != YAML_MAPPING_NODE)
		return conf_bad(r, map, "\"key: value\" pairs are wanted here");
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *k = conf_node(r, p->key);
		size_t i;
		int wrong = key_find(r, k, keys, &i);
		if (!wrong && seen >> i & 1)
			wrong = conf_bad(r, k, "\"%s\" is given twice", keys[i].name);
		else if (!wrong)
			wrong = keys[i].read(r, conf_node(r, p->value), into);
		seen |= keys[i].name ? UINT64_C(1) << i : 0;
		err = err_first(err, wrong);
	}
	return err;
}

static int name_read(struct conf_reader *r, const yaml_node_t *n, const char *what, const char **out,
	struct dns_name *name)
{
	int err = conf_string(r, n, what, out);
	if (err)
		return err;
	if (!dns_text_is_ascii(*out))
		return conf_bad(r, n,
			"\"%s\": clients ask for the ASCII form of such a name; write that (xn--...)", *out);
	return dns_name_parse(*out, name) ? 0 : conf_bad(r, n, "\"%s\" is not a domain name", *out);
}

int conf_name(struct conf_reader *r, const yaml_node_t *n, const char *what, const char **out)
{
	struct dns_name name;
	return name_read(r, n, what, out, &name);
}

int conf_suffix(struct conf_reader *r, const yaml_node_t *n, const char *what, const char **out)
{
	struct dns_name name;
	int err = name_read(r, n, what, out, &name);
	if (!err && !dns_name_is_domain(&name))
		err = conf_bad(r, n,
			"\"%s\" is not a domain name: no client asks for one with a blank or # in it", *out);
	return err;
}

int conf_bool(const struct conf_reader *r, const yaml_node_t *n, const char *what, bool *out)
{
	const char *s = conf_scalar(n);
	*out = s && strcmp(s, "true") == 0;
	return *out || (s && strcmp(s, "false") == 0)
		       ? 0
		       : conf_bad(r, n, "%s: true or false is wanted here", what);
}

int conf_items(struct conf_reader *r, const yaml_node_t *n, const char *what, size_t max, size_t size,
	void *out, size_t *count)
{
	if (n->type != YAML_SEQUENCE_NODE)
		return conf_bad(r, n, "%s: a list is wanted here", what);
	size_t total = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (total > max)
		return conf_bad(r, n, "%s: at most %zu are possible", what, max);
	void *p = arena_array(&r->c->arena, total, size);
	if (!p)
		return conf_bad(r, n, "out of memory");
	memcpy(out, &p, sizeof(p));
	*count = total;
	return 0;
}

yaml_node_t *conf_item(struct conf_reader *r, const yaml_node_t *n, size_t i)
{
	return conf_node(r, n->data.sequence.items.start[i]);
}
