/* In pi-hole a client is in groups, a list or a name too, and who is named nowhere is in the group 0. Here each client has one
 * set of lists. So lists and names with the same groups are one kind; each client gets the kinds that share a group with it,
 * and all others, at the end, those of group 0. At most 64 groups are told apart. */
#include "resolver/alone/gravity.h"

#include "mesh/base/addr.h"
#include "resolver/block_list.h"
#include "resolver/block_regex.h"
#include <dlfcn.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { GROUPS_MAX = 64, KINDS_MAX = 32, CLIENTS_MAX = 1024 };

struct kind { /* a list of ours, and the groups of it */
	struct target_list *list;
	uint64_t groups;
	bool names; /* of names by hand; by `allow` and groups there is one */
};
/* What is used of SQLite. It is loaded here and linked by nothing: what answers names never needs it. */
#define SQLITE(X) \
	X(sqlite3_open_v2, int, (const char *path, sqlite3 **db, int flags, const char *vfs)) \
	X(sqlite3_close, int, (sqlite3 * db)) \
	X(sqlite3_errmsg, const char *, (sqlite3 * db)) \
	X(sqlite3_prepare_v2, int, \
		(sqlite3 * db, const char *sql, int len, sqlite3_stmt **out, const char **tail)) \
	X(sqlite3_step, int, (sqlite3_stmt * q)) \
	X(sqlite3_finalize, int, (sqlite3_stmt * q)) \
	X(sqlite3_column_text, const unsigned char *, (sqlite3_stmt * q, int i)) \
	X(sqlite3_column_int, int, (sqlite3_stmt * q, int i)) \
	X(sqlite3_column_int64, sqlite3_int64, (sqlite3_stmt * q, int i))
struct sqlite {
	void *library;
#define X(name, gives, takes) gives(*name) takes; /* NOLINT(bugprone-macro-parentheses): a declaration */
	SQLITE(X)
#undef X
};
struct gravity {
	struct target *t;
	struct sqlite lib;
	sqlite3 *db;
	uint64_t off; /* groups that are turned off */
	struct kind kinds[KINDS_MAX];
	size_t n_kinds;
};

static const char *column(const struct gravity *g, sqlite3_stmt *q, int i)
{
	const char *s = (const char *)g->lib.sqlite3_column_text(q, i);
	return s ? s : "";
}

/* The groups of a row: bits. ids: "0,3". */
static uint64_t groups_of(const struct gravity *g, const char *ids)
{
	uint64_t bits = 0;
	unsigned id;
	int used = 0;
	for (const char *at = ids; sscanf(at, "%u%n", &id, &used) == 1; at += used + (at[used] == ',')) {
		if (id < GROUPS_MAX)
			bits |= UINT64_C(1) << id;
		if (!at[used])
			break;
	}
	return bits & ~g->off;
}

static int each(struct gravity *g, const char *sql, void (*take)(struct gravity *g, sqlite3_stmt *q),
	struct errbuf *eb)
{
	sqlite3_stmt *q = NULL;
	int rc = g->lib.sqlite3_prepare_v2(g->db, sql, -1, &q, NULL);
	while (rc == SQLITE_OK && (rc = g->lib.sqlite3_step(q)) == SQLITE_ROW) {
		take(g, q);
		rc = SQLITE_OK;
	}
	int err = rc == SQLITE_DONE ? 0
				    : err_say(eb, ERR_MALFORMED, "%s: not pi-hole's gravity.db: %s",
					      g->t->file, g->lib.sqlite3_errmsg(g->db));
	(void)g->lib.sqlite3_finalize(q);
	return err;
}

static void group_take(struct gravity *g, sqlite3_stmt *q)
{
	int64_t id = g->lib.sqlite3_column_int64(q, 0);
	if (id >= GROUPS_MAX)
		target_say(g->t, column(g, q, 1), "a group beyond the %d that are told apart", GROUPS_MAX);
	else if (id >= 0 && !g->lib.sqlite3_column_int(q, 2))
		g->off |= UINT64_C(1) << id;
}

