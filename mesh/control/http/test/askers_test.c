/* What is changed is changed as who asks for it: each way to let a machine in, to make a key and to give tags, asked by those
 * who may and by those who may not, at a registry that tells them apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/test/desk.h"
#include "mesh/control/http/machine.h"
#include "mesh/control/http/v1.h"
#include "mesh/control/http/v2.h"
#include "mesh/control/http/test/sent.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAITS "it" /* stands for the machine that waits */

static const struct api_key client = { .kind = API_KEY_CLIENT, .tags = "tag:db" },
			    admin = { .kind = API_KEY_ADMIN };

/* Users are alice (1), bob (2) and carol (3); a session that is a person's is bob's. */
enum who { SOCKET, ADMIN_KEY, CLIENT_KEY, ADMIN, IT_ADMIN, NETWORK_ADMIN, WHO };
static const struct api_call callers[] = {
	[SOCKET] = { .right = API_ADMIN },
	[ADMIN_KEY] = { .right = API_KEYED, .key = &admin },
	[CLIENT_KEY] = { .right = API_KEYED, .key = &client },
	[ADMIN] = { .right = API_SESSION, .rank = USER_ADMIN, .whole = true },
	[IT_ADMIN] = { .right = API_SESSION, .rank = USER_IT_ADMIN, .person = 2 },
	[NETWORK_ADMIN] = { .right = API_SESSION,
		.rank = USER_NETWORK_ADMIN,
		.person = 2,
		.scopes = UINT32_MAX },
};
static_assert(ARRAY_LEN(callers) == WHO, "callers misses one");

static bool is_admin(enum who who)
{
	return who == SOCKET || who == ADMIN_KEY || who == ADMIN;
}

struct office {
	struct desk *desk;
	struct api api;
	struct machines machines;
	struct control_config cfg;
	struct machine_key noise;
	char waits[REGISTRY_ID]; /* the newest machine that waits */
	unsigned knocked;
	char part[32]; /* in the path */
};

static int open_office(void **state)
{
	struct office *o = calloc(1, sizeof(*o));
	if (!o || desk_setup((void **)&o->desk))
		return -1;
	struct registry *r = &o->desk->r;
	registry_user_create(r, "bob", NOW, desk_waits(o->desk));
	registry_user_create(r, "carol", NOW, desk_waits(o->desk));
	machines_init(&o->machines);
	o->cfg.server_url = "https://hs.test";
	o->cfg.base_domain = "mesh.test";
	memset(o->noise.b, 9, KEY_LEN);
	o->api = (struct api) { .reg = r, .machines = &o->machines, .cfg = &o->cfg, .noise = &o->noise };
	*state = o;
	return desk_outcome(o->desk);
}

static int close_office(void **state)
{
	struct office *o = *state;
	void *desk = o->desk;
	free(o);
	return desk_teardown(&desk);
}

/* The status that this caller gets. */
static int ask(struct office *o, enum who who, void (*run)(struct api_call *c), const char *args)
{
	char conn; /* stands for a connection; never looked at */
	struct api_later *later = NULL;
	struct api_call c = callers[who];
	c.api = &o->api;
	c.method = "POST";
	c.way.conn = (void *)&conn;
	c.later = &later;
	c.now_ms = NOW;
	strcpy(c.part[0], o->part);
	c.args = json_loads(args, 0, NULL);
	assert_non_null(c.args);
	const char *key = json_object_get(c.args, "key") ? "key" : "id";
	if (json_is_string(json_object_get(c.args, key)))
		json_object_set_new(c.args, key, json_string(o->waits));
	sent.status = 0;
	run(&c);
	assert_null(later);
	json_decref(c.args);
	return sent.status;
}

