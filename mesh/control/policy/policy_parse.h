/* The compiled form of a policy, shared by its parser and its evaluation. */
#ifndef RW_CONTROL_POLICY_PARSE_H
#define RW_CONTROL_POLICY_PARSE_H

#include "mesh/control/policy/policy.h"

enum selector_kind {
	SELECT_ANY,	 /* "*" */
	SELECT_USER,	 /* text: name without a trailing '@'; untagged nodes of that user */
	SELECT_TAG,	 /* text: "tag:x" */
	SELECT_PREFIX,	 /* net */
	SELECT_MEMBER,	 /* autogroup:member: all untagged nodes */
	SELECT_TAGGED,	 /* autogroup:tagged */
	SELECT_SELF,	 /* autogroup:self (dst): untagged nodes of the source's user */
	SELECT_INTERNET, /* autogroup:internet (dst): concerns exit nodes only */
};
struct selector {
	enum selector_kind kind;
	const char *text;
	struct prefix net;
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
struct access_rule {
	struct selectors src;
	struct target *dst;
	size_t n_dst;
	uint8_t *protos;
	size_t n_protos;
};
struct tag_owner {
	const char *tag;
	struct selectors owners;
};
struct policy {
	struct arena mem;
	bool allow_all; /* neither acls nor grants */
	struct access_rule *rules;
	size_t n_rules;
	struct tag_owner *owners;
	size_t n_owners;
	const char *unused;
};

#endif
