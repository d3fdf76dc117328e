/* `import`: what Headscale keeps, into a database of ours that is empty. The server does not run meanwhile. */
#include "mesh/control/cli/cli.h"

#include "mesh/base/key.h"
#include "mesh/control/config/config.h"
#include "mesh/control/control.h"
#include "mesh/control/fleet/headscale.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_FILE_MAX = 256 };

static bool is_there(const char *path)
{
	struct stat st;
	return *path && !stat(path, &st);
}

/* Whether both are there and one file. */
static bool is_same(const char *a, const char *b)
{
	struct stat x, y;
	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Into out: name, in the folder of path. */
static void beside(const char *path, const char *name, char out[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	snprintf(out, PATH_MAX, "%.*s%s", slash ? (int)(slash - path + 1) : 0, path, name);
}

/* The key that nodes know the server by, unless it is where the settings say already. */
static int take_noise_key(
	const struct options *o, const struct control_config *c, const char *from, struct errbuf *eb)
{
	char path[PATH_MAX];
	uint8_t key[KEY_LEN];
	struct buf text = { 0 };
	if (is_there(c->noise_key_path))
		return 0;
	beside(from, "noise_private.key", path);
	const char *at = o->noise_key ? o->noise_key : path;
	int err = file_read(at, KEY_FILE_MAX, &text, eb);
	if (err)
		err = err_say(eb, err,
			"%s: this is where Headscale's key is looked for, by which nodes know the server: "
			"say --noise-key "
			"FILE",
			at);
	while (!err && text.len && strchr(" \r\n\t", buf_data(&text)[text.len - 1]))
		text.len--;
	if (!err && (!buf_cstr(&text) || !key_parse(buf_cstr(&text), "privkey:", key)))
		err = err_say(eb, ERR_MALFORMED, "%s is not a private key (privkey: and 64 hex digits)", at);
	if (!err)
		err = file_write_atomic(c->noise_key_path, 0600, buf_data(&text), text.len, eb);
	key_wipe(key, sizeof(key));
	buf_wipe(&text);
	return err;
}

static bool count(void *arg, const struct user *u)
{
	(void)u;
	return ++*(unsigned *)arg;
}
static bool count_node(void *arg, const struct member *m)
{
	(void)m;
	return ++*(unsigned *)arg;
}

/* Those of the settings, by each name that their ID tokens may say; the caller's. NULL: memory is short. */
static struct headscale_issuer *issuers_of(const struct control_config *c)
{
	struct headscale_issuer *v = calloc(2 * c->login.n + 1, sizeof(*v));
	size_t n = 0;
	for (size_t i = 0; v && i < c->login.n; i++) {
		const char *issuer = c->login.v[i].s.issuer;
		const struct oidc_quirk *q = oidc_quirk_of(issuer);
		v[n++] = (struct headscale_issuer) { issuer, issuer };
		if (q && q->also_issuer)
			v[n++] = (struct headscale_issuer) { q->also_issuer, issuer };
	}
	return v;
}

static int into_store(
	const struct control_config *c, const char *from, struct headscale_taken *taken, struct errbuf *eb)
{
	unsigned n = 0;
	if (is_same(from, c->database_path))
		return err_say(eb, -EINVAL,
			"%s is Headscale's own database, and stays as it is: give database.sqlite.path in %s "
			"another file",
			from, c->file);
	if (!is_there(from))
		return err_set(eb, -ENOENT, "%s", from);
	struct store *to = store_open(c->database_path, eb);
	if (!to)
		return eb->code;
	int err = store_load(to, &(struct store_sink) { .user = count, .node = count_node, .arg = &n }, eb);
	if (!err && n)
		err = err_say(eb, -EEXIST, "%s has users or nodes already: import goes into an empty one",
			c->database_path);
	struct headscale_issuer *issuers = issuers_of(c);
	if (!err)
		err = issuers ? headscale_take(from, issuers, to, taken, eb) : err_set(eb, -ENOMEM, "import");
	free(issuers);
	store_close(to);
	return err;
}

/* Where the policy of its database went; "" = it had none. */
static int save_policy(const struct control_config *c, const struct headscale_taken *t,
	char path[static PATH_MAX], struct errbuf *eb)
{
	path[0] = 0;
	if (!t->policy.len)
		return 0;
	if (*c->policy_path && !is_there(c->policy_path))
		snprintf(path, PATH_MAX, "%s", c->policy_path);
	else
		beside(c->database_path, "headscale-policy.hujson", path);
	return file_write_atomic(path, 0600, buf_data(&t->policy), t->policy.len, eb);
}

static void report(const struct options *o, const struct control_config *c, const struct headscale_taken *t,
	const char *policy)
{
	if (o->json) {
		printf("{\"users\":%u,\"people\":%u,\"nodes\":%u,\"keys\":%u,\"renamed\":%u,\"lost_people\":%"
		       "u,"
		       "\"lost_keys\":%u,\"lost_api_keys\":%u}\n",
			t->users, t->people, t->nodes, t->keys, t->renamed, t->lost_people, t->lost_keys,
			t->lost_api_keys);
		return;
	}
	printf("taken over: %u users, %u nodes, %u auth keys, into %s\n", t->users, t->nodes, t->keys,
		c->database_path);
	if (t->renamed)
		printf("%u of them have another name: `users list` and `nodes list` show which\n",
			t->renamed);
	if (t->people)
		printf("%u of the users log in by a provider, and stay who they are there\n", t->people);
	if (t->lost_people)
		printf("%u users logged in by a provider that oidc does not name: at their next login they "
		       "are "
		       "new ones.\nName it in %s, remove %s and import once more\n",
			t->lost_people, c->file, c->database_path);
	if (t->lost_keys)
		printf("%u auth keys are not: Headscale keeps only a hash of them; make new ones\n",
			t->lost_keys);
	if (t->lost_api_keys)
		printf("%u API keys are not, for the same reason: `apikeys create`\n", t->lost_api_keys);
	if (*policy)
		printf("the access rules of its database are in %s\n", policy);
	if (*policy && strcmp(policy, c->policy_path) != 0)
		printf("until policy.path in %s names them, or others, everything is allowed\n", c->file);
}

int import_run(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	struct control_config c = { 0 };
	struct headscale_taken taken = { 0 };
	char policy[PATH_MAX] = "";
	(void)n;
	int err = config_read(o->config, &c, eb);
	if (!err)
		err = into_store(&c, words[0], &taken, eb);
	if (!err)
		err = take_noise_key(o, &c, words[0], eb);
	if (!err)
		err = save_policy(&c, &taken, policy, eb);
	if (!err)
		report(o, &c, &taken, policy);
	buf_free(&taken.policy);
	config_free(&c);
	return err ? cli_complain(o, CONTROL_FAILED, eb->text) : CONTROL_OK;
}
