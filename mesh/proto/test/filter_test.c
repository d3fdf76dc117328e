#include "mesh/proto/control.h"
#include "mesh/proto/test/vectors.h"
#include <stdio.h>

#define ALL_PORTS ",\"Ports\":{\"First\":0,\"Last\":65535}}"

/* A rule's text and how it is written back; "" = the rule is left out. */
static void test_rules(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *as;
	} rows[] = {
		{ "{\"SrcIPs\":[\"100.64.0.1\"],\"DstPorts\":[{\"IP\":\"100.64.0.2\"" ALL_PORTS "]}", NULL },
		{ "{\"SrcIPs\":[\"10.0.0.0/8\",\"fd7a::/"
		  "48\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":22,\"Last\":22}}],"
		  "\"IPProto\":[6,17]}",
			NULL },
		{ "{\"SrcIPs\":[\"10.1.2.3/8\"],\"DstPorts\":[{\"IP\":\"10.1.2.3/32\"" ALL_PORTS "]}",
			"{\"SrcIPs\":[\"10.0.0.0/8\"],\"DstPorts\":[{\"IP\":\"10.1.2.3\"" ALL_PORTS "]}" },
		{ "{\"SrcIPs\":[\"10.0.0.1-10.0.0.6\"],\"DstPorts\":[{\"IP\":\"10.0.0.1-10.0.0.6\"" ALL_PORTS
		  "]}",
			"{\"SrcIPs\":[\"10.0.0.1-10.0.0.6\"],\"DstPorts\":[{\"IP\":\"10.0.0.1\"" ALL_PORTS
			",{\"IP\":\"10.0.0.2/31\"" ALL_PORTS ",{\"IP\":\"10.0.0.4/31\"" ALL_PORTS
			",{\"IP\":\"10.0.0.6\"" ALL_PORTS "]}" },
		{ "{\"SrcIPs\":[\"0.0.0.0-255.255.255.255\",\"::/"
		  "0\"],\"DstPorts\":[{\"IP\":\"0.0.0.0-255.255.255.255\"" ALL_PORTS "]}",
			"{\"SrcIPs\":[\"0.0.0.0/0\",\"::/0\"],\"DstPorts\":[{\"IP\":\"0.0.0.0/0\"" ALL_PORTS
			"]}" },
		{ "{\"SrcIPs\":[\"*\",\"cap:x\",\"1.2.3.4-::1\",\"2.0.0.0-1.0.0.0\"],\"DstPorts\":[{\"IP\":"
		  "\"*\"" ALL_PORTS "]}",
			"{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\"" ALL_PORTS "]}" },
		{ "{\"SrcIPs\":[\"cap:x\"],\"DstPorts\":[{\"IP\":\"*\"" ALL_PORTS "]}", "" },
		{ "{\"SrcIPs\":[\"*\"],\"CapGrant\":[{\"Dsts\":[\"100.64.0.1/32\"],\"Caps\":[\"x\"]}]}",
			"{\"SrcIPs\":[\"*\"],\"DstPorts\":[],\"CapGrant\":[{\"Dsts\":[\"100.64.0.1/"
			"32\"],\"Caps\":[\"x\"]}]}" },
		{ "{\"SrcIPs\":[\"*\"],\"CapGrant\":[],\"DstPorts\":[{\"IP\":\"*\"" ALL_PORTS "]}",
			"{\"SrcIPs\":[\"*\"],\"DstPorts\":[],\"CapGrant\":[]}" },
		{ "{\"SrcIPs\":[\"cap:x\"],\"CapGrant\":[{}]}", "" },
		{ "{\"SrcIPs\":[\"*\"],\"CapGrant\":7,\"DstPorts\":[{\"IP\":\"*\"" ALL_PORTS "]}", "" },
		{ "{\"SrcIPs\":[\"*\"],\"CapGrant\":null,\"SrcBits\":null,\"IPProto\":null,\"DstPorts\":[{"
		  "\"IP\":\"*\"" ALL_PORTS "]}",
			"{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\"" ALL_PORTS "]}" },
		{ "{\"SrcIPs\":[\"10.0.0.1\"],\"SrcBits\":[8],\"DstPorts\":[{\"IP\":\"*\"" ALL_PORTS "]}",
			"" },
		{ "{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"10.0.0.1\",\"Bits\":8" ALL_PORTS "]}", "" },
		{ "{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"10.0.0.1\",\"Ports\":{\"First\":9,\"Last\":8}}"
		  "]}",
			"" },
		{ "{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"10.0.0.1\",\"Ports\":{\"First\":0,\"Last\":"
		  "65536}}]}",
			"" },
		{ "{\"SrcIPs\":[],\"DstPorts\":[]}", "" },
		{ "{}", "" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char json[700], want[700];
		const char *as = rows[i].as ? rows[i].as : rows[i].rule;
		snprintf(json, sizeof(json), "{\"PacketFilter\":[%s]}", rows[i].rule);
		snprintf(want, sizeof(want), "{\"PacketFilter\":[%s]}", as);
		struct arena a = { 0 };
		struct buf b = { 0 };
		struct errbuf eb = { 0 };
		struct ctl_map_response m;
		if (ctl_map_response_read(&a, json, strlen(json), &m, &eb))
			fail_msg("row %zu: %s", i, eb.text);
		assert_true(m.has_filter);
		assert_true(ctl_map_response_write(&b, &m));
		if (strcmp(buf_cstr(&b), want) != 0)
			fail_msg("row %zu: %s", i, buf_cstr(&b));
		buf_free(&b);
		arena_free(&a);
	}
}

static void test_v6_range(void **state)
{
	(void)state;
	static const char json[] =
		"{\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"::1-ffff:ffff:ffff:ffff:ffff:"
		"ffff:ffff:fffe\",\"Ports\":{\"First\":1,\"Last\":2}}]}]}";
	struct arena a = { 0 };
	struct ctl_map_response m;
	assert_int_equal(ctl_map_response_read(&a, json, strlen(json), &m, NULL), 0);
	const struct ctl_rule *r = &m.filter[0];
	struct addr first, last, end;
	addr_parse("::1", &first);
	addr_parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", &last);
	addr_parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &end);
	bool low = false, high = false, beyond = false;
	for (size_t i = 0; i < r->n_dst; i++) {
		low |= prefix_contains(&r->dst[i].net, &first);
		high |= prefix_contains(&r->dst[i].net, &last);
		beyond |=
			prefix_contains(&r->dst[i].net, &end) || prefix_contains(&r->dst[i].net, &addr_any6);
	}
	assert_true(low && high && !beyond);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rules), cmocka_unit_test(test_v6_range) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
