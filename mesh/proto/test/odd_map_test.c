/* A map message with one odd thing in it: that thing is left out and named, the rest stands, and nothing is
 * allowed by it that was not said. */
#include "mesh/proto/control.h"
#include "mesh/proto/test/vectors.h"
#include <stdio.h>
#include <stdlib.h>

#define K64(c) \
	c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c c c c c c c c c c c c
#define KEY(c) "nodekey:" K64(c)

static int read_text(struct arena *a, const char *json, struct ctl_map_response *out)
{
	struct errbuf eb = { 0 };
	int err = ctl_map_response_read(a, json, strlen(json), out, &eb);
	if (err)
		fail_msg("%s in %s", eb.text, json);
	return err;
}

/* Odd members of one peer. Those that say nothing of access cost the peer that member alone. */
enum fate { STAYS, ENDED /* shown, not let in */, NO_KEY, GONE };
static const struct {
	const char *member, *says;
	enum fate fate;
} peer_rows[] = {
	{ "\"ID\":0", "ID is not positive", GONE },
	{ "\"ID\":-5", "ID is not positive", GONE },
	{ "\"ID\":\"2\"", "[odd.x.test.].ID: not an integer", GONE },
	{ "\"ID\":1.5", "ID: not an integer", GONE },
	{ "\"ID\":{}", "ID: not an integer", GONE },
	{ "\"StableID\":7", "StableID: not a string", STAYS },
	{ "\"Name\":[]", "Peers[0].Name: not a string", STAYS },
	{ "\"User\":\"u\"", "Peers[odd.x.test.].User: not an integer", STAYS },
	{ "\"Key\":\"\"", "Key: not a key", NO_KEY },
	{ "\"Key\":\"nodekey:12\"", "Key: not a key", NO_KEY },
	{ "\"Key\":\"discokey:" K64("1") "\"", "Key: not a key", NO_KEY },
	{ "\"Key\":5", "Key: not a key", NO_KEY },
	{ "\"KeyExpiry\":\"soon\"", "KeyExpiry: not an RFC 3339", ENDED },
	{ "\"KeyExpiry\":\"-0001-01-01T00:00:00Z\"", "KeyExpiry: not an RFC 3339", ENDED },
	{ "\"KeyExpiry\":17", "KeyExpiry: not a time", ENDED },
	{ "\"Expired\":\"no\"", "Expired: neither", ENDED },
	{ "\"Expired\":0", "Expired: neither", ENDED },
	{ "\"Machine\":\"mkey:x\"", "Machine: not a key", STAYS },
	{ "\"DiscoKey\":\"discokey:\"", "DiscoKey: not a key", STAYS },
	{ "\"Addresses\":{}", "Addresses: not an array", STAYS },
	{ "\"Addresses\":[\"garbage\",\"100.64.0.2/32\"]", "Addresses[0]: not an address", STAYS },
	{ "\"Addresses\":[\"1.2.3.4/99\"]", "Addresses[0]: not an address", STAYS },
	{ "\"Addresses\":[4]", "Addresses[0]: not an address", STAYS },
	{ "\"AllowedIPs\":\"all\"", "AllowedIPs: not an array", STAYS },
	{ "\"AllowedIPs\":[\"0.0.0.0/x\"]", "AllowedIPs[0]: not an address", STAYS },
	{ "\"Endpoints\":[\"x\",\"1.2.3.4:99999\"]", "Endpoints[0]: not an ip:port", STAYS },
	{ "\"Endpoints\":7", "Endpoints: not an array", STAYS },
	{ "\"DERP\":\"127.3.3.41:1\"", "DERP: not 127.3.3.40:N", STAYS },
	{ "\"HomeDERP\":-1", "HomeDERP: not a region", STAYS },
	{ "\"HomeDERP\":99999999", "HomeDERP: not a region", STAYS },
	{ "\"Hostinfo\":[]", "Hostinfo: not an object", STAYS },
	{ "\"Hostinfo\":{\"OS\":1,\"Hostname\":\"h\"}", "Hostinfo.OS: not a string", STAYS },
	{ "\"Hostinfo\":{\"Services\":[{\"Port\":70000}]}", "Services[0].Port: out of range", STAYS },
	{ "\"Hostinfo\":{\"NetInfo\":{\"DERPLatency\":{\"1\":\"x\"}}}", "DERPLatency.1: not a number",
		STAYS },
	{ "\"Created\":\"once\"", "Created: not an RFC 3339", STAYS },
	{ "\"Cap\":65536", "Cap: out of range", STAYS },
	{ "\"Cap\":-1", "Cap: out of range", STAYS },
	{ "\"Tags\":\"tag:x\"", "Tags: not an array", STAYS },
	{ "\"Tags\":[1,\"tag:x\"]", "Tags[0]: not a string", STAYS },
	{ "\"PrimaryRoutes\":[\"\"]", "PrimaryRoutes[0]: not an address", STAYS },
	{ "\"LastSeen\":\"\"", "LastSeen: not an RFC 3339", STAYS },
	{ "\"Online\":\"yes\"", "Online: neither", STAYS },
	{ "\"MachineAuthorized\":1", "MachineAuthorized: neither", STAYS },
	{ "\"CapMap\":[]", "CapMap: not an object", STAYS },
};

