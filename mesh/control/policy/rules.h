/* The compiled form of a policy: what its files share. Pointers are into the policy's arena. */
#ifndef RW_CONTROL_POLICY_RULES_H
#define RW_CONTROL_POLICY_RULES_H

#include "mesh/control/policy/policy.h"

struct policy_index;

enum selector_kind {
	SELECT_ANY,	 /* "*": as a source the mesh and the subnets it carries, as a destination all */
	SELECT_WORLD,	 /* autogroup:danger-all (src): any address at all */
	SELECT_USER,	 /* text: name without a trailing '@'; untagged nodes of that user */
	SELECT_DOMAIN,	 /* user:*@x (text "@x"): untagged nodes of users whose names end so */
	SELECT_GROUP,	 /* text: "NAME@DOMAIN", a provider's group: untagged nodes of who is in it */
	SELECT_TAG,	 /* text: "tag:x" */
	SELECT_PREFIX,	 /* net */
	SELECT_MEMBER,	 /* autogroup:member: all untagged nodes */
	SELECT_ROLE,	 /* autogroup:admin and the like: untagged nodes of users with that role */
	SELECT_TAGGED,	 /* autogroup:tagged */
	SELECT_SELF,	 /* autogroup:self (dst): untagged nodes of the source's user */
	SELECT_INTERNET, /* autogroup:internet (dst): what is public, by an exit: nets */
};
struct selector {
	enum selector_kind kind;
	const char *text;
	struct prefix net;
	const struct prefix *nets;
	size_t n_nets;
	enum user_role role;
};
struct selectors {
	struct selector *v;
	size_t n;
};
struct port_span {
	uint16_t first, last;
};
struct target {
	struct selectors who;
	struct port_span *ports;
	size_t n_ports;
};
/* "acls[2]", and where in the text that begins. */
struct rule_place {
	const char *section; /* NULL: of none that is written */
	unsigned index, line, column;
};
/* One of "acls", or the part of a grant that has one protocol, or its capabilities. */
struct access_rule {
	struct rule_place place;
	struct selectors src;
	struct target *dst;
	size_t n_dst;
	uint8_t *protos;
	size_t n_protos;
	struct selectors via; /* tags; not empty: only what these carry, and nothing of their own */
	const char *caps;     /* a grant of capabilities: a JSON object; its targets have no ports */
	bool self;	      /* some target is autogroup:self */
};
struct tag_owner {
	const char *tag;
	struct selectors owners;
};
struct approver {
	struct prefix net; /* and all within; bits 0: an exit */
	struct selectors who;
};
struct node_attr {
	struct selectors target;
	struct ctl_strings attrs;
	struct ctl_prefixes pools; /* where the addresses of new nodes come from */
};
struct ssh_rule {
	struct selectors src, dst;
	bool check; /* somebody has to let it in anew, once in check_ms (0: each time) */
	uint64_t check_ms;
	struct ctl_strings users, env;
};
struct policy_test {
	struct rule_place place;
	struct selectors src; /* of one name: all that it stands for */
	struct target *accept, *deny;
	size_t n_accept, n_deny;
	uint8_t *protos;
	size_t n_protos;
};
struct ssh_test {
	struct rule_place place;
	struct selectors src, dst;
	struct ctl_strings accept, deny, check;
};
struct policy {
	struct arena mem;
	struct policy_index *index; /* of the rules */
	struct access_rule *rules;
	size_t n_rules, rules_size;
	bool self, via; /* some rule has it */
	struct tag_owner *owners;
	size_t n_owners;
	struct approver *approvers;
	size_t n_approvers;
	struct ssh_rule *ssh;
	size_t n_ssh;
	struct policy_test *tests;
	size_t n_tests;
	struct ssh_test *ssh_tests;
	size_t n_ssh_tests;
	struct node_attr *attrs;
	size_t n_attrs;
	bool randomize_port;
	bool groups; /* something in it is a provider's */
};

#endif
