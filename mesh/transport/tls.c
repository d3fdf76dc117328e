#include "mesh/transport/tls.h"
#include "mesh/base/buf.h"
#include "mesh/base/key.h"
#include "mesh/os/file.h"
#include "mesh/transport/tls_ciphers.h"
#include "mesh/transport/tls_in.h"
#include "mesh/transport/tls_out.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	METACERT_DAYS = 30,
	METACERT_VERSION = 2,
	SELF_SIGNED_DAYS = 3650,
	HASH = 32,
};

static const char pin_prefix[] = "sha256-raw:";
static const char metacert_prefix[] = "derpkey";

enum trust { TRUST_PKI, TRUST_PIN, TRUST_ANY };

struct tls {
	SSL_CTX *ctx;
	BIO_METHOD *in, *out; /* of the sessions */
	unsigned refs;
	enum trust trust;
	bool own_authorities; /* those of a file, and not the machine's */
	uint8_t pin[HASH];
	const char *alpn; /* connections that ask for it meet alpn_with's certificate; NULL = none */
	struct tls *alpn_with;
};

/* OpenSSL's own words for the newest error of this thread. */
static const char *reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());
	return text ? text : "unknown TLS error";
}

static bool common_name(const X509 *cert, char *out, size_t cap)
{
	return X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, out, (int)cap) > 0;
}

static bool metacert_key(const X509 *cert, uint8_t out[static 32])
{
	char name[128];
	size_t skip = sizeof(metacert_prefix) - 1;
	if (!common_name(cert, name, sizeof(name)) || strncmp(name, metacert_prefix, skip) != 0)
		return false;
	return hex_decode(name + skip, strlen(name + skip), out, KEY_LEN);
}

static bool cert_hash(const X509 *cert, uint8_t out[static HASH])
{
	unsigned n = 0;
	return X509_digest(cert, EVP_sha256(), out, &n) && n == HASH;
}

/* --- certificate checks --- */

static size_t count_certs(STACK_OF(X509) * chain)
{
	uint8_t key[32];
	size_t n = 0;
	for (int i = 0; i < sk_X509_num(chain); i++)
		n += !metacert_key(sk_X509_value(chain, i), key);
	return n;
}

static bool host_matches(X509 *cert, const char *host)
{
	struct addr a;
	return addr_parse(host, &a) ? X509_check_ip_asc(cert, host, 0) == 1
				    : X509_check_host(cert, host, 0, 0, NULL) == 1;
}

/* As official clients check a pinned relay: one certificate besides the metacert, its hash and SAN. But not
 * its dates: it is exactly the one that was meant, and a machine whose clock is far off needs the relay too.
 */
static const char *pin_fault(const struct tls *t, X509 *leaf, STACK_OF(X509) * chain, const char *host)
{
	uint8_t hash[HASH];
	if (!leaf || !cert_hash(leaf, hash))
		return "sent no certificate";
	if (memcmp(hash, t->pin, HASH) != 0)
		return "has another certificate than the pinned one; copy the new pin into the relay list if "
		       "this is meant";
	if (count_certs(chain) != 1)
		return "sent more than the pinned certificate";
	if (!host_matches(leaf, host))
		return "has a certificate for another host name";
	return NULL;
}

/* RFC 7858 4.2: the hash of the key, so that a certificate may be renewed. */
static const char *key_fault(const struct tls_check *check, const X509 *leaf)
{
	uint8_t hash[HASH], *der = NULL;
	unsigned n = 0;
	int len = leaf ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der) : -1;
	bool ok = len > 0 && EVP_Digest(der, (size_t)len, hash, &n, EVP_sha256(), NULL) == 1 && n == HASH;
	OPENSSL_free(der);
	for (size_t i = 0; ok && i < check->n_pins; i++)
		if (memcmp(hash, check->pins[i], HASH) == 0)
			return NULL;
	return ok ? "its key is none of the pinned ones; if this is meant, take over the new pin"
		  : "it has no key";
}