/* The peer's members but the one that the odd one replaces. */
static void write_peer(char *out, size_t cap, const char *odd)
{
	static const char *const usual[] = { "\"ID\":2", "\"Name\":\"odd.x.test.\"",
		"\"Key\":\"" KEY("2") "\"", "\"Addresses\":[\"100.64.0.2/32\"]" };
	size_t len = (size_t)snprintf(out, cap, "{%s", odd), name = (size_t)(strchr(odd, ':') - odd) + 1;
	for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
		if (strncmp(usual[i], odd, name) != 0)
			len += (size_t)snprintf(out + len, cap - len, ",%s", usual[i]);
	}
	snprintf(out + len, cap - len, "}");
}

static enum fate fate_of(const struct ctl_map_response *m)
{
	if (m->n_peers == 1)
		return GONE;
	const struct ctl_node *n = &m->peers[0];
	if (n->expired || n->key_expiry_ms == 0)
		return ENDED;
	return key_is_zero(n->key.b) ? NO_KEY : STAYS;
}

static void test_odd_peer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(peer_rows); i++) {
		char peer[700], json[1400];
		struct arena a = { 0 };
		struct ctl_map_response m;
		write_peer(peer, sizeof(peer), peer_rows[i].member);
		snprintf(json, sizeof(json),
			"{\"Peers\":[%s,{\"ID\":3,\"Name\":\"good.x.test.\"}],\"PeersRemoved\":[7],"
			"\"PacketFilter\":[],\"OnlineChange\":{\"3\":false}}",
			peer);
		read_text(&a, json, &m);
		bool rest =
			m.peers[m.n_peers - 1].id == 3 && m.n_removed == 1 && m.has_filter && m.n_online == 1;
		bool named = m.n_problems > 0 && strstr(m.problems[0].text, peer_rows[i].says) &&
			     strcmp(m.problems[0].member, "Peers") == 0 &&
			     m.problems[0].node == (peer_rows[i].fate == GONE ? 0 : 2);
		if (!rest || !named || fate_of(&m) != peer_rows[i].fate)
			fail_msg("row %zu (%s): fate %d, %s", i, peer_rows[i].member, fate_of(&m),
				m.n_problems ? m.problems[0].text : "nothing named");
		arena_free(&a);
	}
}

#define RULE(src, dst) "{\"SrcIPs\":" src ",\"DstPorts\":" dst
#define ALL "[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]"
#define DST(first, last) "[{\"IP\":\"*\",\"Ports\":{\"First\":" first ",\"Last\":" last "}}]"

