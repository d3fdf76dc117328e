/* TLS's AES-128-GCM by ipsec-mb (base/gcm.h), which seals and opens records of 16 KiB in half of OpenSSL's time and less: an
 * OpenSSL provider that is built in, with this one cipher in it. For programs that carry much; others do not link it. */
#ifndef RW_TRANSPORT_TLS_AES_H
#define RW_TRANSPORT_TLS_AES_H

#include <stdbool.h>

/* Contexts that are made from now on use it. Before threads are there; again is fine. false: it is not to be had, and all
 * stays as it is. */
bool tls_aes_use(void);
/* Who seals AES records here, for people: "ipsec-mb, AVX512", "OpenSSL". */
const char *tls_aes_chosen(void);

#endif
