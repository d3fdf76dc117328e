#include "mesh/control/config/document.h"

#include "mesh/base/yaml_fault.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 16, LINES_MAX = 50 };

yaml_node_t *document_node(struct document *d, int id)
{
	return yaml_document_get_node(&d->yaml, id);
}

int document_refuse(struct document *d, const yaml_node_t *at, const char *fmt, ...)
{
	char text[256];
	struct errbuf one;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_say(d->refused++ ? &one : d->eb, ERR_MALFORMED, "%s:%zu:%zu: %s", d->path,
		at ? at->start_mark.line + 1 : 1, at ? at->start_mark.column + 1 : 1, text);
	if (d->all && d->refused <= LINES_MAX + 1) /* where memory is short the first is said */
		(void)buf_printf(d->all, "%s\n",
			d->refused > LINES_MAX ? "and more"
			: d->refused > 1       ? one.text
					       : d->eb->text);
	return ERR_MALFORMED;
}

const char *document_text(const yaml_node_t *n)
{
	return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

bool document_is_null(const yaml_node_t *n)
{
	const char *t = document_text(n);
	return t && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*t || !strcmp(t, "~") || !strcmp(t, "null"));
}

/* By name; of one name, as they stand. */
static int key_order(const void *a, const void *b)
{
	const yaml_node_t *const x = *(yaml_node_t *const *)a, *const y = *(yaml_node_t *const *)b;
	int order = strcmp(document_text(x), document_text(y));
	if (order)
		return order;
	return (x->start_mark.index > y->start_mark.index) - (x->start_mark.index < y->start_mark.index);
}

/* The first that is there already; NULL: none. Sorts keys. */
static const yaml_node_t *key_again(yaml_node_t **keys, size_t n)
{
	const yaml_node_t *first = NULL;
	qsort(keys, n, sizeof(yaml_node_t *), key_order);
	for (size_t i = 1; i < n; i++)
		if (!strcmp(document_text(keys[i]), document_text(keys[i - 1])) &&
			(!first || keys[i]->start_mark.index < first->start_mark.index))
			first = keys[i];
	return first;
}

static int check_keys(struct document *d, yaml_node_t *map)
{
	const yaml_node_pair_t *pairs = map->data.mapping.pairs.start;
	size_t most = (size_t)(map->data.mapping.pairs.top - pairs), n = 0;
	yaml_node_t **keys = most ? calloc(most, sizeof(yaml_node_t *)) : NULL, *key = NULL;
	if (!most)
		return 0;
	if (!keys)
		return err_set(d->eb, -ENOMEM, "read %s", d->path);
	while (n < most && document_text(key = document_node(d, pairs[n].key)))
		keys[n++] = key;
	const yaml_node_t *again = key_again(keys, n);
	free(keys);
	if (again)
		return document_refuse(d, again, "\"%s\" is set twice", document_text(again));
	return n < most ? document_refuse(d, key, "a key must be a plain word") : 0;
}

static int check_node(struct document *d, yaml_node_t *n, unsigned depth)
{
	int err = 0;
	if (depth > DEPTH_MAX)
		return document_refuse(d, n, "nested too deeply");
	if (n->type == YAML_SEQUENCE_NODE)
		for (yaml_node_item_t *i = n->data.sequence.items.start;
			i < n->data.sequence.items.top && !err; i++)
			err = check_node(d, document_node(d, *i), depth + 1);
	if (n->type != YAML_MAPPING_NODE)
		return err;
	err = check_keys(d, n);
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top && !err; p++)
		err = check_node(d, document_node(d, p->value), depth + 1);
	return err;
}

/* Aliases make one node reachable along many paths; without them a walk is as long as the text. */
static bool has_alias(const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_event_t event;
	bool found = false, end = false;
	if (!yaml_parser_initialize(&parser))
		return false;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (!end && yaml_parser_parse(&parser, &event)) {
		found = found || event.type == YAML_ALIAS_EVENT;
		end = found || event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return found;
}

int document_open(struct document *d, const char *path, const char *text, size_t len, struct errbuf *eb)
{
	yaml_parser_t parser;
	*d = (struct document) { .path = path, .eb = eb };
	if (has_alias(text, len))
		return err_say(eb, ERR_MALFORMED,
			"%s: YAML aliases (*name) are not allowed: write the value out", path);
	if (!yaml_parser_initialize(&parser))
		return err_set(eb, -ENOMEM, "read %s", path);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	int err = 0;
	if (!yaml_parser_load(&parser, &d->yaml)) {
		struct yaml_fault f = YAML_FAULT(&parser);
		char what[YAML_FAULT_TEXT];
		yaml_fault_say(&f, text, len, what);
		err = err_say(eb, ERR_MALFORMED, "%s:%zu:%zu: %s", path, f.line, f.column, what);
		yaml_parser_delete(&parser);
		return err;
	}
	yaml_parser_delete(&parser);
	yaml_node_t *root = yaml_document_get_root_node(&d->yaml);
	if (root)
		err = check_node(d, root, 0);
	if (err)
		document_close(d);
	return err;
}

void document_close(struct document *d)
{
	yaml_document_delete(&d->yaml);
}
