/* A name server that is spoken to in private: DNS over TLS (RFC 7858, 8310) or over HTTPS (RFC 8484), as it is
 * written in settings.
 *
 *     tls://9.9.9.9#dns.quad9.net            an address, and the name that its certificate has to bear
 *     tls://9.9.9.9                          the certificate has to bear the address
 *     tls://dns.example:8853                 a name; its addresses are told apart
 *     https://dns.example/dns-query          the same
 *     https://[2620:fe::fe]/dns-query
 */
#ifndef RW_BASE_DNS_SECURE_H
#define RW_BASE_DNS_SECURE_H

#include "mesh/base/addr.h"

/* DNS_SECURE_MESH: over HTTP in the tunnel to a peer of the mesh, which is private already. Never written in settings;
 * shown as http://100.64.0.7:41234/dns-query. */
enum dns_secure_by { DNS_SECURE_TLS, DNS_SECURE_HTTPS, DNS_SECURE_MESH };
enum {
	DNS_SECURE_NAME = 254,
	DNS_SECURE_PATH = 256,
	DNS_SECURE_PINS = 4,
	DNS_SECURE_PIN_TEXT = 45,
	DNS_SECURE_TEXT = 8 + DNS_SECURE_NAME + 2 * ENDPOINT_TEXT + DNS_SECURE_PATH,
	DNS_TLS_PORT = 853,
	DNS_HTTPS_PORT = 443,
};
struct dns_secure {
	enum dns_secure_by by;
	char name[DNS_SECURE_NAME]; /* "" = the certificate is for the address, or, with pins, for anybody */
	char path[DNS_SECURE_PATH]; /* HTTPS and MESH: what is asked for, from its "/" on */
	/* SHA-256 of public keys (SubjectPublicKeyInfo), one of which the server's has to be; none: any */
	uint8_t pins[DNS_SECURE_PINS][32];
	size_t n_pins;
};
/* at: the port always, the address where the text has one, else unspecified. false: it is neither of these, or
 * means nothing; out and at are as they were. */
bool dns_secure_parse(const char *text, struct dns_secure *out, struct endpoint *at);
/* Back, with the address where the server has no name or (TLS) beside it, into buf[DNS_SECURE_TEXT]; returns buf. */
char *dns_secure_format(const struct dns_secure *s, const struct endpoint *at, char *buf);
/* Base64 of 32 bytes, as kdig and Stubby have it, with or without "sha256/" in front. */
bool dns_secure_pin_parse(const char *text, uint8_t out[static 32]);
bool dns_secure_equal(const struct dns_secure *a, const struct dns_secure *b); /* NULL: plain DNS */

#endif
