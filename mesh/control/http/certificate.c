/* What the TLS door shows: the certificate of the settings, one from an authority by ACME, or one made here.
 *
 * From an authority (tls_letsencrypt_hostname): file HOST.pem holds the chain and its key. Until it is there,
 * and when the authority fails us, the certificate made here stands in, so that nodes are served at all
 * times. A third of its life before the end a new one is ordered; after a failure it is tried again later and
 * later, at most half a day apart. While an order is open the answer to its challenge is given: below
 * /.well-known/acme-challenge/ at every plain door, or by a TLS handshake. */
#include "mesh/control/http/certificate.h"

#include "mesh/acme/acme.h"
#include "mesh/acme/acme_cert.h"
#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/control/config/config_value.h"
#include "mesh/control/http/certificate_fault.h"
#include "mesh/os/file.h"
#include "mesh/transport/http.h"
#include "mesh/transport/stream.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ACCOUNT_BYTES_MAX = 8192,
	LOOK_MS = 6 * 3600 * 1000, /* the clock may have been set meanwhile */
	RETRY_MIN_MS = 60 * 1000,
	RETRY_MAX_MS = 12 * 3600 * 1000,
	LIFE_LEFT = 3, /* renewed when a third is left */
};

struct certificate {
	struct web *w;
	struct jose_key *account;
	struct acme *order;
	struct loop_timer *timer;
	uint64_t retry_ms;
	const char *token, *answer; /* of the order; NULL = nothing is asked */
	struct tls *challenge;	    /* TLS-ALPN-01: what it must meet */
};

/* Beside the Noise key, or where the settings say. */
static void certificate_path(
	const struct control_config *c, const char *dir, const char *name, char out[static PATH_MAX])
{
	const char *slash = strrchr(c->noise_key_path, '/');
	if (dir)
		snprintf(out, PATH_MAX, "%s/%s", dir, name);
	else
		snprintf(out, PATH_MAX, "%.*s%s", slash ? (int)(slash + 1 - c->noise_key_path) : 0,
			c->noise_key_path, name);
}

static void issued_path(const struct control_config *c, char out[static PATH_MAX])
{
	char name[300];
	snprintf(name, sizeof(name), "%s.pem", c->acme_host);
	certificate_path(c, c->acme_dir, name, out);
}

/* Nodes know this server by its Noise key: any certificate will do for them, so that one made here is enough
 * where no browser comes. */
static int own_certificate(const struct control_config *c, struct web_certificate *out, struct errbuf *eb)
{
	char cert[PATH_MAX], key[PATH_MAX], name[CONFIG_HOST_TEXT];
	uint16_t port;
	const char *names[] = { name };
	certificate_path(c, NULL, "control.crt", cert);
	certificate_path(c, NULL, "control.pem", key);
	config_value_host(c->server_url, name, &port);
	int err = tls_self_signed(cert, key, names, 1, eb);
	if (!err)
		err = tls_pin_of(cert, out->pin, eb);
	if (!err && !(out->tls = tls_server(cert, key, eb)))
		err = eb->code ? eb->code : ERR_MALFORMED;
	if (err)
		*out->pin = 0;
	return err;
}

/* Nodes know the server by its Noise key, and the relay inside by its certificate: one that nobody stands for is told by
 * its pin. Official clients take a pin for no more than one certificate. */
static void pin_unknown(const struct control_config *c, const char *cert, char pin[static 80])
{
	struct tls_cert_signer signer;
	struct errbuf eb;
	if (!c->relay.enabled || tls_cert_signer(cert, &signer, &eb) || signer.is_known)
		return;
	if (signer.n == 1 && !tls_pin_of(cert, pin, &eb))
		log_info("nobody that this machine knows signed certificate %s: nodes are told its pin for "
			 "the "
			 "relay",
			cert);
	else
		log_warn("nobody that this machine knows signed certificate %s: nodes reach the relay where "
			 "they "
			 "know who did; let the file have its first certificate alone, and they are told its "
			 "pin",
			cert);
}

