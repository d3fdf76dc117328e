#include "mesh/base/key.h"
#include "mesh/cli/api.h"
#include "mesh/cli/up.h"
#include "mesh/cli/verbs.h"
#include "mesh/cli/wait.h"
#include "mesh/os/file.h"
#include "mesh/os/qr.h"
#include "mesh/proto/json.h"
#include "mesh/transport/http.h"
#include <stdlib.h>
#include <string.h>

static const struct opt_row rows[] = {
	{ "login-server", NULL, OPT_STRING, offsetof(struct up_options, login_server), "URL",
		"the control server of the network; remembered" },
	{ "auth-key", "authkey", OPT_STRING, offsetof(struct up_options, auth_key), "KEY|file:PATH",
		"join without a login page; file: keeps the key out of the process list" },
	CLI_ROWS_PREFS(struct up_options),
	{ "force-reauth", NULL, OPT_BOOL, offsetof(struct up_options, force_reauth), NULL,
		"log in anew, with a new key; leave the present network where --login-server names another" },
	{ "reset", NULL, OPT_BOOL, offsetof(struct up_options, reset), NULL,
		"set what is not named here to what it is at first; the server and the login stay" },
	CLI_ROWS_UP_END,
	{ "qr", NULL, OPT_BOOL, offsetof(struct up_options, qr), NULL,
		"show the login URL as a QR code, terminal or not" },
	{ "qr-format", NULL, OPT_STRING, offsetof(struct up_options, qr_format), "FORMAT",
		"how that is drawn: small, large, ascii, or auto (small; ascii where the locale is not of "
		"UTF-8)" },
	CLI_ROWS_COMMON(struct up_options),
};

enum { LOOK_MS = 1000, KEY_FILE_MAX = 4096 };

struct up {
	struct cli *c;
	const struct up_options *o;
	int code;
	bool done, told_url, told_approval;
	char url[512], waiting[384]; /* told already */
	struct loop_timer *look, *limit;
	struct api_exchange *looking;
	enum qr_format qr;
};

/* --- what was asked for --- */

/* The key itself: words of a file without the white space around, or as given. Wipe key afterwards. */
static int get_key(struct cli *c, const struct up_options *o, struct buf *key)
{
	struct errbuf eb = { 0 };
	const char *given = o->auth_key;
	/* Whoever wrote an invitation must not choose a file of ours that its server is then told. */
	if (o->server_key || strncmp(given, "file:", 5) != 0)
		return buf_append(key, given, strlen(given)) ? CLI_OK : CLI_FAILED;
	if (file_read(given + 5, KEY_FILE_MAX, key, &eb) != 0)
		return cli_fail(c, CLI_FAILED, "key-file",
			"--auth-key=file:PATH names a file that holds nothing but the key.",
			"cannot read the auth key: %s", eb.text);
	cli_warn_secret(c, given + 5);
	while (key->len && buf_data(key)[key->len - 1] <= ' ')
		key->len--;
	while (key->len && buf_data(key)[0] <= ' ')
		buf_consume(key, 1);
	if (!key->len)
		return cli_fail(c, CLI_FAILED, "key-file", NULL, "%s holds no auth key", given + 5);
	return CLI_OK;
}

static int up_check(struct cli *c, const struct up_options *o, const struct api_prefs *now)
{
	struct url url;
	enum qr_format format;
	if (o->login_server && !url_parse(o->login_server, &url))
		return cli_fail(c, CLI_USAGE, "usage", "Such as --login-server https://control.example.com",
			"--login-server: \"%s\" is not an http:// or https:// URL", o->login_server);
	if (!o->login_server && !*now->control_url)
		return cli_fail(c, CLI_USAGE, "no-server",
			"ropewalk up --login-server URL; it is remembered afterwards.",
			"no network to join: the URL of its control server is needed once");
	if (o->login_server && !now->logged_out && *now->control_url && !o->force_reauth &&
		!url_same(o->login_server, now->control_url))
		return cli_fail(c, CLI_FAILED, "force-reauth",
			"To leave that network for the other: --force-reauth. The other server is tried "
			"first; when "
			"it is not there, nothing changes.",
			"this machine is in the network of %s", now->control_url);
	if (o->qr_format && !qr_format_parse(o->qr_format, &format))
		return cli_fail(c, CLI_USAGE, "usage", NULL,
			"--qr-format is auto, ascii, large or small, not \"%s\"", o->qr_format);
	if (o->auth_key && !*o->auth_key)
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk-control preauthkeys create makes one.",
			"--auth-key is empty");
	return CLI_OK;
}