/* What is read, as it would be written; what is said; and whether a whole map must tell. */
static const struct {
	const char *json, *as, *says;
	bool incomplete;
} message_rows[] = {
	{ "{\"KeepAlive\":1,\"Domain\":\"d\"}", "{\"Domain\":\"d\"}", "KeepAlive: neither", false },
	{ "{\"Domain\":5,\"Health\":[\"x\"]}", "{\"Health\":[\"x\"]}", "Domain: not a string", false },
	{ "{\"Health\":[\"a\",5,\"b\"]}", "{\"Health\":[\"a\",\"b\"]}", "Health[1]: not a string", false },
	{ "{\"ControlTime\":\"yesterday\"}", "{}", "ControlTime: not an RFC 3339", false },
	{ "{\"Debug\":{\"SleepSeconds\":\"x\",\"DisableLogTail\":true}}",
		"{\"Debug\":{\"DisableLogTail\":true}}", "Debug.SleepSeconds: not a number", false },
	{ "{\"UserProfiles\":[{\"ID\":1,\"LoginName\":7},\"x\",{\"ID\":2}]}",
		"{\"UserProfiles\":[{\"ID\":1,\"LoginName\":\"\",\"DisplayName\":\"\"},"
		"{\"ID\":2,\"LoginName\":\"\",\"DisplayName\":\"\"}]}",
		"UserProfiles[0].LoginName: not a string", false },
	{ "{\"OnlineChange\":{\"x\":true,\"9\":false}}", "{\"OnlineChange\":{\"9\":false}}",
		"OnlineChange.x: not a node id", false },
	/* who goes and who changes: not to be guessed */
	{ "{\"PeersRemoved\":[\"1\",4]}", "{\"PeersRemoved\":[4]}", "PeersRemoved[0]: not an integer", true },
	{ "{\"PeersRemoved\":4}", "{}", "PeersRemoved: not an array", true },
	{ "{\"Node\":{}}", "{}", "Node: ID is not positive", true },
	{ "{\"Peers\":5}", "{}", "Peers: not an array", true },
	{ "{\"PeersChanged\":[{\"ID\":0},7]}", "{}", "PeersChanged[0]: ID is not positive", true },
	{ "{\"PeersChangedPatch\":[{\"Online\":true},{\"NodeID\":7,\"Endpoints\":[\"x\"]}]}",
		"{\"PeersChangedPatch\":[{\"NodeID\":7,\"Endpoints\":[]}]}",
		"PeersChangedPatch[0]: NodeID is not positive", true },
	{ "{\"PeersChangedPatch\":[{\"NodeID\":7,\"Key\":\"x\",\"Online\":true}]}", "{}",
		"PeersChangedPatch[0].Key: not a key", true },
	{ "{\"PeersChangedPatch\":[{\"NodeID\":7,\"KeyExpiry\":\"x\"}]}", "{}",
		"PeersChangedPatch[0].KeyExpiry: not an RFC", true },
	{ "{\"PeersChangedPatch\":[{\"NodeID\":7,\"Online\":5,\"DERPRegion\":2}]}",
		"{\"PeersChangedPatch\":[{\"NodeID\":7,\"DERPRegion\":2}]}",
		"PeersChangedPatch[0].Online: neither", false },
	/* rules: less than was said, or none, but never more */
	{ "{\"PacketFilter\":7}", "{\"PacketFilter\":[]}", "PacketFilter: not an array", true },
	{ "{\"PacketFilters\":[]}", "{\"PacketFilters\":{\"*\":null}}", "PacketFilters: not an object",
		true },
	{ "{\"PacketFilters\":{\"base\":7,\"x\":null}}", "{\"PacketFilters\":{\"base\":[],\"x\":null}}",
		"PacketFilters.base: not an array", true },
	{ "{\"PacketFilter\":[" RULE("\"*\"", ALL) "}," RULE("[\"*\"]", ALL) "}]}",
		"{\"PacketFilter\":[" RULE("[\"*\"]", ALL) "}]}", "PacketFilter[0].SrcIPs: not an array",
		false },
	{ "{\"PacketFilter\":[" RULE("[\"*\"]", DST("\"1\"", "443")) "}]}", "{\"PacketFilter\":[]}",
		"DstPorts[0].Ports.First: not an integer", false },
	{ "{\"PacketFilter\":[" RULE("[\"*\"]", DST("443", "\"x\"")) "}]}", "{\"PacketFilter\":[]}",
		"DstPorts[0].Ports.Last: not an integer", false },
	{ "{\"PacketFilter\":[" RULE("[\"*\"]", ALL) ",\"IPProto\":\"tcp\"}]}", "{\"PacketFilter\":[]}",
		"IPProto: not an array", false },
	{ "{\"PacketFilter\":[" RULE("[\"*\"]", ALL) ",\"IPProto\":[256,\"x\"]}]}", "{\"PacketFilter\":[]}",
		"IPProto[1]: not an integer", false },
	{ "{\"PacketFilter\":[" RULE("[\"*\"]", ALL) ",\"IPProto\":[-1,256,6,99999]}]}",
		"{\"PacketFilter\":[" RULE("[\"*\"]", ALL) ",\"IPProto\":[6]}]}",
		"IPProto: -1 is not an IP protocol", false },
	/* relays and names: one bad item is one bad item */
	{ "{\"DERPMap\":{\"Regions\":{\"eu\":{},\"5\":null,\"6\":7,\"7\":{\"Nodes\":[{\"Name\":\"a\","
	  "\"HostName\":\"h\",\"STUNPort\":\"x\"},4]}}}}",
		"{\"DERPMap\":{\"Regions\":{\"7\":{\"RegionID\":7,\"RegionCode\":\"\",\"RegionName\":\"\","
		"\"Nodes\":[{\"Name\":\"a\",\"RegionID\":7,\"HostName\":\"h\"}]}}}}",
		"DERPMap.Regions.eu: not a region", false },
	{ "{\"DERPMap\":{\"Regions\":{\"7\":{\"Nodes\":[{\"Name\":\"a\",\"HostName\":\"h\\r\\nX: y\"},"
	  "{\"Name\":\"b\",\"HostName\":\"2001:db8::1\"}]}}}}",
		"{\"DERPMap\":{\"Regions\":{\"7\":{\"RegionID\":7,\"RegionCode\":\"\",\"RegionName\":\"\","
		"\"Nodes\":[{\"Name\":\"a\",\"RegionID\":7,\"HostName\":\"\"},"
		"{\"Name\":\"b\",\"RegionID\":7,\"HostName\":\"2001:db8::1\"}]}}}}",
		"HostName: not a host name or an address", false },
	{ "{\"DERPMap\":{\"Regions\":{\"1\":{\"RegionCode\":\"a\"},\"01\":{\"RegionCode\":\"a\"}}}}",
		"{\"DERPMap\":{\"Regions\":{\"1\":{\"RegionID\":1,\"RegionCode\":\"a\",\"RegionName\":\"\","
		"\"Nodes\":[]}}}}",
		"one region twice", false },
	{ "{\"DNSConfig\":{\"Proxied\":\"yes\",\"Domains\":[\"a\",1],\"Resolvers\":[{\"Addr\":1},"
	  "{\"Addr\":\"10.0.0.1\"}]}}",
		"{\"DNSConfig\":{\"Resolvers\":[{\"Addr\":\"10.0.0.1\"}],\"Domains\":[\"a\"]}}",
		"DNSConfig.Resolvers[0].Addr: not a string", false },
	{ "{\"DNSConfig\":{\"Routes\":{\"a\":7,\"b\":[{\"Addr\":1}],\"c\":[],\"d\":[{\"Addr\":\"10.0.0.1\"},"
	  "5]},\"ExtraRecords\":[{\"Name\":\"a.b\"},{\"Name\":\"n\",\"Value\":1}]}}",
		"{\"DNSConfig\":{\"Routes\":{\"c\":[],\"d\":[{\"Addr\":\"10.0.0.1\"}]},"
		"\"ExtraRecords\":[{\"Name\":\"a.b\",\"Value\":\"\"}]}}",
		"DNSConfig.Routes.a: not an array", false },
};

