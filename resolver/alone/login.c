#include "resolver/alone/login.h"

#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"
#include "mesh/web/password.h"
#include "mesh/web/throttle.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_PER_SECOND = 2 };

struct login_session {
	struct browser_hash token;
	uint64_t until_ms; /* 0: free */
};
struct login_job {	   /* a password that is compared, or made a hash of */
	struct work *work; /* NULL: none */
	bool keeps, right;
	char password[PASSWORD_MAX + 1], hash[PASSWORD_HASH];
	struct addr from;
	int code;
	struct errbuf eb;
	login_done *done;
	void *arg;
};
struct login {
	struct loop *loop;
	char folder[PATH_MAX - 32], file[PATH_MAX];
	char hash[PASSWORD_HASH]; /* "": none is set */
	uint8_t secret[32];
	struct throttle throttle;
	struct log_limit failed;
	struct login_session sessions[LOGIN_SESSIONS];
	struct login_job job;
};

static int hash_load(struct login *l, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read_own(l->file, PASSWORD_HASH, FILE_PRIVATE, &text, eb);
	if (err == -ENOENT)
		return 0;
	const char *line = err ? NULL : buf_cstr(&text);
	size_t len = line ? strcspn(line, "\n") : 0;
	if (line && len < sizeof(l->hash)) {
		memcpy(l->hash, line, len);
		l->hash[len] = 0;
	}
	if (!err && !password_hash_is_ours(l->hash))
		err = err_say(eb, ERR_MALFORMED,
			"%s holds no password of this program: remove it, and set one with "
			"`ropewalk-resolver password`",
			l->file);
	buf_wipe(&text);
	return err;
}

struct login *login_open(struct loop *l, const char *state, struct errbuf *eb)
{
	struct login *x = calloc(1, sizeof(*x));
	if (!x) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	x->loop = l;
	snprintf(x->folder, sizeof(x->folder), "%s", state);
	snprintf(x->file, sizeof(x->file), "%s/password", x->folder);
	random_system.fill(random_system.arg, x->secret, sizeof(x->secret));
	if (!hash_load(x, eb))
		return x;
	login_close(x);
	return NULL;
}

void login_close(struct login *l)
{
	if (!l)
		return;
	if (l->job.work)
		(void)work_finish(l->job.work);
	key_wipe(l, sizeof(*l));
	free(l);
}

bool login_is_set(const struct login *l)
{
	return *l->hash;
}

/* ---- sessions ---- */

static struct login_session *session_of(struct login *l, const char *token)
{
	struct browser_hash h = browser_token_hash(token);
	uint64_t now_ms = loop_now_ms(l->loop);
	for (size_t i = 0; i < LOGIN_SESSIONS; i++)
		if (l->sessions[i].until_ms > now_ms && browser_hash_equal(&l->sessions[i].token, &h))
			return &l->sessions[i];
	return NULL;
}

bool login_is_in(struct login *l, const char *token)
{
	struct login_session *s = session_of(l, token);
	if (s)
		s->until_ms = loop_now_ms(l->loop) + LOGIN_SESSION_MS;
	return s;
}

void login_out(struct login *l, const char *token)
{
	struct login_session *s = session_of(l, token);
	if (s)
		*s = (struct login_session) { 0 };
}

/* The one that would end first gives way. */
static void session_begin(struct login *l, char token[static BROWSER_TOKEN])
{
	struct login_session *s = &l->sessions[0];
	for (size_t i = 1; i < LOGIN_SESSIONS; i++)
		if (l->sessions[i].until_ms < s->until_ms)
			s = &l->sessions[i];
	browser_token_make(&random_system, token);
	s->token = browser_token_hash(token);
	s->until_ms = loop_now_ms(l->loop) + LOGIN_SESSION_MS;
}

void login_form(const struct login *l, const char *token, char out[static BROWSER_FORM])
{
	browser_form_make(l->secret, token, out);
}

