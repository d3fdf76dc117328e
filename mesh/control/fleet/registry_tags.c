/* Tags: in what form they are written, and who may give them. */
#include "mesh/control/fleet/registry_inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void registry_tags_split(struct arena *a, const char *text, struct ctl_strings *out)
{
	char *copy = arena_strdup(a, text), *save = NULL;
	*out = (struct ctl_strings) { .v = arena_array(a, strlen(text) / 2 + 1, sizeof(*out->v)) };
	for (char *t = copy && out->v ? strtok_r(copy, ", ", &save) : NULL; t;
		t = strtok_r(NULL, ", ", &save))
		out->v[out->n++] = t;
}

void registry_tags_join(const struct ctl_strings *tags, char out[static STORE_TAGS])
{
	size_t len = 0;
	out[0] = 0;
	for (size_t i = 0; i < tags->n && len + strlen(tags->v[i]) + 2 < STORE_TAGS; i++)
		len += (size_t)sprintf(out + len, "%s%s", len ? "," : "", tags->v[i]);
}

static bool is_tag_of(const struct ctl_strings *tags, const char *tag)
{
	for (size_t i = 0; i < tags->n; i++)
		if (!strcmp(tags->v[i], tag))
			return true;
	return false;
}

/* None that could be read is no list without tags: who decides by them decides nothing. */
static int read_tags(struct arena *a, const char *text, struct ctl_strings *out, struct errbuf *eb)
{
	registry_tags_split(a, text, out);
	return a->failed ? err_set(eb, -ENOMEM, "read the tags") : 0;
}

int registry_tags_check(const struct registry *r, const char *tags, struct errbuf *eb)
{
	struct arena a = { 0 };
	struct ctl_strings list;
	int err = read_tags(&a, tags, &list, eb);
	for (size_t i = 0; !err && i < list.n; i++) {
		if (strncmp(list.v[i], "tag:", 4) != 0 || !fleet_label_valid(list.v[i] + 4))
			err = err_say(eb, -EINVAL,
				"\"%.64s\" is not a tag: write it as tag:name with a-z, 0-9 and -",
				list.v[i]);
		else if (r->c.ops.knows_tag && !r->c.ops.knows_tag(r->c.ops.arg, list.v[i]))
			err = err_say(eb, -EINVAL,
				"%.64s is not in the policy's \"tagOwners\": add it there and reload",
				list.v[i]);
	}
	arena_free(&a);
	return err;
}

/* A node may ask for tags that the policy lets its user give. */
int registry_tags_check_owner(const struct registry *r, const char *tags, int64_t user, struct errbuf *eb)
{
	const struct registry_ops *ops = &r->c.ops;
	const struct user *u = fleet_user(&r->fleet, user);
	struct ctl_strings list;
	struct arena a = { 0 };
	int err = *tags ? registry_tags_check(r, tags, eb) : 0;
	err = err ? err : read_tags(&a, tags, &list, eb);
	for (size_t i = 0; !err && i < list.n; i++)
		if (!u || !ops->owns_tag || !ops->owns_tag(ops->arg, list.v[i], u))
			err = err_say(eb, ERR_REFUSED,
				"this node may not be %.64s: \"tagOwners\" in the policy does not give that "
				"tag to %.64s",
				list.v[i], u ? u->name : "its user");
	arena_free(&a);
	return err;
}

int registry_tags_check_giver(const struct registry *r, const char *tags, int64_t giver,
	const struct ctl_strings *have, struct errbuf *eb)
{
	const struct registry_ops *ops = &r->c.ops;
	const struct user *u = fleet_user(&r->fleet, giver);
	struct ctl_strings list;
	struct arena a = { 0 };
	int err = giver ? read_tags(&a, tags, &list, eb) : 0;
	for (size_t i = 0; giver && !err && i < list.n; i++)
		if (!(have && is_tag_of(have, list.v[i])) &&
			(!u || !ops->owns_tag || !ops->owns_tag(ops->arg, list.v[i], u)))
			err = err_say(eb, -EPERM,
				"%.64s is not yours to give: \"tagOwners\" in the policy says who may, "
				"beside "
				"network admins and admins",
				list.v[i]);
	arena_free(&a);
	return err;
}

int registry_tags_check_key(const char *tags, const struct ctl_strings *asked, struct errbuf *eb)
{
	struct arena a = { 0 };
	struct ctl_strings list;
	int err = read_tags(&a, tags, &list, eb);
	for (size_t i = 0; !err && i < asked->n; i++)
		if (!is_tag_of(&list, asked->v[i]))
			err = err_say(eb, ERR_REFUSED,
				"this auth key does not make nodes %.64s: leave --advertise-tags out, or use "
				"a key "
				"with that tag (`ropewalk-control preauthkeys create --tags ...`)",
				asked->v[i]);
	arena_free(&a);
	return err;
}
