/* The link's REGISTER state: a login, one that waits for a person, the goodbye of a logout. server_link.c says how
 * the states follow each other. */
#include "mesh/node/links/server_link_inner.h"
#include <stdio.h>
#include <string.h>

enum {
	REGISTER_MS = 30000,
	FOLLOWUP_MS = 1800000,	   /* a person is asked: the server answers when that is done */
	FOLLOWUP_MIN_MS = 1000,	   /* an answer sooner than this is no long poll: not at once again */
	LOGOUT_EXPIRY_MS = 123000, /* Unix: an expiry of the past says goodbye, tailscale-protocol.md 1.7 */
};

/* The server says no. A login that is still good goes on as if nobody had asked. */
static void refused(struct server_link *c, const char *why)
{
	bool other = !key_is_zero(c->login.next.b);
	c->is_shown = false;
	server_login_drop_key(&c->login);
	server_link_stay_out(c, why);
	if (!other || !c->us->logged_in)
		return;
	c->must_register = false;
	c->login.followup[0] = 0;
	loop_timer_set(c->retry, 0);
}

/* A person opens it, by hand or by a program that watches us: a page on the web, all of it, and nothing else that a
 * desktop would open. */
static bool is_page(const struct server_link *c, const char *text)
{
	struct url url;
	return strlen(text) < sizeof(c->login.followup) && url_parse(text, &url);
}

static void registered(struct server_link *c, const struct ctl_register_response *r)
{
	struct node_private key = *server_login_key(&c->login, &c->us->node);
	c->must_register = c->is_shown = false;
	c->login.followup[0] = 0;
	server_login_forget_auth_key(&c->login);
	server_login_drop_key(&c->login);
	bool goes_on = c->ops.accepted(c->ops.arg, &key, r->user.login_name);
	key_wipe(&key, sizeof(key));
	if (goes_on)
		server_stream_open(c);
}

static void register_answered(void *arg, int status, const char *body, size_t len)
{
	struct server_link *c = arg;
	struct arena a = { 0 };
	struct ctl_register_response r;
	struct errbuf eb;
	if (server_link_gave_up(c))
		return;
	loop_timer_clear(c->silence);
	if (c->logout_done) {
		server_register_goodbye(c);
		return;
	}
	if (status != 200) {
		char why[128];
		snprintf(why, sizeof(why), status < 0 ? "%s" : "the server answered %s%d",
			status < 0 ? err_text(status) : "", status);
		server_link_retry_later(c, "cannot register with the control server at", why);
		return;
	}
	if (ctl_register_response_read(&a, body, len, &r, &eb) != 0) {
		server_link_retry_later(c, "cannot register with the control server at", eb.text);
	} else if (r.error[0]) {
		refused(c, r.error);
	} else if (r.node_key_expired && !key_is_zero(c->login.old_key.b)) {
		server_link_retry_later(c, "cannot register with the control server at",
			"the server calls a key expired that was made just now");
	} else if (r.node_key_expired) {
		server_login_renew_key(&c->login, &c->us->node);
		c->ops.forgotten(c->ops.arg, NULL);
		server_register_send(c);
	} else if (r.auth_url[0] && !is_page(c, r.auth_url)) {
		server_link_retry_later(c, "cannot register with the control server at",
			"the login that it asks for is at no http:// or https:// page");
	} else if (r.auth_url[0]) {
		bool again = strcmp(c->login.followup, r.auth_url) == 0;
		snprintf(c->login.followup, sizeof(c->login.followup), "%s", r.auth_url);
		snprintf(c->waiting, sizeof(c->waiting), "waiting for approval: visit %s", r.auth_url);
		c->ops.asked(c->ops.arg, r.auth_url);
		if (again && loop_now_ms(c->loop) - c->asked_ms < FOLLOWUP_MIN_MS)
			server_link_retry_later(c, "waiting for approval at", r.auth_url);
		else
			server_register_send(c);
	} else if (!r.machine_authorized) {
		c->ops.waits(c->ops.arg);
		server_link_retry_later(c, "waiting for approval at", "this machine is not approved yet");
	} else {
		registered(c, &r);
	}
	arena_free(&a);
}

static void post_register(struct server_link *c, int64_t expiry_ms,
	void (*done)(void *arg, int status, const char *body, size_t len))
{
	struct buf body = { 0 };
	struct arena a = { 0 };
	struct server_link_self self = { 0 };
	c->ops.describe(c->ops.arg, &a, &self);
	server_link_enter(c, SERVER_REGISTER);
	c->asked_ms = loop_now_ms(c->loop);
	loop_timer_set(c->silence, c->login.followup[0] ? FOLLOWUP_MS : REGISTER_MS);
	/* Half a description would be a machine without its tags. */
	if (a.failed || !server_login_write(&c->login, &c->us->node, &self.host, expiry_ms, &body) ||
		!server_exchange_start(&c->reg, c->link, "/machine/register", &body, done, c))
		server_link_retry_later(c, "cannot register with the control server at",
			"memory is short or the connection closed");
	buf_wipe(&body);
	arena_free(&a);
}

void server_register_send(struct server_link *c)
{
	if (key_is_zero(server_login_key(&c->login, &c->us->node)->b))
		key_generate(&random_system, c->login.next.b);
	c->is_shown = true;
	post_register(c, INT64_MIN, register_answered);
}

/* To each key that the server may know: that of a login which is not decided, then the one in force. */
static void goodbye_answered(void *arg, int status, const char *body, size_t len)
{
	struct server_link *c = arg;
	bool other = !key_is_zero(c->login.next.b);
	(void)status;
	(void)body;
	(void)len;
	loop_timer_clear(c->silence);
	server_login_drop_key(&c->login);
	if (other && c->us->logged_in && c->logout_done)
		server_register_goodbye(c);
	else
		server_link_finish_logout(c);
}

void server_register_goodbye(struct server_link *c)
{
	server_login_forget_auth_key(&c->login);
	c->login.followup[0] = 0;
	post_register(c, LOGOUT_EXPIRY_MS, goodbye_answered);
}