static struct kind *kind_add(struct gravity *g, const char *name, uint64_t groups)
{
	struct target_list *l = g->n_kinds < KINDS_MAX ? target_list_add(g->t, name) : NULL;
	if (!l)
		return NULL;
	g->kinds[g->n_kinds] = (struct kind) { .list = l, .groups = groups };
	return &g->kinds[g->n_kinds++];
}

/* address, type (1: it lets through), groups */
static void list_take(struct gravity *g, sqlite3_stmt *q)
{
	const char *address = column(g, q, 0);
	char name[32];
	uint64_t groups = groups_of(g, column(g, q, 2));
	if (!groups || !target_is_plain(g->t, address, address))
		return;
	if (strncmp(address, "https://", 8) != 0 && strncmp(address, "http://", 7) != 0 &&
		strncmp(address, "file:///", 8) != 0) {
		target_say(g->t, address, "neither a URL of http or https nor a file");
		return;
	}
	snprintf(name, sizeof(name), "list-%zu", g->n_kinds + 1);
	struct kind *k = kind_add(g, name, groups);
	if (!k)
		return;
	k->list->allow = g->lib.sqlite3_column_int(q, 1) == 1;
	if (strncmp(address, "file://", 7) == 0) {
		k->list->file = target_text(g->t, address + 7, strlen(address + 7));
	} else {
		k->list->url = target_text(g->t, address, strlen(address));
		g->t->store = "/var/cache/ropewalk-resolver";
	}
}

static struct kind *names_kind(struct gravity *g, bool allow, uint64_t groups)
{
	char name[32];
	for (size_t i = 0; i < g->n_kinds; i++)
		if (g->kinds[i].names && g->kinds[i].list->allow == allow && g->kinds[i].groups == groups)
			return &g->kinds[i];
	snprintf(name, sizeof(name), groups == 1 ? "%s" : "%s-%zu", allow ? "allowed" : "denied",
		g->n_kinds + 1);
	struct kind *k = kind_add(g, name, groups);
	if (k) {
		k->names = true;
		k->list->allow = allow;
	}
	return k;
}

static int item_count(void *arg, const struct block_item *i)
{
	struct errbuf eb;
	struct block_regex *x = i->name.len ? NULL : block_regex_new(i->regex, i->regex_len, &eb);
	++*(size_t *)arg;
	if (!i->name.len && !x)
		return ERR_MALFORMED;
	block_regex_free(x);
	return 0;
}

/* As one of the names of a list would be read. */
static bool name_is_right(const char *text)
{
	size_t n = 0;
	struct block_list_ops ops = { item_count, &n };
	struct block_list l;
	block_list_begin(&l, true, &ops);
	return !block_list_read(&l, text, strlen(text)) && !block_list_end(&l) && n && !l.skipped;
}

/* domain, type (0 allowed, 1 denied, 2 and 3 the same as expressions), groups */
static void name_take(struct gravity *g, sqlite3_stmt *q)
{
	const char *domain = column(g, q, 0);
	int type = g->lib.sqlite3_column_int(q, 1);
	uint64_t groups = groups_of(g, column(g, q, 2));
	char text[TARGET_WORD_MAX];
	bool regex = type >= 2;
	if (!groups || !target_is_plain(g->t, domain, domain))
		return;
	int n = snprintf(text, sizeof(text), regex ? "/%s/" : "%s", domain);
	if (n < 0 || (size_t)n >= sizeof(text) || (regex && strchr(domain, ';')) || !name_is_right(text)) {
		target_say(g->t, domain,
			regex ? "no counterpart of this expression: no options (;), no references back"
			      : "not a name");
		return;
	}
	struct kind *k = names_kind(g, type == 0 || type == 2, groups);
	if (k)
		target_add(g->t, &k->list->names, text);
}

static void lists_of(struct gravity *g, struct target_group *to, uint64_t groups)
{
	for (size_t i = 0; i < g->n_kinds; i++)
		if (g->kinds[i].groups & groups)
			target_add(g->t, &to->lists, g->kinds[i].list->name);
}

