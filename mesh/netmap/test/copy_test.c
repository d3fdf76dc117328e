/* A node's copy says all that the node said, and lives on its own; its block has the size that was measured. One that says
 * anything else is another. */
#include "mesh/netmap/copy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MAX \
	"\"Endpoints\":[\"192.0.2.1:41641\",\"[2001:db8::1]:7\"],\"EndpointTypes\":[1,2],\"HomeDERP\":4," \
	"\"Created\":\"2026-01-02T03:04:05Z\",\"Tags\":[\"tag:a\",\"tag:bb\"]," \
	"\"PrimaryRoutes\":[\"10.0.0.0/8\"],\"CapMap\":{\"x\":[1]},\"Online\":true,\"Cap\":120," \
	"\"Hostinfo\":{\"OS\":\"linux\",\"OSVersion\":\"12\",\"IPNVersion\":\"1.2.3\",\"Hostname\":\"two\"," \
	"\"Machine\":\"x86_64\",\"GoArch\":\"amd64\",\"BackendLogID\":\"b\",\"RoutableIPs\":[\"10.0.0.0/" \
	"8\"]," \
	"\"RequestTags\":[\"tag:a\"],\"ShieldsUp\":true,\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":9," \
	"\"Description\":" \
	"\"d\"}]," \
	"\"NetInfo\":{\"PreferredDERP\":4,\"LinkType\":\"wired\",\"DERPLatency\":{\"1-v4\":0.25}}," \
	"\"Location\":{\"Country\":\"Canada\",\"CountryCode\":\"CA\",\"City\":\"Squamish\",\"CityCode\":" \
	"\"YSE\"," \
	"\"Latitude\":49.7,\"Longitude\":-123.1,\"Priority\":7}}"
#define KEYS \
	"\"Key\":\"nodekey:0000000000000000000000000000000000000000000000000000000000000022\"," \
	"\"DiscoKey\":\"discokey:0000000000000000000000000000000000000000000000000000000000000022\","

struct row {
	const char *what, *json;
	size_t most; /* bytes behind the node itself */
};
static const struct row rows[] = {
	{ "all that can be said",
		"{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"two.x.test.\",\"User\":1," KEYS
		"\"Addresses\":[\"100.64.0.2/32\"],\"AllowedIPs\":[\"100.64.0.2/32\",\"10.0.0.0/8\"]," MAX
		"}",
		640 },
	{ "what a machine without networks says",
		"{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"two.x.test.\",\"User\":1," KEYS
		"\"Addresses\":[\"100.64.0.2/32\",\"fd7a:115c:a1e0::2/128\"],"
		"\"AllowedIPs\":[\"100.64.0.2/32\",\"fd7a:115c:a1e0::2/128\"],"
		"\"Endpoints\":[\"192.0.2.1:41641\"],\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":\"two\"}}",
		96 },
	{ "next to nothing",
		"{\"ID\":2,\"StableID\":\"\",\"Name\":\"t.\",\"User\":1," KEYS "\"Addresses\":[]}", 3 },
};

static struct buf text_of(const struct ctl_node *n)
{
	struct buf b = { 0 };
	assert_true(ctl_node_write(&b, n));
	return b;
}

/* Another word in the first row makes another node of it. */
static const char *const others[][2] = {
	{ "\"StableID\":\"n2\"", "\"StableID\":\"n3\"" },
	{ "two.x.test.", "three.x.test." },
	{ "\"User\":1", "\"User\":2" },
	{ "\"Addresses\":[\"100.64.0.2", "\"Addresses\":[\"100.64.0.3" },
	{ "\"AllowedIPs\":[\"100.64.0.2", "\"AllowedIPs\":[\"100.64.0.3" },
	{ "nodekey:0", "nodekey:1" },
	{ "discokey:0", "discokey:1" },
	{ "192.0.2.1:41641", "192.0.2.1:41642" },
	{ "\"HomeDERP\":4", "\"HomeDERP\":5" },
	{ "2026-01-02", "2026-01-03" },
	{ "\"Tags\":[\"tag:a\",", "\"Tags\":[\"tag:c\"," },
	{ "\"PrimaryRoutes\":[\"10.0.0.0/8\"]", "\"PrimaryRoutes\":[]" },
	{ "{\"x\":[1]}", "{\"x\":[2]}" },
	{ "\"Online\":true", "\"Online\":false" },
	{ "\"Cap\":120", "\"Cap\":121" },
	{ "linux", "macOS" },
	{ "\"OSVersion\":\"12\"", "\"OSVersion\":\"13\"" },
	{ "\"1.2.3\"", "\"1.2.4\"" },
	{ "\"Hostname\":\"two\"", "\"Hostname\":\"three\"" },
	{ "x86_64", "aarch64" },
	{ "\"RoutableIPs\":[\"10.0.0.0/8\"]", "\"RoutableIPs\":[]" },
	{ "\"RequestTags\":[\"tag:a\"]", "\"RequestTags\":[]" },
	{ "\"ShieldsUp\":true", "\"ShieldsUp\":false" },
	{ "peerapi4", "peerapi6" },
	{ "\"Port\":9", "\"Port\":10" },
	{ "\"Description\":\"d\"", "\"Description\":\"e\"" },
	{ "Squamish", "Vancouver" },
};

static void read_node(struct arena *a, const char *node, struct ctl_node *out)
{
	struct ctl_map_response m;
	struct errbuf eb = { 0 };
	const char *json = arena_printf(a, "{\"Peers\":[%s]}", node);
	if (ctl_map_response_read(a, json, strlen(json), &m, &eb) || m.n_problems)
		fail_msg("%s: %s", node, m.n_problems ? m.problems[0].text : eb.text);
	*out = m.peers[0];
}

static void differences(void **state)
{
	const char *const text = rows[0].json;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		const char *const from = others[i][0], *const at = strstr(text, from);
		struct arena a = { 0 };
		struct ctl_node was, is;
		assert_non_null(at);
		read_node(&a, text, &was);
		read_node(&a,
			arena_printf(&a, "%.*s%s%s", (int)(at - text), text, others[i][1], at + strlen(from)),
			&is);
		if (copy_node_equal(&was, &is))
			fail_msg("%s is as good as %s", others[i][1], from);
		arena_free(&a);
	}
}

static void check_row(const struct row *row)
{
	struct arena a = { 0 };
	struct ctl_node told, copy;
	read_node(&a, row->json, &told);
	size_t size = copy_node_size(&told);
	void *block = malloc(size ? size : 1);
	assert_non_null(block);
	copy_node(&told, &copy, block);
	struct buf said = text_of(&told);
	assert_true(copy_node_equal(&told, &copy));
	arena_free(&a); /* nothing may point into the message */
	struct buf kept = text_of(&copy);
	if (said.len != kept.len || memcmp(buf_data(&said), buf_data(&kept), said.len) != 0)
		fail_msg("%s: %.*s, not %.*s", row->what, (int)kept.len, (const char *)buf_data(&kept),
			(int)said.len, (const char *)buf_data(&said));
	if (size > row->most)
		fail_msg("%s: %zu bytes", row->what, size);
	buf_free(&said);
	buf_free(&kept);
	free(block);
}

static void copies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(copies), cmocka_unit_test(differences) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