static const char *trust_fault(X509_STORE_CTX *store)
{
	int err = X509_STORE_CTX_get_error(store);
	switch (err) {
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "it is not yet, or no longer, good; is this machine's clock right?";
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return "this machine does not know who signed it; add that authority to the machine's, or "
		       "start the "
		       "program with its file in SSL_CERT_FILE";
	default: return X509_verify_cert_error_string(err);
	}
}

static bool is_unknown_issuer(int err)
{
	return err == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
	       err == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT || err == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
	       err == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN;
}

/* The same check once more, with what the store knows now: a context checks only once. */
static bool verify_again(X509_STORE_CTX *first, const struct tls *t, SSL *ssl)
{
	X509_STORE_CTX *c = X509_STORE_CTX_new();
	bool ok = c &&
		  X509_STORE_CTX_init(c, SSL_CTX_get_cert_store(t->ctx), X509_STORE_CTX_get0_cert(first),
			  X509_STORE_CTX_get0_untrusted(first)) == 1 &&
		  X509_STORE_CTX_set_default(c, "ssl_server") == 1 &&
		  X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(c), SSL_get0_param(ssl)) == 1;
	ok = ok && X509_verify_cert(c) == 1;
	X509_STORE_CTX_set_error(first, ok  ? X509_V_OK
					: c ? X509_STORE_CTX_get_error(c)
					    : X509_V_ERR_OUT_OF_MEM);
	X509_STORE_CTX_free(c);
	return ok;
}

/* The machine's folder of authorities, by hashed names, is looked into for those that this chain needs. The
 * bundle is read whole, which takes tens of milliseconds: only where the folder was not enough, since some
 * machines have no hashed names. */
static bool verify_pki(X509_STORE_CTX *store, const struct tls *t, SSL *ssl)
{
	if (X509_verify_cert(store) == 1)
		return true;
	if (t->own_authorities || !is_unknown_issuer(X509_STORE_CTX_get_error(store)) ||
		SSL_CTX_set_default_verify_file(t->ctx) != 1)
		return false;
	return verify_again(store, t, ssl);
}

static int verify(X509_STORE_CTX *store, void *arg)
{
	const struct tls *t = arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_check *check = ssl ? SSL_get_app_data(ssl) : NULL;
	const char *fault = NULL;

	if (t->trust == TRUST_ANY)
		return 1;
	if (!check)
		return 0;
	if (t->trust == TRUST_PIN)
		fault = pin_fault(t, X509_STORE_CTX_get0_cert(store), X509_STORE_CTX_get0_untrusted(store),
			check->host);
	else if (check->n_pins && (fault = key_fault(check, X509_STORE_CTX_get0_cert(store))))
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	else if (!check->pins_alone && !verify_pki(store, t, ssl))
		fault = trust_fault(store);
	if (!fault)
		return 1;
	if (t->trust == TRUST_PIN) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		snprintf(check->why, sizeof(check->why), "%s %s", check->host, fault);
	} else {
		snprintf(check->why, sizeof(check->why), "the certificate of %s is not trusted: %s",
			check->host, fault);
	}
	return 0;
}

/* --- settings --- */

