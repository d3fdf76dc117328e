#include "mesh/control/fleet/headscale.h"

#include "mesh/base/text.h"
#include "mesh/control/fleet/registry_inner.h"
#include "mesh/control/fleet/store_inner.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SQL_MAX = 2048 };

struct taking {
	struct store from; /* their file; no lock, no writes */
	const struct headscale_issuer *issuers;
	struct store *to;
	struct headscale_taken *out;
	struct fleet names; /* who has which name so far */
};

/* --- what this schema has --- */

static bool has_column(struct taking *t, const char *table, const char *column)
{
	struct stmt q = stmt_new(&t->from, "SELECT 1 FROM pragma_table_info(?) WHERE name = ?");
	struct errbuf eb;
	bool found = false;
	stmt_text(&q, table);
	stmt_text(&q, column);
	while (stmt_next(&q))
		found = true;
	return !stmt_end(&q, "look at a table", &eb) && found;
}

/* The first of these columns that there is, else this literal. */
static const char *column_or(
	struct taking *t, const char *table, const char *first, const char *second, const char *literal)
{
	return has_column(t, table, first)		? first
	       : second && has_column(t, table, second) ? second
							: literal;
}

static const char *const alive = "deleted_at IS NULL"; /* a table with that column keeps what was deleted */

static int64_t take_moment(struct stmt *q)
{
	int64_t ms;
	const char *text = stmt_take_text(q);
	/* year 1 is Go's word for none */
	return text_time_ms(text, &ms) && ms > 0 ? ms : FLEET_NO_TIME;
}

/* --- users --- */

/* A name of ours from what theirs has: letters, digits and a few marks; "x" when nothing is left. */
static void clean_name(const char *from, char out[static FLEET_USER_NAME])
{
	size_t n = 0;
	for (; *from && n + 1 < FLEET_USER_NAME; from++) {
		bool plain = (*from >= 'a' && *from <= 'z') || (*from >= 'A' && *from <= 'Z') ||
			     (*from >= '0' && *from <= '9') || strchr(".-_+@", *from);
		out[n++] = *from;
		if (!plain)
			out[n - 1] = '-';
	}
	while (n && out[n - 1] == '@')
		n--;
	out[n] = 0;
	if (!n)
		memcpy(out, "x", sizeof("x"));
}

/* What stands behind the issuer, which ends in any number of slashes; NULL: another issuer's. */
static const char *behind(const char *identifier, const char *issuer)
{
	size_t len = strlen(issuer);
	while (len && issuer[len - 1] == '/')
		len--;
	return len && !strncmp(identifier, issuer, len) && identifier[len] == '/' && identifier[len + 1]
		       ? identifier + len + 1
		       : NULL;
}

/* As a part of a URL it is percent-encoded. */
static bool read_subject(const char *from, bool encoded, char out[static PERSON_TEXT])
{
	size_t n = 0;
	for (; *from && n + 1 < PERSON_TEXT; n++) {
		uint8_t byte = 0;
		bool code = encoded && *from == '%' && hex_decode(from + 1, strnlen(from + 1, 2), &byte, 1) &&
			    byte;
		out[n] = code ? (char)byte : *from;
		from += code ? 3 : 1;
	}
	out[n] = 0;
	return n && !*from;
}

bool headscale_person(const char *identifier, const struct headscale_issuer *issuers, struct person *out)
{
	const struct headscale_issuer *of = NULL;
	const char *subject = NULL;
	struct person p = *out;
	for (const struct headscale_issuer *i = issuers; i->said; i++) {
		const char *rest = behind(identifier, i->said);
		if (rest && (!subject || rest > subject)) { /* the longest: one may lie below another */
			of = i;
			subject = rest;
		}
	}
	if (!of || strlen(of->issuer) >= PERSON_TEXT ||
		!read_subject(subject, strstr(of->said, "://") != NULL, p.subject))
		return false;
	snprintf(p.issuer, sizeof(p.issuer), "%s", of->issuer);
	*out = p;
	return true;
}