int certificate_load(const struct control_config *c, struct web_certificate *out, struct errbuf *eb)
{
	char issued[PATH_MAX] = "";
	const char *cert = c->tls_cert, *key = c->tls_key;
	if (c->acme_host)
		issued_path(c, issued);
	if (*issued && access(issued, F_OK) == 0)
		cert = key = issued;
	*out = (struct web_certificate) { .tls = NULL };
	if (cert) {
		struct errbuf why;
		out->tls = tls_server(cert, key, eb);
		if (out->tls && certificate_fault(c, &why) != 0)
			log_warn("%s", why.text);
		if (out->tls)
			pin_unknown(c, cert, out->pin);
		return out->tls ? 0 : eb->code ? eb->code : ERR_MALFORMED;
	}
	return c->acme_host || endpoint_is_set(&c->tls_listen) ? own_certificate(c, out, eb) : 0;
}

bool certificate_needs_door(const struct control_config *c)
{
	return c->acme_host && !c->acme_alpn && !endpoint_equal(&c->acme_listen, &c->listen);
}

/* --- the authority's questions --- */

void certificate_door_changed(struct web *w)
{
	struct door *d = &w->doors[endpoint_is_set(&w->api->cfg->tls_listen)];
	if (w->certificate && d->tls)
		tls_server_alpn(d->tls, "acme-tls/1", w->certificate->challenge);
}

static void show_challenge(struct certificate *x, struct tls *with)
{
	tls_free(x->challenge);
	x->challenge = with;
	certificate_door_changed(x->w);
}

static bool prepare(void *arg, const char *token, const char *key_authorization)
{
	struct certificate *x = arg;
	const struct control_config *c = x->w->api->cfg;
	struct buf pem = { 0 };
	struct errbuf eb = { 0 };
	struct tls *with = NULL;
	x->token = token;
	x->answer = key_authorization;
	if (!c->acme_alpn)
		return true;
	if (acme_cert_challenge(c->acme_host, key_authorization, &pem))
		with = tls_server_text((const char *)buf_data(&pem), pem.len, &eb);
	buf_wipe(&pem);
	if (with)
		show_challenge(x, with);
	return with;
}

void certificate_challenge(struct api_call *c)
{
	const struct certificate *x = c->api->certificate;
	if (x && x->token && !strcmp(c->tail, x->token))
		api_reply(&c->way, 200, "application/octet-stream", NULL, x->answer, strlen(x->answer));
	else
		api_reply_text(&c->way, 404, "nothing is asked here\n");
}

/* --- orders --- */

static void order_over(struct certificate *x)
{
	x->token = x->answer = NULL;
	show_challenge(x, NULL);
	acme_free(x->order);
	x->order = NULL;
}

/* The door shows it from now on; the pin that nodes were told of the one made here is no more. */
static int use_issued(struct certificate *x, const char *pem, size_t len, struct errbuf *eb)
{
	char path[PATH_MAX];
	struct tls *works = tls_server_text(pem, len, eb);
	tls_free(works);
	if (!works)
		return eb->code;
	issued_path(x->w->api->cfg, path);
	int err = file_write_atomic(path, 0600, pem, len, eb);
	return err ? err : x->w->api->certificate_again(x->w->api->arg, eb);
}

static void order_done(void *arg, int code, const char *pem, size_t len, const char *why)
{
	struct certificate *x = arg;
	struct errbuf eb = { 0 };
	char span[TEXT_COUNT];
	const char *host = x->w->api->cfg->acme_host;
	int err = code ? code : use_issued(x, pem, len, &eb);
	if (err) {
		x->retry_ms = x->retry_ms ? x->retry_ms * 2 : RETRY_MIN_MS;
		if (x->retry_ms > RETRY_MAX_MS)
			x->retry_ms = RETRY_MAX_MS;
		log_error("no certificate for %s: %s; trying again in %s", host, code ? why : eb.text,
			text_span(x->retry_ms, span));
	} else {
		x->retry_ms = 0;
		log_info("certificate for %s is there, and in use", host);
	}
	loop_timer_set(x->timer, x->retry_ms ? x->retry_ms : LOOK_MS);
	order_over(x);
}

