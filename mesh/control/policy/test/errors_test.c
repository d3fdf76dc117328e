/* What is wrong in a policy file: for each kind of mistake where it is, line and column, and what to do about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/policy/source.h"
#include <stdio.h>
#include <string.h>

static void test_errors(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "[]", "1:1: the policy must be an object: { ... }" },
		{ "{\n // comment\n \"acls\": [ }", "3:12: unexpected token near '}'" },
		{ "{\"acl\":[]}", "1:8: acl: no such field; did you mean \"acls\"?" },
		{ "{\"acls\":{}}", "1:9: acls: must be a list" },
		{ "{\"acls\":[{\"action\":\"deny\"}]}",
			"1:20: acls[0].action: must be \"accept\" (what no rule accepts is denied)" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"*\"]}]}",
			"1:48: acls[0].dst[0]: \"*\" has no ports: write it as \"*:*\" or with a port" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"*:http\"]}]}",
			"1:48: acls[0].dst[0]: \"http\" is no port: write *, 22, 80-90 or a list of these" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"*:90-80\"]}]}",
			"1:48: acls[0].dst[0]: \"90-80\" is no port: write *, 22, 80-90 or a list of these" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice\"],\"dst\":[\"*:*\"]}]}",
			"1:36: acls[0].src[0]: \"alice\" is no user (alice@), group:, tag:, autogroup:, "
			"ipset:, address or "
			"name in \"hosts\"" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"group:x\"],\"dst\":[\"*:*\"]}]}",
			"1:36: acls[0].src[0]: group:x is not in \"groups\": add it there" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"tag:x\"],\"dst\":[\"*:*\"]}]}",
			"1:36: acls[0].src[0]: tag:x is not in \"tagOwners\": add it there" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"autogroup:members\"],\"dst\":[\"*:*\"]}]}",
			"1:36: acls[0].src[0]: unknown autogroup:members; did you mean autogroup:member?" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"autogroup:self\"],\"dst\":[\"*:*\"]}]}",
			"1:36: acls[0].src[0]: autogroup:self can only be a destination" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"autogroup:shared\"],\"dst\":[\"*:*\"]}]}",
			"1:36: acls[0].src[0]: autogroup:shared is not supported: this server shares no "
			"machines with others" },
		{ "{\"acls\":[{\"action\":\"accept\",\"proto\":\"tpc\",\"src\":[\"*\"],\"dst\":[\"*:*\"]}]}",
			"1:37: acls[0].proto: unknown protocol \"tpc\": write tcp, udp, icmp, ... or a "
			"number" },
		{ "{\"groups\":{\"dev\":[]}}", "1:18: groups.dev: a group's name begins with \"group:\"" },
		{ "{\"groups\":{\"group:a\":[\"group:b\"]}}",
			"1:22: groups.group:a: \"group:b\" is not a user: users are written with an @, as in "
			"\"alice@\"" },
		{ "{\"hosts\":{\"a\":\"b\"}}", "1:15: hosts.a: must be an address or prefix" },
		{ "{\"tagOwners\":{\"web\":[]}}", "1:21: tagOwners.web: a tag's name begins with \"tag:\"" },
		{ "{ // rules\n\t\"acls\": [\n\t\t{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": "
		  "[\"*:*\"]},\n"
		  "\t\t{\"action\": \"accept\",\n\t\t \"src\": [\"*\", /* a, ] } */ \"bob\",],\n\t\t "
		  "\"dst\": [\"*:*\"]}]}",
			"5:30: acls[1].src[1]: \"bob\" is no user (alice@), group:, tag:, autogroup:, "
			"ipset:, address or "
			"name in \"hosts\"" },
		{ "{\"tagOwners\":{\"tag:a.b\":[\"*\"],\"tag:a\":[3]}}",
			"1:39: tagOwners.tag:a: \"tag:a\" must be a list of strings" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"]}]}",
			"1:12: grants[0]: \"ip\" and \"app\" are both empty: nothing is granted" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"0.0.0.0/0\"],\"ip\":[\"*\"]}]}",
			"1:32: grants[0].dst[0]: to allow all addresses, write \"*\" or autogroup:internet" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"autogroup:self\"],\"ip\":[\"*\"]}]}",
			"1:31: grants[0].dst: autogroup:self is for sources that are users, groups or "
			"autogroup:member" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"],\"ip\":[\"tcp:0\"]}]}",
			"1:43: grants[0].ip[0]: \"0\" is no port: write *, 22, 80-90 or a list of these" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"],\"app\":{\"tailscale.com/cap/x\":[]}}]}",
			"1:12: grants[0]: \"tailscale.com/cap/x\" is in a domain that is not yours" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"100.64.0.1\"],\"dst\":[\"autogroup:self:*\"]}"
		  "]}",
			"1:56: acls[0].dst: autogroup:self is for sources that are users, groups or "
			"autogroup:member" },
		{ "{\"ssh\":[{\"action\":\"deny\",\"src\":[\"a@\"],\"dst\":[],\"users\":[\"root\"]}]}",
			"1:19: ssh[0].action: must be \"accept\" or \"check\"" },
		{ "{\"ssh\":[{\"action\":\"check\",\"checkPeriod\":\"200h\",\"src\":[],\"dst\":[],\"users\":["
		  "\"root\"]}]}",
			"1:41: ssh[0].checkPeriod: is longer than 168 hours" },
		{ "{\"ssh\":[{\"action\":\"accept\",\"src\":[\"a@\"],\"dst\":[],\"users\":[\"*\"]}]}",
			"1:59: ssh[0].users[0]: \"*\" is no login name: autogroup:nonroot is all but root" },
		{ "{\"nodeAttrs\":[{\"target\":[\"*\"],\"attr\":[\"funnel\"]}]}",
			"1:39: nodeAttrs[0].attr[0]: funnel is not supported by this server: nothing on the "
			"internet leads to it" },
		{ "{\"nodeAttrs\":[{\"target\":[\"*\"],\"app\":{}}]}",
			"1:37: nodeAttrs[0].app: app connectors are not supported by this server" },
		{ "{\"nodeAttrs\":[{\"target\":[\"*\"],\"ipPool\":[\"10.0.0.0/8\"]}]}",
			"1:41: nodeAttrs[0].ipPool[0]: \"10.0.0.0/8\" is no prefix inside 100.64.0.0/10 "
			"(clients "
			"use no other)" },
		{ "{\"nodeAttrs\":[{\"target\":[\"*\"],\"ipPool\":[\"100.100.100.0/25\"]}]}",
			"1:41: nodeAttrs[0].ipPool[0]: 100.100.100.0/25 is kept for other uses: name "
			"another" },
		{ "{\"tests\":[{\"src\":\"a@\",\"accept\":[\"10.0.0.0/8:22\"]}]}",
			"1:33: tests[0].accept[0]: a test's destination is a user, a tag, a host or an "
			"address, not a net or an autogroup" },
		{ "{\"postures\":{}}", "1:13: postures: is not supported by this server" },
		{ "{\"ipsets\":{\"lan\":[]}}", "1:18: ipsets.lan: a set's name begins with \"ipset:\"" },
		{ "{\"ipsets\":{\"ipset:a\":[\"10.0.0.0/8\",\"remove 10.1.0.0/16\"]}}",
			"1:23: ipsets.ipset:a[0]: write \"add 10.0.0.0/8\": in a set that removes, each line "
			"says "
			"what it does" },
		{ "{\"ipsets\":{\"ipset:a\":[\"add tag:x\"]}}",
			"1:23: ipsets.ipset:a[0]: \"tag:x\" is no address, prefix, name in \"hosts\", ipset: "
			"or "
			"autogroup:internet" },
		{ "{\"ipsets\":{\"ipset:a\":[\"ipset:b\"],\"ipset:b\":[\"ipset:a\"]}}",
			"1:45: ipsets.ipset:b[0]: ipset:a is made of itself" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"ipset:x\"],\"dst\":[\"*:*\"]}]}",
			"1:36: acls[0].src[0]: ipset:x is not in \"ipsets\": add it there" },
		{ "{\"ipsets\":{\"ipset:i\":[\"autogroup:internet\"]},\"acls\":[{\"action\":\"accept\","
		  "\"src\":["
		  "\"ipset:i\"],\"dst\":[\"*:*\"]}]}",
			"1:80: acls[0].src[0]: ipset:i has autogroup:internet, which can only be a "
			"destination" },
		{ "{\"acls\":[{\"action\":\"accept\",\"srcPosture\":[],\"src\":[],\"dst\":[]}]}",
			"1:42: acls[0].srcPosture: is not supported by this server" },
		{ "{\"group\":{}}", "1:10: group: no such field; did you mean \"groups\"?" },
		{ "{\"groups\":[]}", "1:11: groups: must be an object" },
		{ "{\"groups\":{\"group:a\":\"b\"}}",
			"1:22: groups.group:a: \"group:a\" must be a list of strings" },
		{ "{\"tagOwners\":{\"tag:1\":[]}}",
			"1:23: tagOwners.tag:1: a tag's name has a letter after \"tag:\"" },
		{ "{\"tagOwners\":{\"tag:a\":[\"10.0.0.1\"]}}",
			"1:24: tagOwners.tag:a[0]: \"10.0.0.1\" is no user (alice@), group:, tag: or "
			"autogroup:" },
		{ "{\"autoApprovers\":{\"route\":{}}}",
			"1:27: autoApprovers.route: no such field; did you mean \"routes\"?" },
		{ "{\"autoApprovers\":{\"routes\":[]}}", "1:28: autoApprovers.routes: must be an object" },
		{ "{\"autoApprovers\":{\"routes\":{\"x\":[]}}}",
			"1:33: autoApprovers.routes.x: \"x\" is not a route: write it as 10.0.0.0/8" },
		{ "{\"autoApprovers\":{\"routes\":{\"10.0.0.0/8\":[\"lab\"]}}}",
			"1:43: autoApprovers.routes.10.0.0.0/8[0]: \"lab\" is no user (alice@), group:, tag: "
			"or autogroup:" },
		{ "{\"acls\":[1]}", "1:10: acls[0]: must be an object" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":\"*\",\"dst\":[]}]}",
			"1:10: acls[0]: \"src\" must be a list of strings" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"user:*@\"],\"dst\":[\"*:*\"]}]}",
			"1:36: acls[0].src[0]: \"user:*@\" has no domain after the @" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"*:\"]}]}",
			"1:48: acls[0].dst[0]: no port after the \":\"" },
		{ "{\"acls\":[{\"action\":\"accept\",\"proto\":6,\"src\":[\"*\"],\"dst\":[\"*:*\"]}]}",
			"1:37: acls[0].proto: must be a string" },
		{ "{\"hosts\":{\"h\":\"10.0.0.1\"},\"acls\":[{\"action\":\"accept\",\"src\":[\"autogroup:"
		  "danger-all\"],\"dst\":[\"autogroup:danger-all:*\"]}]}",
			"1:92: acls[0].dst[0]: autogroup:danger-all can only be a source" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"],\"ip\":[\"*\"],\"via\":[\"alice@\"]}]}",
			"1:55: grants[0].via[0]: must be a tag" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"],\"app\":[]}]}",
			"1:12: grants[0]: \"app\" must be an object of lists" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"],\"app\":{\"x\":[]}}]}",
			"1:12: grants[0]: \"x\" is no capability: write it as domain/path" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"],\"app\":{\"a.b/c\":{}}}]}",
			"1:12: grants[0]: \"a.b/c\" must be a list" },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"autogroup:internet\"],\"app\":{\"a.b/c\":[]}}]}",
			"1:12: grants[0]: capabilities cannot be granted for autogroup:internet" },
		{ "{\"ssh\":[{\"action\":\"accept\",\"src\":[\"a@\"],\"dst\":[\"*\"],\"users\":[\"root\"]}]}",
			"1:48: ssh[0].dst[0]: \"*\" cannot be written here: name a tag: or autogroup:self" },
		{ "", "1:1: the policy is empty: {} is one that allows everything" },
		{ " // nothing\n", "1:1: the policy is empty: {} is one that allows everything" },
		{ "{\"ssh\":[{\"action\":\"accept\",\"src\":[\"a@\"],\"dst\":[\"10.0.0.1\"],\"users\":["
		  "\"root\"]}]}",
			"1:48: ssh[0].dst[0]: \"10.0.0.1\" is no user (alice@), group:, tag: or autogroup:" },
		{ "{\"ssh\":[{\"action\":\"accept\",\"src\":[\"a@\"],\"dst\":[\"a@\"]}]}",
			"1:9: ssh[0].users: must be a list of login names" },
		{ "{\"ssh\":[{\"action\":\"check\",\"checkPeriod\":\"soon\",\"src\":[],\"dst\":[],\"users\":["
		  "\"root\"]}]}",
			"1:41: ssh[0].checkPeriod: must be \"always\" or a time such as 12h" },
		{ "{\"ssh\":[{\"action\":\"accept\",\"src\":[\"a@\"],\"dst\":[\"a@\"],\"users\":[\"localpart:"
		  "*@*\"]}]}",
			"1:63: ssh[0].users[0]: \"localpart:*@*\" has no domain after the @" },
		{ "{\"ssh\":[{\"action\":\"accept\",\"src\":[\"a@\"],\"dst\":[\"a@\"],\"users\":[\"root\"],"
		  "\"acceptEnv\":[\"\"]}]}",
			"1:84: ssh[0].acceptEnv[0]: is empty" },
		{ "{\"tests\":[{\"accept\":[\"a@:1\"]}]}",
			"1:11: tests[0].src: must be a user, group, tag, host or address" },
		{ "{\"tests\":[{\"src\":\"a@\"}]}", "1:11: tests[0]: has neither \"accept\" nor \"deny\"" },
		{ "{\"tests\":[{\"src\":\"a@\",\"accept\":[\"a@:1-2\"]}]}",
			"1:33: tests[0].accept[0]: a test names one port" },
		{ "{\"tests\":[{\"src\":\"a@\",\"proto\":1,\"accept\":[\"a@:1\"]}]}",
			"1:11: tests[0]: \"proto\" must be a string" },
		{ "{\"sshTests\":[{\"src\":\"a@\",\"dst\":[\"autogroup:member\"],\"accept\":[\"root\"]}]}",
			"1:32: sshTests[0].dst: must name users, tags, hosts or addresses" },
		{ "{\"sshTests\":[{\"src\":\"a@\",\"dst\":[\"a@\"]}]}",
			"1:14: sshTests[0]: has none of \"accept\", \"deny\" and \"check\"" },
		{ "{\"sshTests\":[{\"src\":\"a@\",\"dst\":[\"a@\"],\"accept\":[\"\"]}]}",
			"1:49: sshTests[0].accept[0]: is empty" },
		{ "{\"nodeAttrs\":[{\"target\":[\"autogroup:self\"],\"attr\":[]}]}",
			"1:26: nodeAttrs[0].target[0]: autogroup:self cannot be written here" },
		{ "{\"nodeAttrs\":[{\"target\":[\"*\"],\"attr\":[\"\"]}]}",
			"1:39: nodeAttrs[0].attr[0]: is empty" },
		{ "{\"randomizeClientPort\":1}", "1:24: randomizeClientPort: must be true or false" },
		{ "{\"acls\":[],\"acls\":[]}", "1:17: duplicate object key near '\"acls\"'" },
		{ "{\"ipsets\":{\"ipset:a\":[\"add ipset:b\"]}}",
			"1:23: ipsets.ipset:a[0]: ipset:b is not in \"ipsets\": add it there" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"a@\"],\"dst\":[\"[::1:22\"]}]}",
			"1:49: acls[0].dst[0]: \"[::1\" is no user (alice@), group:, tag:, autogroup:, "
			"ipset:, address or name in \"hosts\"" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct policy_source *p = policy_source_new(rows[i].text, strlen(rows[i].text), &eb);
		if (p || strcmp(eb.text, rows[i].error) != 0)
			fail_msg("row %zu: %s", i, p ? "accepted" : eb.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_errors) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