/* Who the user is to the provider, so that the next login is theirs. */
static int take_person(struct taking *t, struct stmt *q, int64_t user, struct errbuf *eb)
{
	struct person p = { .user = user };
	const char *identifier = stmt_take_text(q);
	if (!*identifier)
		return 0;
	if (!headscale_person(identifier, t->issuers, &p)) {
		t->out->lost_people++;
		return 0;
	}
	snprintf(p.email, sizeof(p.email), "%s", stmt_take_text(q));
	snprintf(p.display, sizeof(p.display), "%s", stmt_take_text(q));
	t->out->people++;
	return store_person_put(t->to, &p, eb);
}

static int take_user(struct taking *t, struct stmt *q, struct errbuf *eb)
{
	struct user u = { .id = stmt_take_int(q) };
	const char *name = stmt_take_text(q);
	clean_name(name, u.name);
	bool renamed = strcmp(u.name, name) != 0;
	if (fleet_user_named(&t->names, u.name)) { /* of another provider */
		size_t len = strlen(u.name);
		len = len < FLEET_USER_NAME - 24 ? len : FLEET_USER_NAME - 24;
		snprintf(u.name + len, sizeof(u.name) - len, "-%lld", (long long)u.id);
		renamed = true;
	}
	u.created_ms = take_moment(q);
	u.created_ms = u.created_ms == FLEET_NO_TIME ? 0 : u.created_ms;
	t->out->renamed += renamed;
	t->out->users++;
	if (!fleet_user_put(&t->names, &u))
		return err_set(eb, -ENOMEM, "take over the users");
	int err = store_user_add(t->to, &u, eb);
	return err ? err : take_person(t, q, u.id, eb);
}

static int take_users(struct taking *t, struct errbuf *eb)
{
	char sql[SQL_MAX];
	const char *email = column_or(t, "users", "email", NULL, "''");
	const char *who = column_or(t, "users", "provider_identifier", NULL, "''");
	const char *display = column_or(t, "users", "display_name", NULL, "''");
	/* people of a provider may have no name, but an address */
	snprintf(sql, sizeof(sql),
		"SELECT id, coalesce(nullif(name, ''), nullif(%s, ''), nullif(%s, ''), ''), created_at,"
		" coalesce(%s, ''), coalesce(%s, ''), coalesce(%s, '') FROM users WHERE %s ORDER BY id",
		email, who, who, email, display, alive);
	struct stmt q = stmt_new(&t->from, sql);
	int err = 0;
	while (!err && stmt_next(&q))
		err = take_user(t, &q, eb);
	if (!err)
		return stmt_end(&q, "read Headscale's users", eb);
	sqlite3_finalize(q.st);
	return err;
}

/* --- auth keys --- */

static int take_key(struct taking *t, struct stmt *q, struct errbuf *eb)
{
	struct preauth k = { .id = stmt_take_int(q), .user = stmt_take_int(q) };
	const char *text = stmt_take_text(q);
	if (!*text) { /* only a slow hash of it is there */
		t->out->lost_keys++;
		return 0;
	}
	registry_key_hash(text, k.hash);
	snprintf(k.prefix, sizeof(k.prefix), "%.12s", text);
	k.reusable = stmt_take_int(q);
	k.ephemeral = stmt_take_int(q);
	k.used = stmt_take_int(q);
	k.created_ms = take_moment(q);
	k.created_ms = k.created_ms == FLEET_NO_TIME ? 0 : k.created_ms;
	k.expiry_ms = take_moment(q);
	k.tags = stmt_take_text(q);
	if (!fleet_user(&t->names, k.user))
		k.user = 0;
	t->out->keys++;
	return store_preauth_add(t->to, &k, eb);
}

/* A list of texts in JSON, joined. */
#define JOINED(column) \
	"coalesce((SELECT group_concat(value, ',') FROM json_each(nullif(" column ", ''))), '')"

static int take_keys(struct taking *t, struct errbuf *eb)
{
	char sql[SQL_MAX];
	bool tables = !has_column(t, "pre_auth_keys", "tags"); /* 0.23: tags have a table of their own */
	snprintf(sql, sizeof(sql),
		"SELECT id, user_id, key, reusable, ephemeral, used, created_at, expiration, %s FROM "
		"pre_auth_keys k "
		"ORDER BY id",
		tables ? "coalesce((SELECT group_concat(tag, ',') FROM pre_auth_key_acl_tags t WHERE "
			 "t.pre_auth_key_id = k.id), '')"
		       : JOINED("tags"));
	struct stmt q = stmt_new(&t->from, sql);
	int err = 0;
	while (!err && stmt_next(&q))
		err = take_key(t, &q, eb);
	if (!err)
		return stmt_end(&q, "read Headscale's auth keys", eb);
	sqlite3_finalize(q.st);
	return err;
}