static void order_begin(struct certificate *x)
{
	const struct control_config *c = x->w->api->cfg;
	const struct acme_options o = { .directory = c->acme_url,
		.email = c->acme_email,
		.host = c->acme_host,
		.proxies = x->w->api->proxies,
		.account = x->account,
		.challenge = c->acme_alpn ? ACME_TLS_ALPN_01 : ACME_HTTP_01 };
	const struct acme_ops ops = { .prepare = prepare, .done = order_done, .arg = x };
	x->order = acme_order(x->w->loop, &o, &ops);
	if (!x->order)
		loop_timer_set(x->timer, RETRY_MIN_MS);
}

static bool is_due(const struct control_config *c)
{
	char path[PATH_MAX];
	int64_t from, until;
	struct errbuf eb;
	issued_path(c, path);
	return access(path, F_OK) != 0 || tls_cert_dates(path, &from, &until, &eb) != 0 ||
	       until - clock_unix_ms() < (until - from) / LIFE_LEFT;
}

static void certificate_look(void *arg)
{
	struct certificate *x = arg;
	if (!x->order && is_due(x->w->api->cfg))
		order_begin(x);
	else
		loop_timer_set(x->timer, LOOK_MS);
}

/* --- opening --- */

static int make_account(struct certificate *x, const char *path, struct errbuf *eb)
{
	struct buf pem = { 0 };
	x->account = jose_key_make();
	int err = x->account && jose_key_write(x->account, &pem)
			  ? file_write_atomic(path, 0600, buf_data(&pem), pem.len, eb)
			  : err_set(eb, -ENOMEM, "make an account key");
	buf_wipe(&pem);
	return err;
}

static int load_account(struct certificate *x, struct errbuf *eb)
{
	char path[PATH_MAX];
	struct buf pem = { 0 };
	struct errbuf why = { 0 };
	certificate_path(x->w->api->cfg, x->w->api->cfg->acme_dir, "acme_account.pem", path);
	int err = file_read_own(path, ACCOUNT_BYTES_MAX, FILE_PRIVATE, &pem, eb);
	if (err == -ENOENT)
		return make_account(x, path, eb);
	if (!err && !(x->account = jose_key_read((const char *)buf_data(&pem), pem.len, &why)))
		err = err_say(eb, ERR_MALFORMED,
			"%s: %s: restore it from a backup, or remove it, and another account is made", path,
			why.text);
	buf_wipe(&pem);
	return err;
}

int certificate_open(struct web *w, struct errbuf *eb)
{
	const char *dir = w->api->cfg->acme_dir;
	if (!w->api->cfg->acme_host)
		return 0;
	struct certificate *x = w->certificate = calloc(1, sizeof(*x));
	if (!x)
		return err_set(eb, -ENOMEM, "start");
	x->w = w;
	w->api->certificate = x;
	int err = dir ? dir_make(dir, 0700, eb) : 0;
	if (!err)
		err = load_account(x, eb);
	if (err)
		return err;
	x->timer = loop_timer_new(w->loop, certificate_look, x);
	if (!x->timer)
		return err_set(eb, -ENOMEM, "start");
	loop_timer_set(x->timer, 0);
	return 0;
}

void certificate_close(struct web *w)
{
	struct certificate *x = w->certificate;
	if (!x)
		return;
	order_over(x);
	jose_key_free(x->account);
	loop_timer_free(x->timer);
	free(x);
	w->certificate = NULL;
	w->api->certificate = NULL;
}