/* ip, groups */
static void client_take(struct gravity *g, sqlite3_stmt *q)
{
	const char *who = column(g, q, 0);
	uint64_t groups = groups_of(g, column(g, q, 1));
	struct prefix p;
	char name[48];
	if (!prefix_parse(who, &p)) {
		target_say(g->t, who,
			"a client is an address or a network here, not a MAC, a name or an interface");
		return;
	}
	snprintf(name, sizeof(name), "group-%" PRIx64, groups);
	struct target_group *to = NULL;
	for (size_t i = 0; i < g->t->n_groups; i++)
		if (strcmp(g->t->groups[i].name, name) == 0)
			to = &g->t->groups[i];
	if (!to && (to = target_group_add(g->t, name)))
		lists_of(g, to, groups);
	if (to && to->clients.n < CLIENTS_MAX)
		target_add(g->t, &to->clients, who);
}

/* Who is named nowhere: needed where not all lists are theirs. */
static void rest_take(struct gravity *g)
{
	bool all = true;
	for (size_t i = 0; i < g->n_kinds; i++)
		all = all && g->kinds[i].groups & 1;
	struct target_group *to = all ? NULL : target_group_add(g->t, "everybody-else");
	if (!to)
		return;
	target_add(g->t, &to->clients, "0.0.0.0/0");
	target_add(g->t, &to->clients, "::/0");
	lists_of(g, to, 1);
}

static bool has_column(struct gravity *g, const char *sql)
{
	sqlite3_stmt *q = NULL;
	bool has = g->lib.sqlite3_prepare_v2(g->db, sql, -1, &q, NULL) == SQLITE_OK;
	(void)g->lib.sqlite3_finalize(q);
	return has;
}

/* Lists that let through came with version 6. */
#define LISTS(type) \
	"SELECT address, " type \
	", (SELECT group_concat(group_id) FROM adlist_by_group WHERE adlist_id = adlist.id) FROM adlist " \
	"WHERE enabled ORDER BY id"

static int tables_read(struct gravity *g, struct errbuf *eb)
{
	int err = each(g, "SELECT id, name, enabled FROM \"group\"", group_take, eb);
	err = err ? err : each(g, has_column(g, LISTS("type")) ? LISTS("type") : LISTS("0"), list_take, eb);
	err = err ? err
		  : each(g,
			    "SELECT domain, type, (SELECT group_concat(group_id) FROM domainlist_by_group "
			    "WHERE domainlist_id = "
			    "domainlist.id) FROM domainlist WHERE enabled ORDER BY id",
			    name_take, eb);
	err = err ? err
		  : each(g,
			    "SELECT ip, (SELECT group_concat(group_id) FROM client_by_group WHERE client_id "
			    "= client.id) FROM "
			    "client ORDER BY id",
			    client_take, eb);
	if (!err)
		rest_take(g);
	return err;
}

static bool library_load(struct sqlite *lib, struct errbuf *eb)
{
	const char *missing = NULL;
	lib->library = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!lib->library) {
		err_say(eb, ERR_UNSUPPORTED,
			"gravity.db cannot be read: SQLite is not there (apt install libsqlite3-0)");
		return false;
	}
#define X(name, gives, takes) \
	*(void **)&lib->name = dlsym(lib->library, #name); \
	missing = lib->name ? missing : #name;
	SQLITE(X)
#undef X
	if (!missing)
		return true;
	err_say(eb, ERR_UNSUPPORTED, "gravity.db cannot be read: this SQLite is another one (no %s)",
		missing);
	dlclose(lib->library);
	return false;
}

int gravity_read(struct target *t, const char *path, struct errbuf *eb)
{
	struct gravity g = { .t = t };
	t->file = path;
	t->line = 0;
	if (!library_load(&g.lib, eb))
		return eb->code;
	int err = g.lib.sqlite3_open_v2(path, &g.db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK
			  ? tables_read(&g, eb)
			  : err_say(eb, ERR_MALFORMED, "%s: %s", path,
				    g.db ? g.lib.sqlite3_errmsg(g.db) : "memory is short");
	(void)g.lib.sqlite3_close(g.db);
	dlclose(g.lib.library);
	return err;
}
