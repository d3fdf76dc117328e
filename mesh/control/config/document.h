/* A YAML document with places, for strict readers. */
#ifndef RW_CONTROL_CONFIG_DOCUMENT_H
#define RW_CONTROL_CONFIG_DOCUMENT_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

struct document {
	const char *path;
	yaml_document_t yaml;
	struct errbuf *eb; /* the first that is refused */
	struct buf *
		all; /* a line for each, up to 50; NULL: the first is enough. Set by who reads on behind it */
	size_t refused;
};
/* The first document of text, checked: no duplicate keys, scalar keys only. An empty one has a NULL root. */
int document_open(struct document *d, const char *path, const char *text, size_t len, struct errbuf *eb);
void document_close(struct document *d);
yaml_node_t *document_node(struct document *d, int id);
/* "path:line:column: text"; returns ERR_MALFORMED. */
int document_refuse(struct document *d, const yaml_node_t *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Text of a scalar, NULL for anything else. */
const char *document_text(const yaml_node_t *n);
bool document_is_null(const yaml_node_t *n);

#endif
