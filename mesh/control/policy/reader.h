/* What the readers of a policy's sections share: the document, its named things, and how a fault is told. */
#ifndef RW_CONTROL_POLICY_READER_H
#define RW_CONTROL_POLICY_READER_H

#include "mesh/control/policy/rules.h"
#include <jansson.h>

enum { WHERE_MAX = 96 };

struct reader {
	struct policy *p;
	json_t *groups, *hosts, *tag_owners, *ipsets;
	struct ipset *sets; /* ipset.c's */
	size_t n_sets;
	const char *text; /* blanked */
	size_t len;
	struct errbuf *eb;
	bool has_rules;	    /* "acls" or "grants" is there, be it empty */
	size_t n_selectors; /* names in all lists so far */
};

/* false, and "LINE:COLUMN: WHERE: ..." in the error; where is a path as in "acls[2].dst[0]". */
bool reader_refuse(struct reader *rd, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
bool reader_no_memory(struct reader *rd); /* false */
/* Where the items of a list at the top are, for what is said of them later. NULL: said. section: a constant. */
struct rule_place *reader_places(struct reader *rd, const char *section, json_t *list);
/* The keys of object o are among names (NULL-terminated). */
bool reader_keys(struct reader *rd, json_t *o, const char *const *names, const char *where);
/* *out: the array of strings o[key], NULL when there is none (or null) and it may be missing. */
bool reader_strings(
	struct reader *rd, json_t *o, const char *key, bool required, const char *where, json_t **out);
/* *out: the array of objects root[key], NULL when there is none. */
bool reader_objects(struct reader *rd, json_t *root, const char *key, json_t **out);
/* A copy without blanks at its ends. NULL: said. */
const char *reader_trimmed(struct reader *rd, const char *text);
/* The strings of a list as they are, trimmed. */
bool reader_copy_strings(struct reader *rd, json_t *list, struct ctl_strings *out);

/* selector.c: names of users, groups, tags, autogroups, addresses and hosts. */
enum selector_use {
	AS_SOURCE = 1,
	AS_TARGET = 2,
	AS_OWNER = 4,	   /* of a tag or route: users, groups, tags, autogroup:member and :tagged */
	AS_SSH_TARGET = 8, /* no addresses */
	AS_ATTR = 16,	   /* all but autogroup:self and the like */
};
bool selector_add(struct reader *rd, struct selectors *out, const struct selector *s, const char *where);
bool selector_read(
	struct reader *rd, struct selectors *out, const char *name, enum selector_use use, const char *where);
bool selectors_read(struct reader *rd, json_t *list, const char *key, enum selector_use use,
	const char *where, struct selectors *out);
/* autogroup:self is for sources that are people: users, groups, autogroup:member, and "*" where star. */
bool selectors_fit_self(const struct selectors *src, bool star);

/* ipset.c: after "hosts". */
bool ipsets_read(struct reader *rd);
/* What the set named so stands for. */
bool ipset_select(struct reader *rd, struct selectors *out, const char *name, bool source, const char *where);

/* access.c */
bool access_read_acls(struct reader *rd, json_t *root);
bool access_read_grants(struct reader *rd, json_t *root);
/* What holds where neither is written: all may go everywhere. */
bool access_allow_all(struct reader *rd);
/* "host:ports" */
bool access_read_target(struct reader *rd, const char *text, struct target *t, const char *where);
bool access_read_proto(struct reader *rd, const char *name, uint8_t **protos, size_t *n, const char *where);

/* ssh.c */
bool ssh_read(struct reader *rd, json_t *root);
/* The rule lets the source, whose user is called so (NULL: it has none), log in under that name. */
bool ssh_login_fits(const struct ssh_rule *r, const char *login, const char *user);

/* tests.c */
bool tests_read(struct reader *rd, json_t *root);
bool tests_read_ssh(struct reader *rd, json_t *root);

/* attrs.c */
bool attrs_read(struct reader *rd, json_t *root);

#endif
