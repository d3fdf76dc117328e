#include "mesh/control/fleet/policies.h"

#include <stdlib.h>
#include <string.h>

void policies_init(struct policies *p)
{
	p->n = 0;
	p->text = NULL;
}

void policies_fini(struct policies *p)
{
	free(p->text);
	policies_init(p);
}

bool policies_text(struct policies *p, const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		return false;
	free(p->text);
	p->text = copy;
	return true;
}

void policies_add(struct policies *p, const struct policy_version *v)
{
	if (p->n == POLICIES_KEPT)
		memmove(p->v, p->v + 1, --p->n * sizeof(*p->v));
	p->v[p->n++] = *v;
}

const struct policy_version *policies_newest(const struct policies *p)
{
	return p->n ? &p->v[p->n - 1] : NULL;
}

const struct policy_version *policies_by_id(const struct policies *p, int64_t id)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].id == id)
			return &p->v[i];
	return NULL;
}
