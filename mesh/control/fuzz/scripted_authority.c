/* In place of acme/acme.c: an authority that asks at once, and is done when it is told to. */
#include "mesh/control/fuzz/scripted.h"

#include "mesh/acme/acme.h"
#include "mesh/acme/acme_cert.h"
#include <stdlib.h>
#include <string.h>

enum { WORK_MS = 1 };

struct acme {
	struct acme_options options;
	struct acme_ops ops;
	struct loop_timer *timer;
};

static struct acme *open_order; /* the last */

static void ask(void *arg)
{
	struct acme *a = arg;
	(void)a->ops.prepare(a->ops.arg, "token", "token.thumbprint");
}

struct acme *acme_order(struct loop *l, const struct acme_options *o, const struct acme_ops *ops)
{
	struct acme *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	*a = (struct acme) { .options = *o, .ops = *ops };
	a->timer = loop_timer_new(l, ask, a);
	if (!a->timer) {
		free(a);
		return NULL;
	}
	loop_timer_set(a->timer, WORK_MS);
	return open_order = a;
}

void acme_free(struct acme *a)
{
	if (!a)
		return;
	open_order = open_order == a ? NULL : open_order;
	loop_timer_free(a->timer);
	free(a);
}

void scripted_authority_ends(const char *text)
{
	struct acme *a = open_order;
	struct buf pem = { 0 };
	if (!a)
		return;
	if (!strcmp(text, "issued"))
		(void)acme_cert_challenge(a->options.host, "token.thumbprint", &pem);
	else
		(void)buf_append(&pem, text, strlen(text));
	if (*text == '-' || !strcmp(text, "issued"))
		a->ops.done(a->ops.arg, 0, buf_cstr(&pem), pem.len, "");
	else
		a->ops.done(a->ops.arg, -1, NULL, 0, text);
	buf_free(&pem);
}
