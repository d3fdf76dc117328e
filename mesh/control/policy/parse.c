/* The policy file: HuJSON (hujson.c), its named things (groups, hosts, ipsets, tagOwners), and the sections that are
 * made of names: access rules (access.c), ssh rules (ssh.c), tests (tests.c). What is wrong is refused with
 * its place; nothing is read half. */
#include "mesh/control/policy/reader.h"

#include "mesh/control/policy/hujson.h"
#include "mesh/control/policy/index.h"
#include "mesh/proto/json_memory.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const sections[] = { "groups", "hosts", "ipsets", "tagOwners", "acls", "grants",
	"nodeAttrs", "autoApprovers", "ssh", "tests", "sshTests", "randomizeClientPort", NULL };

/* --- named things --- */

static bool check_groups(struct reader *rd)
{
	const char *name;
	json_t *members, *m;
	size_t i;
	json_object_foreach(rd->groups, name, members)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "groups.%.64s", name);
		if (strncmp(name, "group:", 6) != 0)
			return reader_refuse(rd, where, "a group's name begins with \"group:\"");
		if (!reader_strings(rd, rd->groups, name, true, where, &members))
			return false;
		json_array_foreach(members, i, m)
		{
			const char *user = json_string_value(m);
			if (!strchr(user, '@'))
				return reader_refuse(rd, where,
					"\"%s\" is not a user: users are written with an @, as in \"alice@\"",
					user);
			if (!strncmp(user, "group:", 6) && json_object_get(rd->groups, user))
				return reader_refuse(
					rd, where, "\"%s\": there are no groups in groups", user);
		}
	}
	return true;
}

static bool check_hosts(struct reader *rd)
{
	const char *name;
	json_t *value;
	json_object_foreach(rd->hosts, name, value)
	{
		struct prefix net;
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "hosts.%.64s", name);
		if (!json_is_string(value) || !prefix_parse(json_string_value(value), &net))
			return reader_refuse(rd, where, "must be an address or prefix");
	}
	return true;
}

static bool read_tag_owners(struct reader *rd)
{
	const char *tag;
	json_t *list;
	rd->p->owners = arena_array(&rd->p->mem, json_object_size(rd->tag_owners), sizeof(*rd->p->owners));
	if (!rd->p->owners)
		return reader_no_memory(rd);
	json_object_foreach(rd->tag_owners, tag, list)
	{
		struct tag_owner *o = &rd->p->owners[rd->p->n_owners++];
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "tagOwners.%.64s", tag);
		if (!(o->tag = arena_strdup(&rd->p->mem, tag)))
			return reader_no_memory(rd);
		if (strncmp(tag, "tag:", 4) != 0)
			return reader_refuse(rd, where, "a tag's name begins with \"tag:\"");
		if (!isascii((unsigned char)tag[4]) || !isalpha((unsigned char)tag[4]))
			return reader_refuse(rd, where, "a tag's name has a letter after \"tag:\"");
		if (!reader_strings(rd, rd->tag_owners, tag, true, where, &list) ||
			!selectors_read(rd, list, "", AS_OWNER, where, &o->owners))
			return false;
	}
	return true;
}

/* --- autoApprovers --- */

static bool add_approver(struct reader *rd, const char *net, json_t *o, const char *key, const char *where)
{
	struct approver *a = &rd->p->approvers[rd->p->n_approvers++];
	json_t *list;
	if (!prefix_parse(net, &a->net))
		return reader_refuse(rd, where, "\"%.64s\" is not a route: write it as 10.0.0.0/8", net);
	prefix_mask(&a->net);
	return reader_strings(rd, o, key, true, where, &list) &&
	       selectors_read(rd, list, "", AS_OWNER, where, &a->who);
}

static bool read_approvers(struct reader *rd, json_t *root)
{
	static const char *const names[] = { "routes", "exitNode", NULL };
	json_t *o = json_object_get(root, "autoApprovers"), *routes = json_object_get(o, "routes"), *list;
	const char *net;
	if (!o || json_is_null(o))
		return true;
	if (!reader_keys(rd, o, names, "autoApprovers"))
		return false;
	if (routes && !json_is_object(routes) && !json_is_null(routes))
		return reader_refuse(rd, "autoApprovers.routes", "must be an object");
	rd->p->approvers = arena_array(&rd->p->mem, json_object_size(routes) + 2, sizeof(*rd->p->approvers));
	if (!rd->p->approvers)
		return reader_no_memory(rd);
	json_object_foreach(routes, net, list)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "autoApprovers.routes.%.64s", net);
		size_t at = rd->p->n_approvers;
		if (!add_approver(rd, net, routes, net, where))
			return false;
		if (!rd->p->approvers[at].net.bits) /* an exit is approved by exitNode alone */
			rd->p->n_approvers = at;
	}
	return !json_object_get(o, "exitNode") ||
	       (add_approver(rd, "0.0.0.0/0", o, "exitNode", "autoApprovers.exitNode") &&
		       add_approver(rd, "::/0", o, "exitNode", "autoApprovers.exitNode"));
}

/* --- the whole --- */

static bool read_document(struct reader *rd, json_t *root)
{
	const char *const objects[] = { "groups", "hosts", "ipsets", "tagOwners" };
	json_t **slots[] = { &rd->groups, &rd->hosts, &rd->ipsets, &rd->tag_owners };
	if (!reader_keys(rd, root, sections, ""))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		*slots[i] = json_object_get(root, objects[i]);
		if (*slots[i] && !json_is_object(*slots[i]) && !json_is_null(*slots[i]))
			return reader_refuse(rd, objects[i], "must be an object");
	}
	return check_groups(rd) && check_hosts(rd) && ipsets_read(rd) && read_tag_owners(rd) &&
	       read_approvers(rd, root) && access_read_acls(rd, root) && access_read_grants(rd, root) &&
	       (rd->has_rules || access_allow_all(rd)) && ssh_read(rd, root) && tests_read(rd, root) &&
	       tests_read_ssh(rd, root) && attrs_read(rd, root);
}

/* Nothing but what hujson_blank has made blank. */
static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", text[i]) || !text[i])
			return false;
	return true;
}

struct policy *policy_parse(char *text, size_t len, struct errbuf *eb)
{
	struct errbuf scratch;
	json_error_t je;
	hujson_blank(text, len);
	json_t *root = json_memory_load(text, len, JSON_REJECT_DUPLICATES, &je, NULL);
	struct reader rd = {
		.p = calloc(1, sizeof(*rd.p)), .text = text, .len = len, .eb = eb ? eb : &scratch
	};
	if (is_blank(text, len)) {
		err_say(rd.eb, ERR_MALFORMED, "1:1: the policy is empty: {} is one that allows everything");
		goto drop;
	}
	if (!root || !json_is_object(root)) {
		err_say(rd.eb, ERR_MALFORMED,
			root ? "1:1: the policy must be an object: { ... }" : "%d:%d: %s", je.line, je.column,
			je.text);
		goto drop;
	}
	if (!rd.p) {
		reader_no_memory(&rd);
		goto drop;
	}
	if (!read_document(&rd, root))
		goto drop;
	if (!(rd.p->index = policy_index_new(rd.p))) {
		reader_no_memory(&rd);
		goto drop;
	}
	json_decref(root);
	return rd.p;
drop:
	json_decref(root);
	policy_free(rd.p);
	return NULL;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	policy_index_free(p->index);
	arena_free(&p->mem);
	free(p);
}