static int up_start(struct cli *c, const struct up_options *o, struct buf *key)
{
	struct buf body = { 0 };
	struct api_request r = { .method = "POST", .target = "/localapi/v0/start", .body = &body };
	struct api_start s = { .auth_key = key->len ? buf_cstr(key) : "",
		.force_reauth = key->len && o->force_reauth };
	int code = s.auth_key && api_start_write(&body, &s)
			   ? api_call(c, &r, NULL, NULL)
			   : cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	buf_wipe(&body);
	return code;
}

/* Without a key, a machine that is logged out needs the login page. */
static int ask_login(struct cli *c, bool force)
{
	struct api_request r = { .method = "POST", .target = "/localapi/v0/login-interactive" };
	struct arena a = { 0 };
	struct api_status s;
	int code = api_status(c, &a, &s);
	if (code == CLI_OK && (force || strcmp(s.backend_state, "NeedsLogin") == 0))
		code = api_call(c, &r, NULL, NULL);
	arena_free(&a);
	return code;
}

/* --- what happens then --- */

/* For programs that show it, as an address of the picture itself. Without memory for it there is none. */
static void put_qr(struct json_out *o, const char *url)
{
	static const char start[] = "data:image/png;base64,";
	size_t n, at = sizeof(start) - 1;
	uint8_t *png = qr_png(url, &n);
	char *text = png ? malloc(at + (n + 2) / 3 * 4 + 1) : NULL;
	if (text) {
		memcpy(text, start, at);
		base64_encode(png, n, text + at);
		json_put(o, "\"QR\":");
		json_put_string(o, text);
		json_put(o, ",");
	}
	free(text);
	free(png);
}

static void put_json(struct up *u, const char *url, const char *state)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	json_put(&o, "{");
	if (url) {
		json_put(&o, "\"AuthURL\":");
		json_put_string(&o, url);
		json_put(&o, ",");
		put_qr(&o, url);
	}
	json_put(&o, "\"BackendState\":");
	json_put_string(&o, state);
	json_put(&o, "}\n");
	fwrite(buf_data(&b), 1, b.len, u->c->out);
	fflush(u->c->out);
	buf_free(&b);
}

static void up_finish(struct up *u, int code)
{
	if (u->done)
		return;
	u->done = true;
	u->code = code;
	loop_stop(u->c->loop);
}

static void tell_url(struct up *u, const char *url)
{
	if (strcmp(u->url, url) == 0)
		return;
	snprintf(u->url, sizeof(u->url), "%s", url);
	u->told_url = true;
	if (u->c->json) {
		put_json(u, url, "NeedsLogin");
		return;
	}
	fprintf(u->c->err, "\nTo authenticate, visit:\n\n\t%s\n\n", url);
	if (u->c->terminal || u->o->qr)
		qr_print(url, u->qr, u->c->err);
	fflush(u->c->err);
}

static int tell_stopped(struct cli *c)
{
	return cli_fail(c, CLI_FAILED, "stopped", NULL,
		"ropewalk down or logout came in between: this machine stays out of the network");
}

/* Nothing will come of what was asked for. A login by key that the server refused leaves the present one in
 * force, and the machine may run again before anybody is told of the refusal. */