static struct tls *settings_new(const SSL_METHOD *method, struct errbuf *eb)
{
	struct tls *t = calloc(1, sizeof(*t));
	if (t)
		*t = (struct tls) { .refs = 1,
			.ctx = SSL_CTX_new_ex(NULL, tls_ciphers_preferred(), method),
			.in = tls_in_method(),
			.out = tls_out_method() };
	if (!t || !t->ctx || !t->in || !t->out) {
		err_say(eb, -ENOMEM, "set up TLS: %s", reason());
		tls_free(t);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(t->ctx, 0);
	tls_ciphers_set(t->ctx, tls_ciphers_aes_is_fast());
	return t;
}

struct tls *tls_client(const char *pin, struct errbuf *eb)
{
	struct tls *t = settings_new(TLS_client_method(), eb);
	if (!t)
		return NULL;
	if (pin && !strcmp(pin, "insecure")) {
		t->trust = TRUST_ANY;
	} else if (pin) {
		size_t skip = sizeof(pin_prefix) - 1;
		t->trust = TRUST_PIN;
		if (strncmp(pin, pin_prefix, skip) != 0 ||
			!hex_decode(pin + skip, strlen(pin + skip), t->pin, HASH)) {
			err_say(eb, ERR_MALFORMED,
				"certificate pin \"%.100s\" is not sha256-raw: and 64 hex digits", pin);
			tls_free(t);
			return NULL;
		}
	} else {
		SSL_CTX_set_default_verify_dir(t->ctx);
	}
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(t->ctx, verify, t);
	return t;
}

struct tls *tls_client_authorities(const char *ca_file, struct errbuf *eb)
{
	struct tls *t = settings_new(TLS_client_method(), eb);
	if (!t)
		return NULL;
	t->own_authorities = true;
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(t->ctx, verify, t);
	ERR_clear_error();
	if (SSL_CTX_load_verify_file(t->ctx, ca_file) == 1)
		return t;
	if (access(ca_file, R_OK) != 0)
		err_set(eb, -errno, "read the authorities in %s", ca_file);
	else
		err_say(eb, ERR_MALFORMED, "%s has no certificates in PEM (%s)", ca_file, reason());
	tls_free(t);
	return NULL;
}

static int bad_file(const char *what, const char *path, struct errbuf *eb)
{
	if (access(path, R_OK) != 0)
		return err_set(eb, -errno, "read %s %s", what, path);
	return err_say(eb, ERR_MALFORMED,
		"%s %s is damaged or not PEM (%s): restore it from a backup; one that was made by this "
		"program is "
		"made anew, with another pin, when certificate and key are both removed",
		what, path, reason());
}

/* A server asks no terminal. */
static int no_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static bool is_mismatch(unsigned long code)
{
	return ERR_GET_LIB(code) == ERR_LIB_X509 && (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
							    ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH);
}

static int load_pair(SSL_CTX *ctx, const char *cert_file, const char *key_file, struct errbuf *eb)
{
	bool asked = false;
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &asked);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
		return bad_file("certificate", cert_file, eb);
	int ok = SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	if (asked)
		return err_say(eb, ERR_UNSUPPORTED,
			"private key %s has a passphrase: give one without (openssl pkey -in %s -out NEW)",
			key_file, key_file);
	if (ok != 1 && is_mismatch(ERR_peek_last_error()))
		return err_say(eb, ERR_MALFORMED, "private key %s does not belong to certificate %s",
			key_file, cert_file);
	return ok == 1 ? 0 : bad_file("private key", key_file, eb);
}

struct tls *tls_server(const char *cert_file, const char *key_file, struct errbuf *eb)
{
	struct tls *t = settings_new(TLS_server_method(), eb);
	if (!t || load_pair(t->ctx, cert_file, key_file, eb) == 0)
		return t;
	tls_free(t);
	return NULL;
}

/* The chain in its order, then the key. Each is read with a passphrase, an empty one: without it OpenSSL asks for one at the
 * terminal, or takes what comes at standard input, for a certificate too. */
static bool take_text(SSL_CTX *ctx, BIO *bio)
{
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, (void *)"");
	bool ok = x && SSL_CTX_use_certificate(ctx, x) == 1;
	X509_free(x);
	while (ok && (x = PEM_read_bio_X509(bio, NULL, NULL, (void *)""))) {
		ok = SSL_CTX_add0_chain_cert(ctx, x) == 1;
		if (!ok)
			X509_free(x);
	}
	ERR_clear_error(); /* the end of the certificates is told as one */
	(void)BIO_reset(bio);
	EVP_PKEY *key = ok ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
	ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1;
	EVP_PKEY_free(key);
	return ok;
}

struct tls *tls_server_text(const char *pem, size_t len, struct errbuf *eb)
{
	struct tls *t = settings_new(TLS_server_method(), eb);
	BIO *bio = t ? BIO_new_mem_buf(pem, (int)len) : NULL;
	bool ok = bio && take_text(t->ctx, bio);
	BIO_free(bio);
	if (ok || !t)
		return t;
	err_say(eb, ERR_MALFORMED, "certificate and key do not fit together, or are no PEM: %s", reason());
	tls_free(t);
	return NULL;
}