/* A machine asks to come in, and for this tag. */
static void knock(struct office *o, const char *tag)
{
	const struct ctl_hostinfo says = { .hostname = "box",
		.request_tags = { .v = &tag, .n = tag != NULL } };
	struct machine_key machine;
	struct node_key key;
	struct errbuf eb = { 0 };
	snprintf(o->waits, sizeof(o->waits), "%0*u", REGISTRY_ID - 1, o->knocked++);
	assert_int_equal(registry_pending_invent(&o->desk->r, o->waits, &says, NOW, &machine, &key, &eb), 0);
}

/* Machines of the owner, by whom and by which way they are asked for. */
static void test_makers(void **state)
{
	static const struct {
		void (*run)(struct api_call *c);
		const char *of_owner, *of_carol;
	} rows[] = {
		{ admin_nodes_approve, "{\"id\":\"" WAITS "\",\"user\":\"alice\"}",
			"{\"id\":\"" WAITS "\",\"user\":\"carol\"}" },
		{ v1_nodes_register, "{\"key\":\"" WAITS "\",\"user\":\"alice\"}",
			"{\"key\":\"" WAITS "\",\"user\":\"carol\"}" },
		{ admin_keys_create, "{\"user\":\"alice\"}", "{\"user\":\"carol\"}" },
		{ admin_invite, "{\"user\":\"alice\"}", "{\"user\":\"carol\"}" },
		{ v1_preauth_create, "{\"user\":\"alice\"}", "{\"user\":\"carol\"}" },
	};
	struct office *o = *state;
	registry_user_role(&o->desk->r, "alice", "owner", USER_OWNER, desk_waits(o->desk));
	assert_int_equal(desk_outcome(o->desk), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (enum who who = 0; who < WHO; who++) {
			bool may = is_admin(who);
			knock(o, NULL);
			int status = ask(o, who, rows[i].run, rows[i].of_owner);
			if (status != (may ? 200 : 403))
				fail_msg("row %zu, caller %d, the owner's: %d %s", i, who, status, sent.body);
			knock(o, NULL);
			status = ask(o, who, rows[i].run, rows[i].of_carol);
			if (status != 200)
				fail_msg("row %zu, caller %d: %d %s", i, who, status, sent.body);
		}
}

/* What a key that is made for a member is worth once they are an admin: it is remembered who made it. */
static void test_humble(void **state)
{
	static const struct {
		void (*run)(struct api_call *c);
		const char *args;
	} rows[] = { { admin_keys_create, "{\"user\":\"carol\"}" }, { admin_invite, "{\"user\":\"carol\"}" },
		{ v1_preauth_create, "{\"user\":\"carol\"}" },
		{ v2_keys_create, "{\"capabilities\":{\"devices\":{\"create\":{\"tags\":[\"tag:db\"]}}}}" } };
	const struct office *o = *state;
	o->desk->has_owners = true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (enum who who = 0; who < WHO; who++) {
			int status = ask(*state, who, rows[i].run, rows[i].args);
			if (status != 200)
				fail_msg("row %zu, caller %d: %d %s", i, who, status, sent.body);
			const struct keyring *k = &o->desk->r.keys;
			if (k->v[k->n - 1]->humble == is_admin(who))
				fail_msg("row %zu, caller %d", i, who);
		}
}

/* Who may let machines in and make keys need not be who gives all tags: tag:db is bob's to give, tag:web alice's. */
static void test_givers(void **state)
{
	static const struct {
		void (*run)(struct api_call *c);
		const char *web, *db;
	} rows[] = {
		{ admin_nodes_approve, "{\"id\":\"" WAITS "\",\"user\":\"alice\"}",
			"{\"id\":\"" WAITS "\",\"user\":\"bob\"}" },
		{ v1_nodes_register, "{\"key\":\"" WAITS "\",\"user\":\"alice\"}",
			"{\"key\":\"" WAITS "\",\"user\":\"bob\"}" },
		{ admin_keys_create, "{\"tags\":\"tag:web\"}", "{\"tags\":\"tag:db\"}" },
		{ admin_invite, "{\"tags\":[\"tag:web\"]}", "{\"tags\":[\"tag:db\"]}" },
		{ v1_preauth_create, "{\"aclTags\":[\"tag:web\"]}", "{\"aclTags\":[\"tag:db\"]}" },
		{ admin_nodes_tag, "{\"id\":1,\"tags\":\"tag:web\"}", "{\"id\":1,\"tags\":\"tag:db\"}" },
	};
	struct office *o = *state;
	knock(o, NULL);
	assert_int_equal(ask(o, SOCKET, admin_nodes_approve, rows[0].web), 200);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (enum who who = 0; who < WHO; who++)
			for (int web = 0; web < 2; web++) {
				/* what it has already it may keep */
				o->desk->has_owners = false;
				assert_int_equal(
					ask(o, SOCKET, admin_nodes_tag, "{\"id\":1,\"tags\":\"tag:none\"}"),
					200);
				o->desk->has_owners = true;
				knock(o, web ? "tag:web" : "tag:db");
				int status = ask(o, who, rows[i].run, web ? rows[i].web : rows[i].db);
				if (status != (who == IT_ADMIN && web ? 403 : 200))
					fail_msg("row %zu, caller %d, web %d: %d %s", i, who, web, status,
						sent.body);
			}
}

/* Admins are made and removed by admins, and the owner by the owner or root. */
static void test_people(void **state)
{
	static const struct {
		void (*run)(struct api_call *c);
		const char *args;
		bool of_admins;
	} rows[] = {
		{ admin_users_role, "{\"name\":\"carol\",\"role\":\"admin\"}", true },
		{ admin_users_role, "{\"name\":\"dave\",\"role\":\"member\"}", true },
		{ admin_users_destroy, "{\"name\":\"dave\"}", true },
		{ v1_users_delete, "{}", true },
		{ admin_users_role, "{\"name\":\"bob\",\"role\":\"owner\"}", false },
	};
	struct office *o = *state;
	struct registry *r = &o->desk->r;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (enum who who = 0; who < WHO; who++) {
			registry_user_create(r, "dave", NOW, desk_waits(o->desk)); /* or he is there still */
			registry_user_role(r, "dave", "admin", USER_OWNER, desk_waits(o->desk));
			registry_user_role(r, "carol", "member", USER_OWNER, desk_waits(o->desk));
			registry_user_role(r, "alice", "owner", USER_OWNER, desk_waits(o->desk));
			assert_int_equal(desk_outcome(o->desk), 0);
			snprintf(o->part, sizeof(o->part), "%lld",
				(long long)fleet_user_named(&r->fleet, "dave")->id);
			bool may = rows[i].of_admins ? is_admin(who) : who == SOCKET;
			int status = ask(o, who, rows[i].run, rows[i].args);
			if (status != (may ? 200 : 403))
				fail_msg("row %zu, caller %d: %d %s", i, who, status, sent.body);
		}
}

static bool names_all(void *arg, const struct addr *has, const struct addr *then)
{
	(void)arg, (void)has, (void)then;
	return true;
}

/* An address that the access rules name is given by those who may change the rules. */
static void test_ruled(void **state)
{
	struct office *o = *state;
	knock(o, NULL);
	assert_int_equal(
		ask(o, SOCKET, admin_nodes_approve, "{\"id\":\"" WAITS "\",\"user\":\"alice\"}"), 200);
	o->desk->r.c.ops.names_address = names_all;
	strcpy(o->part, "1");
	for (enum who who = 0; who < WHO; who++) {
		bool may = is_admin(who) || who == NETWORK_ADMIN;
		int status = ask(o, who, v2_devices_address, "{\"ipv4\":\"100.64.0.9\"}");
		if (status != (may ? 200 : 403))
			fail_msg("caller %d: %d %s", who, status, sent.body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_makers, open_office, close_office),
		cmocka_unit_test_setup_teardown(test_humble, open_office, close_office),
		cmocka_unit_test_setup_teardown(test_givers, open_office, close_office),
		cmocka_unit_test_setup_teardown(test_people, open_office, close_office),
		cmocka_unit_test_setup_teardown(test_ruled, open_office, close_office),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
