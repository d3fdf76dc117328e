/* Texts with {name} in them. A key is letters, digits, '.', '-', '_' and '>', and may itself hold a {key},
 * which is expanded first: "{{with.server}.url}". A brace followed by anything else is an ordinary character
 * (JSON in a template), and so is one of "%{word}" or "${word}", which other programs have a use for. */
#ifndef SIMNET_TEMPLATE_H
#define SIMNET_TEMPLATE_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"

enum { TEMPLATE_WAIT = 2 }; /* a value is not there yet */

struct template_values {
	/* Appends the value of key to out. 0, TEMPLATE_WAIT, or a negative code with its sentence in eb. */
	int (*lookup)(void *owner, const char *key, struct buf *out, struct errbuf *eb);
	void *owner;
};

/* Appends the expanded text to out. 0, TEMPLATE_WAIT or negative; out may then hold a part of it. */
int template_expand(const char *text, const struct template_values *v, struct buf *out, struct errbuf *eb);

#endif
