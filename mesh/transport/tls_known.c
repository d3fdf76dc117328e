/* Who signed what a server shows, as far as this machine knows. */
#include "mesh/transport/stream.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

enum { CHAIN_MAX = 16 };

/* A file of certificates has none; without this OpenSSL asks at a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

static STACK_OF(X509) * read_chain(const char *cert_file)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	BIO *from = BIO_new_file(cert_file, "r");
	X509 *x;
	while (chain && from && sk_X509_num(chain) < CHAIN_MAX &&
		(x = PEM_read_bio_X509(from, NULL, no_passphrase, NULL)))
		if (!sk_X509_push(chain, x))
			X509_free(x);
	BIO_free(from);
	ERR_clear_error(); /* the end of the file is one */
	return chain;
}

static bool leads_to_known(STACK_OF(X509) * chain)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *c = X509_STORE_CTX_new();
	bool ok = store && c && X509_STORE_set_default_paths(store) == 1 &&
		  X509_STORE_CTX_init(c, store, sk_X509_value(chain, 0), chain) == 1 &&
		  X509_STORE_CTX_set_default(c, "ssl_server") == 1;
	if (ok)
		X509_STORE_CTX_set_flags(c, X509_V_FLAG_NO_CHECK_TIME);
	ok = ok && X509_verify_cert(c) == 1;
	X509_STORE_CTX_free(c);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

int tls_cert_signer(const char *cert_file, struct tls_cert_signer *out, struct errbuf *eb)
{
	STACK_OF(X509) *chain = read_chain(cert_file);
	int n = chain ? sk_X509_num(chain) : 0;
	*out = (struct tls_cert_signer) { .n = (size_t)n, .is_known = n && leads_to_known(chain) };
	sk_X509_pop_free(chain, X509_free);
	return n ? 0 : err_say(eb, ERR_MALFORMED, "%s holds no PEM certificate", cert_file);
}