static bool is_refused(const struct up *u, const struct api_notify *n)
{
	bool asked = *n->browse_to_url && n->state == STATE_NEEDS_LOGIN; /* the error is why it asks */
	bool by_key = u->o->auth_key && u->o->force_reauth;
	return *n->error && ((n->state == STATE_NEEDS_LOGIN && !asked) || n->state == STATE_STOPPED ||
				    (n->state == STATE_RUNNING && by_key));
}

static const char *refused_hint(const struct up_options *o)
{
	if (o->server_key)
		return "A fresh invitation comes from the server: ropewalk-control invite --user NAME.";
	return o->auth_key ? "A fresh key comes from the server: ropewalk-control preauthkeys create --user "
			     "NAME. "
			     "Without --auth-key, ropewalk up asks for a login."
			   : NULL;
}

static void notified(void *arg, const struct api_notify *n)
{
	struct up *u = arg;
	if (u->done)
		return;
	if (is_refused(u, n)) {
		up_finish(u, cli_fail(u->c, CLI_FAILED, "refused", refused_hint(u->o), "%s", n->error));
		return;
	}
	if (n->state == STATE_STOPPED) {
		up_finish(u, tell_stopped(u->c));
		return;
	}
	if (*n->browse_to_url && n->state != STATE_RUNNING)
		tell_url(u, n->browse_to_url);
	if (n->state == STATE_NEEDS_APPROVAL && !u->told_approval && !u->c->json) {
		u->told_approval = true;
		fputs("This machine waits for the approval of an administrator of the network.\n", u->c->err);
	}
	if (n->state != STATE_RUNNING)
		return;
	if (u->c->json)
		put_json(u, NULL, "Running");
	else if (u->told_url)
		fputs("Success.\n", u->c->err);
	if (*n->error && !u->c->json)
		fprintf(u->c->err, "# warning: %s\n", n->error);
	up_finish(u, CLI_OK);
}

static void ended(void *arg, int code)
{
	up_finish(arg, code);
}

static void tell_waiting(struct up *u, const char *control)
{
	if (strcmp(control, "connected") == 0 || u->told_url || strcmp(control, u->waiting) == 0)
		return;
	snprintf(u->waiting, sizeof(u->waiting), "%s", control);
	if (!u->c->json)
		fprintf(u->c->err, "ropewalk: %s; trying on\n", u->waiting);
	fflush(u->c->err);
}

static void looked(void *arg, bool ok, const uint8_t *body, size_t len)
{
	struct up *u = arg;
	struct arena a = { 0 };
	struct api_status s;
	u->looking = NULL;
	if (!u->done)
		loop_timer_set(u->look, LOOK_MS);
	bool known = ok && api_status_read(&a, (const char *)body, len, &s, NULL) == 0;
	if (known && *s.control)
		tell_waiting(u, s.control);
	else if (known && strcmp(s.backend_state, "NeedsLogin") == 0)
		up_finish(u, tell_stopped(u->c)); /* it has no business with a server any more */
	arena_free(&a);
}

/* The bus is silent while the server cannot be reached: ask what the daemon waits for. */
static void up_look(void *arg)
{
	struct up *u = arg;
	struct api_request r = { .method = "GET", .target = "/localapi/v0/status?peers=false" };
	u->looking = api_send(u->c, &r, looked, u);
}

static void up_timed_out(void *arg)
{
	struct up *u = arg;
	char after[48];
	snprintf(after, sizeof(after), "not up after %llu s", (unsigned long long)(u->o->timeout_ms / 1000));
	const char *why = *u->waiting	? u->waiting
			  : u->told_url ? "nobody used the login URL"
					: "no answer yet";
	up_finish(u, cli_fail(u->c, CLI_TIMEOUT, "timeout",
			     "ropewalkd goes on trying; ropewalk status shows how far it is, ropewalk down "
			     "stops it.",
			     "%s: %s", after, why));
}

