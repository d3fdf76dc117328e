/* The section `secure`: clients by TLS and HTTPS. */
#include "resolver/conf_reader.h"

#include "resolver/server_options.h"

static int key_tls(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf_secure *s = into;
	return conf_endpoints(r, n, RESOLVER_LISTEN_MAX, DNS_TLS_PORT, &s->tls, &s->n_tls);
}
static int key_https(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf_secure *s = into;
	return conf_endpoints(r, n, RESOLVER_LISTEN_MAX, DNS_HTTPS_PORT, &s->https, &s->n_https);
}
static int key_certificate(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "certificate", &((struct conf_secure *)into)->certificate);
}
static int key_key(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "key", &((struct conf_secure *)into)->key);
}

int conf_secure_key(struct conf_reader *r, yaml_node_t *n, void *into)
{
	static const struct conf_key keys[] = { { "tls", key_tls }, { "https", key_https },
		{ "certificate", key_certificate }, { "key", key_key }, { 0 } };
	struct conf_secure *s = &((struct conf *)into)->secure;
	int err = conf_keys(r, n, keys, s);
	if (!err && !s->n_tls && !s->n_https)
		err = conf_bad(
			r, n, "secure: \"tls\" or \"https\" is missing: say at which addresses to answer");
	if (!err && (!s->certificate || !s->key))
		err = conf_bad(r, n, "secure: \"certificate\" and \"key\" have to name PEM files");
	return err;
}