bool login_form_is(const struct login *l, const char *token, const char *given)
{
	return browser_form_is(l->secret, token, given);
}

/* ---- the password ---- */

static void job_run(void *arg)
{
	struct login *l = arg;
	struct login_job *j = &l->job;
	if (!j->keeps) {
		j->right = password_is(j->hash, j->password);
		return;
	}
	j->code = dir_make(l->folder, 0700, &j->eb);
	j->code = j->code ? j->code : file_write_atomic(l->file, 0600, j->hash, strlen(j->hash), &j->eb);
}

static enum login_verdict compared(struct login *l, char token[static BROWSER_TOKEN])
{
	char at[ADDR_TEXT];
	/* It may be another by now. */
	if (l->job.right && strcmp(l->job.hash, l->hash) == 0) {
		throttle_passed(&l->throttle, &l->job.from);
		session_begin(l, token);
		log_info("somebody has logged in to the page from %s", addr_format(&l->job.from, at));
		return LOGIN_IN;
	}
	throttle_failed(&l->throttle, &l->job.from, loop_now_ms(l->loop));
	if (log_allowed(&l->failed, LINES_PER_SECOND, loop_now_ms(l->loop)))
		log_warn("a wrong password for the page from %s", addr_format(&l->job.from, at));
	return LOGIN_WRONG;
}

static enum login_verdict kept(struct login *l)
{
	if (l->job.code) {
		log_error("%s; the password stays as it was", l->job.eb.text);
		return LOGIN_FAILED;
	}
	memcpy(l->hash, l->job.hash, sizeof(l->hash));
	memset(l->sessions, 0, sizeof(l->sessions));
	log_info("the page has another password; whoever was logged in is not any more");
	return LOGIN_CHANGED;
}

static void job_done(void *arg)
{
	struct login *l = arg;
	char token[BROWSER_TOKEN] = "";
	enum login_verdict v = l->job.keeps ? kept(l) : compared(l, token);
	struct login_job j = l->job;
	key_wipe(&l->job, sizeof(l->job));
	if (j.done)
		j.done(j.arg, v, token, j.eb.text);
	key_wipe(&j, sizeof(j));
	key_wipe(token, sizeof(token));
}

static void job_start(struct login *l, const char *password, login_done *done, void *arg)
{
	snprintf(l->job.password, sizeof(l->job.password), "%s", password);
	l->job.done = done;
	l->job.arg = arg;
	l->job.work = work_start(l->loop, job_run, job_done, l);
	if (l->job.work)
		return;
	key_wipe(&l->job, sizeof(l->job));
	done(arg, LOGIN_FAILED, "", "memory is short");
}

void login_try(struct login *l, const struct addr *from, const char *password, login_done *done, void *arg)
{
	if (throttle_wait_ms(&l->throttle, from, loop_now_ms(l->loop))) {
		done(arg, LOGIN_WAIT, "", "");
	} else if (l->job.work) {
		done(arg, LOGIN_BUSY, "", "");
	} else {
		l->job = (struct login_job) { .from = *from };
		snprintf(l->job.hash, sizeof(l->job.hash), "%s", *l->hash ? l->hash : password_of_nobody);
		job_start(l, password, done, arg);
	}
}

void login_set(struct login *l, const char *hash, login_done *done, void *arg)
{
	if (!password_hash_is_ours(hash)) {
		done(arg, LOGIN_FAILED, "", "that is no hash of a password, as this program makes it");
	} else if (l->job.work) {
		done(arg, LOGIN_BUSY, "", "");
	} else {
		l->job = (struct login_job) { .keeps = true };
		snprintf(l->job.hash, sizeof(l->job.hash), "%s", hash);
		job_start(l, "", done, arg);
	}
}

void login_unask(struct login *l, const void *arg)
{
	if (l->job.work && l->job.arg == arg)
		l->job.done = NULL;
}
