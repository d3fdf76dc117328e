#include "mesh/base/blake2s.h"
#include "mesh/cli/api.h"
#include "mesh/cli/up.h"
#include "mesh/cli/verbs.h"
#include "mesh/os/file.h"
#include "mesh/proto/invite.h"
#include "mesh/transport/http.h"
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 32 };

static const struct opt_row rows[] = {
	CLI_ROWS_PREFS(struct up_options),
	{ "force-reauth", NULL, OPT_BOOL, offsetof(struct up_options, force_reauth), NULL,
		"leave the present network for this one, or log in anew with this key" },
	CLI_ROWS_UP_END,
	CLI_ROWS_COMMON(struct up_options),
};

/* A line that was broken on its way is several words. */
static bool join_words(const char *const *words, int n, struct buf *line)
{
	bool ok = true;
	for (int i = 0; i < n && ok; i++)
		ok = buf_append(line, words[i], strlen(words[i]));
	return ok;
}

static int read_input(struct buf *line, struct errbuf *eb)
{
	char piece[512];
	ssize_t got = 0;
	bool fits = true;
	while (fits && (got = read(STDIN_FILENO, piece, sizeof(piece))) > 0)
		fits = line->len < 2 * INVITE_LINE_MAX && buf_append(line, piece, (size_t)got);
	key_wipe(piece, sizeof(piece));
	if (!fits)
		return err_say(eb, ERR_TOO_LARGE, "that is too long for an invitation");
	return got < 0 ? err_say(eb, ERR_MALFORMED, "standard input cannot be read") : 0;
}

static int get_invite(const char *const *words, int n, struct invite *out, struct errbuf *eb)
{
	struct buf line = { 0 };
	int err;
	if (n == 1 && strcmp(words[0], "-") == 0)
		err = read_input(&line, eb);
	else if (n == 1 && strncmp(words[0], "file:", 5) == 0)
		err = file_read(words[0] + 5, 2 * INVITE_LINE_MAX, &line, eb);
	else
		err = join_words(words, n, &line) ? 0 : err_say(eb, ERR_TOO_LARGE, "memory is short");
	if (!err)
		err = invite_read(line.len ? (const char *)buf_data(&line) : "", line.len, out, eb);
	buf_wipe(&line);
	return err;
}

/* Before anything is asked of the server: a person sees whose network it is. */
static void tell(struct cli *c, const struct invite *v, const char *hostname)
{
	if (c->json)
		return;
	fprintf(c->err, "Joining the network of %s", v->server);
	if (hostname)
		fprintf(c->err, " as %s", hostname);
	fprintf(c->err, *v->tags ? ", with %s.\n" : ".\n", v->tags);
	fflush(c->err);
}

/* It has worked, and under which name and address. */
static void tell_joined(struct cli *c)
{
	struct arena a = { 0 };
	struct api_status s;
	char ip[ADDR_TEXT];
	if (api_status(c, &a, &s) == CLI_OK && s.n_ips) {
		const char *name = s.self.dns_name ? s.self.dns_name : "";
		fprintf(c->err, "This machine is %.*s, %s. `ropewalk status` shows the others.\n",
			(int)strcspn(name, "."), name, addr_format(&s.ips[0], ip));
	}
	arena_free(&a);
}

/* What the invitation says of a new machine is nothing to one that is there already. */
static int take_invite(struct cli *c, struct up_options *o, const struct invite *v, bool *there)
{
	struct arena a = { 0 };
	struct api_prefs now;
	int code = api_prefs(c, &a, &now);
	*there =
		code == CLI_OK && !now.logged_out && !o->force_reauth && url_same(now.control_url, v->server);
	if (code == CLI_OK && !*there && *v->name && !o->prefs.hostname)
		o->prefs.hostname = v->name;
	arena_free(&a);
	return code;
}

static int join_run(struct cli *c, const void *options, const char *const *words, int n)
{
	struct up_options o = *(const struct up_options *)options;
	struct errbuf eb = { 0 };
	struct invite v;
	char key[KEY_TEXT];
	bool there;
	if (!blake2s_setup())
		return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	if (get_invite(words, n, &v, &eb))
		return cli_fail(c, CLI_USAGE, "invitation",
			"An invitation is made on the server, by ropewalk-control invite.", "%s", eb.text);
	if (n == 1 && strncmp(words[0], "file:", 5) == 0)
		cli_warn_secret(c, words[0] + 5);
	o.login_server = v.server;
	o.server_key = key_format(v.key.b, "mkey:", key);
	o.auth_key = v.auth_key;
	int code = take_invite(c, &o, &v, &there);
	if (code == CLI_OK) {
		tell(c, &v, o.prefs.hostname);
		code = up_join(c, &o);
	}
	if (code == CLI_OK && there && !c->json)
		fputs("This machine was in that network already: the invitation is not used up.\n", c->err);
	else if (code == CLI_OK && !c->json)
		tell_joined(c);
	invite_wipe(&v);
	return code;
}

const struct cli_verb verb_join = {
	.man = { "join", "LINE", "join the network that an invitation is for",
		"LINE is what ropewalk-control invite printed: the server, its key, and a key that lets this "
		"machine "
		"in. White space in it does no harm. file:PATH reads it from a file, and - from standard "
		"input, both "
		"of which keep it out of the process list.\n\n"
		"Nothing is told to a server with another key than the one in LINE, at this time and later, "
		"so "
		"that its certificate need be known to nobody. It does what ropewalk up does otherwise, and "
		"has its "
		"options; --hostname holds instead of a name in LINE.",
		rows },
	.options_size = sizeof(struct up_options),
	.min_words = 1,
	.max_words = WORDS_MAX,
	.run = join_run,
};