/* The one protocol of the extension's list (RFC 7301 3.1), or false. */
static bool asks_alone_for(SSL *ssl, const char *protocol)
{
	const uint8_t *p;
	size_t n, want = strlen(protocol);
	return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &n) ==
		       1 &&
	       n == want + 3 && p[2] == want && memcmp(p + 3, protocol, want) == 0;
}

static int alpn_hello(SSL *ssl, int *alert, void *arg)
{
	const struct tls *t = arg;
	(void)alert;
	if (t->alpn && asks_alone_for(ssl, t->alpn))
		SSL_set_SSL_CTX(ssl, t->alpn_with->ctx);
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int alpn_select(
	SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len, void *arg)
{
	(void)ssl;
	(void)arg;
	if (in_len < 2 || in[0] + 1U != in_len)
		return SSL_TLSEXT_ERR_NOACK;
	*out = in + 1;
	*out_len = in[0];
	return SSL_TLSEXT_ERR_OK;
}

void tls_server_alpn(struct tls *t, const char *protocol, struct tls *with)
{
	tls_free(t->alpn_with);
	t->alpn = with ? protocol : NULL;
	t->alpn_with = with ? tls_get(with) : NULL;
	if (with) /* it meets nobody else, and speaks what was asked for */
		SSL_CTX_set_alpn_select_cb(with->ctx, alpn_select, NULL);
	SSL_CTX_set_client_hello_cb(t->ctx, with ? alpn_hello : NULL, t);
}

static int protocol_select(
	SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len, void *arg)
{
	const char *protocol = arg;
	size_t want = strlen(protocol);
	(void)ssl;
	for (unsigned at = 0; at < in_len && in[at] < in_len - at; at += 1U + in[at])
		if (in[at] == want && memcmp(in + at + 1, protocol, want) == 0) {
			*out = in + at + 1;
			*out_len = in[at];
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void tls_server_speaks(struct tls *t, const char *protocol)
{
	SSL_CTX_set_alpn_select_cb(t->ctx, protocol_select, (void *)protocol);
}

struct tls *tls_get(struct tls *t)
{
	t->refs++;
	return t;
}

void tls_free(struct tls *t)
{
	if (!t || --t->refs)
		return;
	tls_free(t->alpn_with);
	SSL_CTX_free(t->ctx);
	BIO_meth_free(t->in);
	BIO_meth_free(t->out);
	free(t);
}

SSL *tls_session_new(struct tls *t, int fd, struct tls_check *check)
{
	struct addr a;
	SSL *ssl = SSL_new(t->ctx);
	if (!ssl || !tls_in_set(ssl, t->in, fd) || !tls_out_set(ssl, t->out, fd)) {
		SSL_free(ssl);
		return NULL;
	}
	if (!check) {
		SSL_set_accept_state(ssl);
		return ssl;
	}
	SSL_set_app_data(ssl, check);
	SSL_set_connect_state(ssl);
	size_t n_alpn = strlen(check->alpn);
	if (n_alpn) {
		uint8_t list[1 + TLS_ALPN_TEXT] = { (uint8_t)n_alpn };
		memcpy(list + 1, check->alpn, n_alpn);
		SSL_set_alpn_protos(ssl, list, (unsigned)(1 + n_alpn));
	}
	if (addr_parse(check->host, &a)) {
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), check->host);
	} else {
		SSL_set_tlsext_host_name(ssl, check->host);
		SSL_set1_host(ssl, check->host);
	}
	return ssl;
}

bool tls_session_agreed(const SSL *ssl, struct tls_check *check)
{
	const uint8_t *p;
	unsigned n;
	SSL_get0_alpn_selected(ssl, &p, &n);
	if (!check->alpn[0] || (n == strlen(check->alpn) && memcmp(p, check->alpn, n) == 0))
		return true;
	snprintf(check->why, sizeof(check->why), "%s does not speak %s there", check->host, check->alpn);
	return false;
}

/* Only now: who has cut a handshake short holds the buffer for as long as we wait for the rest. */
void tls_session_opened(SSL *ssl)
{
	tls_in_ahead(ssl);
}

bool tls_session_metacert(const SSL *ssl, uint8_t out[static 32])
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	for (int i = 1; i < sk_X509_num(chain); i++)
		if (metacert_key(sk_X509_value(chain, i), out))
			return true;
	return false;
}