/* --- nodes --- */

/* Lines of addresses, as a list of the arena. */
static void take_endpoints(struct arena *a, const char *text, struct ctl_endpoints *out)
{
	char *copy = arena_strdup(a, text), *save = NULL;
	size_t most = strlen(text) / 2 + 1;
	*out = (struct ctl_endpoints) { .v = arena_array(a, most, sizeof(*out->v)), .present = true };
	for (char *p = copy && out->v ? strtok_r(copy, "\n", &save) : NULL; p;
		p = strtok_r(NULL, "\n", &save))
		if (endpoint_parse(p, &out->v[out->n]))
			out->n++;
}

/* The name that it had, unless that is none here. */
static void choose_name(struct taking *t, struct member *m, const char *given, char label[static FLEET_LABEL])
{
	char own[FLEET_LABEL];
	if (fleet_label_valid(given) && !fleet_by_name(&t->names, given)) {
		snprintf(label, FLEET_LABEL, "%s", given);
	} else {
		fleet_label_unique(&t->names, m->hostname, m->id, label);
		t->out->renamed++;
	}
	fleet_label_from(m->hostname, own);
	m->renamed = strncmp(label, own, strlen(own)) != 0; /* an admin chose it */
	m->name = label;
}

/* The columns in the order of the statement below. */
static bool read_node(struct stmt *q, struct arena *a, struct member *m, const char **given)
{
	m->id = stmt_take_int(q);
	m->user = stmt_take_int(q);
	bool keys = key_parse(stmt_take_text(q), "mkey:", m->machine.b);
	keys = key_parse(stmt_take_text(q), "nodekey:", m->key.b) && keys;
	(void)key_parse(stmt_take_text(q), "discokey:", m->disco.b); /* it says it again */
	m->hostname = arena_strdup(a, stmt_take_text(q));
	*given = arena_strdup(a, stmt_take_text(q));
	m->has_v4 = addr_parse(stmt_take_text(q), &m->v4);
	m->has_v6 = addr_parse(stmt_take_text(q), &m->v6);
	m->hostinfo_json = arena_strdup(a, stmt_take_text(q));
	m->home_derp = (int32_t)stmt_take_int(q);
	take_endpoints(a, stmt_take_text(q), &m->endpoints);
	registry_tags_split(a, stmt_take_text(q), &m->tags);
	registry_tags_split(a, stmt_take_text(q), &m->routes);
	m->preauth = stmt_take_int(q);
	m->ephemeral = stmt_take_int(q);
	m->created_ms = take_moment(q);
	m->created_ms = m->created_ms == FLEET_NO_TIME ? 0 : m->created_ms;
	m->last_seen_ms = take_moment(q);
	m->expiry_ms = take_moment(q);
	return keys && !a->failed;
}

static int take_node(struct taking *t, struct stmt *q, struct errbuf *eb)
{
	struct arena a = { 0 };
	struct member m = { 0 };
	const char *given = "";
	char label[FLEET_LABEL];
	bool good = read_node(q, &a, &m, &given);
	int err = good ? 0
		       : err_say(eb, a.failed ? -ENOMEM : ERR_MALFORMED,
				 "node %lld of Headscale has no machine and node key", (long long)m.id);
	if (good) {
		if (!fleet_user(&t->names, m.user))
			m.user = 0;
		if (strlen(m.hostinfo_json) > REGISTRY_HOSTINFO_MAX)
			m.hostinfo_json = "";
		choose_name(t, &m, given, label);
		struct member *copy = member_copy(&m);
		err = copy && fleet_put(&t->names, copy) ? store_node_add(t->to, &m, eb)
							 : err_set(eb, -ENOMEM, "take over the nodes");
		t->out->nodes++;
	}
	arena_free(&a);
	return err;
}