static void test_odd_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(message_rows); i++) {
		struct arena a = { 0 };
		struct buf b = { 0 };
		struct ctl_map_response m;
		read_text(&a, message_rows[i].json, &m);
		assert_true(ctl_map_response_write(&b, &m));
		if (strcmp(buf_cstr(&b), message_rows[i].as) != 0)
			fail_msg("row %zu: %s", i, buf_cstr(&b));
		if (!m.n_problems || !strstr(m.problems[0].text, message_rows[i].says))
			fail_msg("row %zu: %s", i, m.n_problems ? m.problems[0].text : "nothing named");
		if (m.incomplete != message_rows[i].incomplete)
			fail_msg("row %zu: incomplete %d", i, m.incomplete);
		buf_free(&b);
		arena_free(&a);
	}
}

/* Any number of faults: some are named, all are counted. */
static void test_many(void **state)
{
	(void)state;
	enum { ODD = 1000 };
	char *json = malloc(ODD * 8 + 100), *p = json;
	struct arena a = { 0 };
	struct ctl_map_response m;
	p += sprintf(p, "{\"PeersRemoved\":[4");
	for (size_t i = 0; i < ODD; i++)
		p += sprintf(p, ",\"x\"");
	sprintf(p, "]}");
	read_text(&a, json, &m);
	assert_int_equal(m.n_removed, 1);
	assert_int_equal(m.n_problems, CTL_PROBLEMS_MAX);
	assert_int_equal(m.more_problems, ODD - CTL_PROBLEMS_MAX);
	arena_free(&a);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_odd_peer),
		cmocka_unit_test(test_odd_message),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