/* --- making certificates --- */

static bool set_validity(X509 *x, long from_days, long to_days)
{
	return X509_gmtime_adj(X509_getm_notBefore(x), from_days * 86400L) &&
	       X509_gmtime_adj(X509_getm_notAfter(x), to_days * 86400L);
}

static bool set_name(X509 *x, const char *cn)
{
	X509_NAME *name = X509_get_subject_name(x);
	/* The raw type, not MBSTRING_UTF8: a metacert's name is longer than the 64 characters OpenSSL would
	 * allow. */
	return X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING, (const uint8_t *)cn, -1, -1, 0) &&
	       X509_set_issuer_name(x, name);
}

static bool add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = ext && X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	return ok;
}

static X509 *metacert_new(const uint8_t derp_public[static 32])
{
	char name[sizeof(metacert_prefix) + 2 * KEY_LEN];
	memcpy(name, metacert_prefix, sizeof(metacert_prefix));
	hex_encode(derp_public, KEY_LEN, name + sizeof(metacert_prefix) - 1);
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *x = X509_new();
	bool ok = key && x && X509_set_version(x, X509_VERSION_3) &&
		  ASN1_INTEGER_set(X509_get_serialNumber(x), METACERT_VERSION) &&
		  set_validity(x, -METACERT_DAYS, METACERT_DAYS) && set_name(x, name) &&
		  X509_set_pubkey(x, key) && add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
		  X509_sign(x, key, NULL);
	EVP_PKEY_free(key);
	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

int tls_server_metacert(struct tls *t, const uint8_t derp_public[static 32], struct errbuf *eb)
{
	X509 *x = metacert_new(derp_public);
	if (!x || SSL_CTX_add0_chain_cert(t->ctx, x) != 1) {
		int err = err_say(eb, ERR_CRYPTO, "make the relay's metacert: %s", reason());
		X509_free(x);
		return err;
	}
	return 0;
}

static bool set_hosts(X509 *x, const char *const *hosts, size_t n)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	bool ok = names;
	for (size_t i = 0; ok && i < n; i++) {
		struct addr a;
		GENERAL_NAME *g = a2i_GENERAL_NAME(
			NULL, NULL, NULL, addr_parse(hosts[i], &a) ? GEN_IPADD : GEN_DNS, hosts[i], 0);
		ok = g && sk_GENERAL_NAME_push(names, g);
		if (!ok)
			GENERAL_NAME_free(g);
	}
	ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1;
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	return ok;
}

static X509 *self_signed_new(EVP_PKEY *key, const char *const *hosts, size_t n)
{
	uint8_t serial[8];
	X509 *x = X509_new();
	random_system.fill(NULL, serial, sizeof(serial));
	uint64_t number = 0;
	memcpy(&number, serial, sizeof(number));
	bool ok = x && X509_set_version(x, X509_VERSION_3) &&
		  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), number >> 1 | 1) &&
		  set_validity(x, -1, SELF_SIGNED_DAYS) && set_name(x, n ? hosts[0] : "localhost") &&
		  X509_set_pubkey(x, key) && set_hosts(x, hosts, n) &&
		  add_extension(x, NID_key_usage, "critical,digitalSignature") &&
		  add_extension(x, NID_ext_key_usage, "serverAuth") && X509_sign(x, key, EVP_sha256());
	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

static int write_pem(const char *path, mode_t mode, BIO *bio, struct errbuf *eb)
{
	char *text = NULL;
	long len = BIO_get_mem_data(bio, &text);
	return file_write_atomic(path, mode, text, (size_t)len, eb);
}