static int wait_for_it(struct cli *c, const struct up_options *o)
{
	struct up u = { .c = c, .o = o, .qr = QR_AUTO };
	(void)(o->qr_format && qr_format_parse(o->qr_format, &u.qr)); /* up_check */
	struct api_watch_events ev = { .notify = notified, .ended = ended, .arg = &u };
	u.look = loop_timer_new(c->loop, up_look, &u);
	u.limit = loop_timer_new(c->loop, up_timed_out, &u);
	struct api_watch *bus = api_watch_open(c, &ev);
	if (u.look && u.limit && bus) {
		loop_timer_set(u.look, LOOK_MS);
		if (o->timeout_ms)
			loop_timer_set(u.limit, o->timeout_ms);
		loop_run(c->loop);
	} else {
		u.code = cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	}
	api_cancel(u.looking);
	api_watch_close(bus);
	loop_timer_free(u.look);
	loop_timer_free(u.limit);
	return u.code;
}

static int join_with(struct cli *c, const struct up_options *o, const char *anew)
{
	struct buf key = { 0 };
	int code = CLI_OK;
	/* All that can be wrong here is found before anything is changed. */
	if (o->auth_key)
		code = get_key(c, o, &key);
	if (code == CLI_OK && o->force_reauth)
		code = ssh_session_check(c, o->accept_risk, anew);
	if (code == CLI_OK)
		code = pref_options_set(c, &o->prefs, o->login_server, o->server_key);
	if (code == CLI_OK)
		code = up_start(c, o, &key);
	buf_wipe(&key);
	if (code == CLI_OK && !o->auth_key)
		code = ask_login(c, o->force_reauth);
	return code == CLI_OK ? wait_for_it(c, o) : code;
}

int up_join(struct cli *c, const struct up_options *options)
{
	struct up_options o = *options;
	if (o.reset)
		pref_options_reset(&o.prefs);
	struct arena a = { 0 };
	struct api_prefs now;
	int code = api_prefs(c, &a, &now);
	if (code == CLI_OK)
		code = up_check(c, &o, &now);
	if (code == CLI_OK && !now.logged_out && !o.force_reauth)
		code = pref_options_need_login(c, &o.prefs, &now, &o.force_reauth);
	arena_free(&a);
	const char *anew = options->force_reauth ? "ropewalk up --force-reauth"
			   : o.reset		 ? "ropewalk up --reset"
						 : "ropewalk up --advertise-tags";
	return code == CLI_OK ? join_with(c, &o, anew) : code;
}

static int up_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)words;
	(void)n;
	return up_join(c, options);
}

/* The present login goes on until there is another, so a key that ends soon is renewed in time. */
static int login_run(struct cli *c, const void *options, const char *const *words, int n)
{
	struct up_options o = *(const struct up_options *)options;
	o.force_reauth = true;
	return up_run(c, &o, words, n);
}

const struct cli_verb verb_login = {
	.man = { "login", "", "log in anew, with a new key",
		"ropewalk up --force-reauth under another name: for a key that ends soon, another user, or, "
		"with "
		"--login-server, another network. What there is stays in force until the server has accepted "
		"the new "
		"key.",
		rows },
	.options_size = sizeof(struct up_options),
	.run = login_run,
};

const struct cli_verb verb_up = {
	.man = { "up", "", "join the network and stay in it",
		"The first time it needs the URL of a control server, and either an auth key or a person who "
		"opens the login URL that it "
		"prints. Later a bare ropewalk up is enough: what was set before stays as it is, and options "
		"change only what they name, unless --reset is among them. --force-reauth is for a login "
		"anew, and for another network: "
		"the new "
		"server is tried first, and the present login is in force until there is another.\n\n"
		"It returns when the network is usable. With --json it prints "
		"{\"AuthURL\",\"QR\",\"BackendState\"} "
		"when there is a login URL, and "
		"{\"BackendState\"} at the end.",
		rows },
	.options_size = sizeof(struct up_options),
	.run = up_run,
};