static int take_nodes(struct taking *t, struct errbuf *eb)
{
	char sql[SQL_MAX], tags[256];
	bool tables =
		!has_column(t, "nodes", "approved_routes"); /* up to 0.25: routes have a table of their own */
	snprintf(tags, sizeof(tags),
		"coalesce((SELECT group_concat(value, ',') FROM json_each(nullif(%s, ''))), '')",
		column_or(t, "nodes", "tags", "forced_tags", "''"));
	snprintf(sql, sizeof(sql),
		"SELECT id, user_id, machine_key, node_key, disco_key, hostname, given_name, ipv4, ipv6,"
		" coalesce(host_info, ''), coalesce(json_extract(nullif(host_info, ''), "
		"'$.NetInfo.PreferredDERP'), 0),"
		" coalesce((SELECT group_concat(value, char(10)) FROM json_each(nullif(endpoints, ''))), "
		"''), %s, %s,"
		" auth_key_id, coalesce((SELECT ephemeral FROM pre_auth_keys k WHERE k.id = n.auth_key_id), "
		"0),"
		" created_at, last_seen, expiry FROM nodes n WHERE n.%s ORDER BY id",
		tags,
		tables ? "coalesce((SELECT group_concat(prefix, ',') FROM routes r WHERE r.node_id = n.id "
			 "AND "
			 "r.enabled AND r.deleted_at IS NULL), '')"
		       : JOINED("approved_routes"),
		alive);
	struct stmt q = stmt_new(&t->from, sql);
	int err = 0;
	while (!err && stmt_next(&q))
		err = take_node(t, &q, eb);
	if (!err)
		return stmt_end(&q, "read Headscale's nodes", eb);
	sqlite3_finalize(q.st);
	return err;
}

/* --- the rest --- */

static int take_rest(struct taking *t, struct errbuf *eb)
{
	char sql[SQL_MAX];
	struct stmt q = stmt_new(&t->from, "SELECT count(*) FROM api_keys");
	bool ok = true;
	while (stmt_next(&q))
		t->out->lost_api_keys = (unsigned)stmt_take_int(&q);
	int err = stmt_end(&q, "read Headscale's API keys", eb);
	if (err || !has_column(t, "policies", "data"))
		return err;
	snprintf(sql, sizeof(sql), "SELECT data FROM policies WHERE %s ORDER BY id DESC LIMIT 1", alive);
	q = stmt_new(&t->from, sql);
	while (stmt_next(&q)) {
		const char *text = stmt_take_text(&q);
		ok = buf_append(&t->out->policy, text, strlen(text));
	}
	err = stmt_end(&q, "read Headscale's policy", eb);
	return err || ok ? err : err_set(eb, -ENOMEM, "take over the policy");
}

static int take_all(struct taking *t, struct errbuf *eb)
{
	if (!has_column(t, "nodes", "machine_key") || !has_column(t, "users", "name") ||
		!has_column(t, "pre_auth_keys", "key"))
		return err_say(eb, ERR_UNSUPPORTED,
			"%s is no database of Headscale 0.23 or later: start an older one once with 0.23, "
			"which brings "
			"it up to date",
			t->from.path);
	int err = store_begin(t->to, true, eb);
	if (err)
		return err;
	if ((err = take_users(t, eb)) || (err = take_keys(t, eb)) || (err = take_nodes(t, eb)) ||
		(err = take_rest(t, eb)) || (err = store_commit(t->to, eb)))
		store_rollback(t->to);
	return err;
}

int headscale_take(const char *from, const struct headscale_issuer *issuers, struct store *to,
	struct headscale_taken *out, struct errbuf *eb)
{
	struct taking *t = calloc(1, sizeof(*t));
	int err = 0;
	*out = (struct headscale_taken) { 0 };
	if (!t || strlen(from) >= sizeof(t->from.path)) {
		free(t);
		return err_set(eb, t ? -ENAMETOOLONG : -ENOMEM, "open %s", from);
	}
	snprintf(t->from.path, sizeof(t->from.path), "%s", from);
	t->from.lock_fd = -1;
	t->issuers = issuers;
	t->to = to;
	t->out = out;
	fleet_init(&t->names, 1);
	if (sqlite3_open_v2(from, &t->from.db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		err = store_fail(&t->from, eb, "open");
	if (!err)
		err = take_all(t, eb);
	sqlite3_close(t->from.db);
	fleet_fini(&t->names);
	free(t);
	return err;
}