/* The key first: a certificate without its key would be taken for a finished pair. */
static int write_pair(const char *cert_file, const char *key_file, X509 *x, EVP_PKEY *key, struct errbuf *eb)
{
	BIO *key_bio = BIO_new(BIO_s_secmem()), *cert_bio = BIO_new(BIO_s_mem());
	int err = -ENOMEM;
	if (key_bio && cert_bio && PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) &&
		PEM_write_bio_X509(cert_bio, x)) {
		err = write_pem(key_file, 0600, key_bio, eb);
		if (!err)
			err = write_pem(cert_file, 0644, cert_bio, eb);
	} else {
		err_say(eb, err, "write certificate %s: %s", cert_file, reason());
	}
	BIO_free(key_bio);
	BIO_free(cert_bio);
	return err;
}

int tls_self_signed(
	const char *cert_file, const char *key_file, const char *const *hosts, size_t n, struct errbuf *eb)
{
	if (access(cert_file, F_OK) == 0)
		return access(key_file, F_OK) == 0 ? 0
						   : err_say(eb, -ENOENT,
							     "certificate %s is there, but its private key "
							     "%s is missing: restore it "
							     "from a backup, or remove the certificate as "
							     "well, and both are made "
							     "anew with another pin",
							     cert_file, key_file);
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *x = key ? self_signed_new(key, hosts, n) : NULL;
	int err = x ? write_pair(cert_file, key_file, x, key, eb)
		    : err_say(eb, ERR_CRYPTO, "make certificate %s: %s", cert_file, reason());
	X509_free(x);
	EVP_PKEY_free(key);
	return err;
}

static X509 *read_certificate(const char *cert_file, struct errbuf *eb)
{
	FILE *f = fopen(cert_file, "re");
	if (!f) {
		err_set(eb, -errno, "open %s", cert_file);
		return NULL;
	}
	X509 *x = PEM_read_X509(f, NULL, NULL, (void *)"");
	fclose(f);
	if (!x)
		err_say(eb, ERR_MALFORMED, "%s holds no PEM certificate", cert_file);
	return x;
}

int tls_pin_of(const char *cert_file, char out[static 80], struct errbuf *eb)
{
	uint8_t hash[HASH];
	X509 *x = read_certificate(cert_file, eb);
	bool ok = x && cert_hash(x, hash);
	X509_free(x);
	if (!x)
		return eb ? eb->code : ERR_MALFORMED;
	if (!ok)
		return err_say(eb, ERR_CRYPTO, "hash %s: %s", cert_file, reason());
	memcpy(out, pin_prefix, sizeof(pin_prefix));
	hex_encode(hash, HASH, out + sizeof(pin_prefix) - 1);
	return 0;
}

static bool unix_ms(const ASN1_TIME *at, int64_t *out)
{
	struct tm tm;
	if (ASN1_TIME_to_tm(at, &tm) != 1)
		return false;
	*out = (int64_t)timegm(&tm) * 1000;
	return true;
}

int tls_cert_dates(const char *cert_file, int64_t *from_ms, int64_t *until_ms, struct errbuf *eb)
{
	X509 *x = read_certificate(cert_file, eb);
	if (!x)
		return eb ? eb->code : ERR_MALFORMED;
	bool ok = unix_ms(X509_get0_notBefore(x), from_ms) && unix_ms(X509_get0_notAfter(x), until_ms);
	X509_free(x);
	return ok ? 0 : err_say(eb, ERR_MALFORMED, "certificate %s has no dates", cert_file);
}

int tls_cert_fault(const char *cert_file, const char *host, struct errbuf *eb)
{
	X509 *x = read_certificate(cert_file, eb);
	int err = x ? 0 : ERR_MALFORMED;
	if (x && X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
		err = err_say(eb, ERR_REFUSED,
			"certificate %s is past its last day: clients refuse it until a new one is there",
			cert_file);
	else if (x && X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
		err = err_say(eb, ERR_REFUSED,
			"certificate %s is not good yet, and clients refuse it; is this machine's clock "
			"right?",
			cert_file);
	else if (x && host && !host_matches(x, host))
		err = err_say(eb, ERR_REFUSED,
			"certificate %s is not for %s: clients that come by this name refuse it", cert_file,
			host);
	X509_free(x);
	return err;
}
