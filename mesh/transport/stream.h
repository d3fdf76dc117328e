/* Asynchronous byte streams over TCP, TLS and unix sockets, on one loop. Opaque services: open, then events.
 */
#ifndef RW_TRANSPORT_STREAM_H
#define RW_TRANSPORT_STREAM_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;
enum { STREAM_REST_MAX = 66 << 10, STREAM_READ_SIZE = 64 << 10 };
struct stream_events {
	void (*opened)(void *arg);			       /* connected, TLS done; may be NULL */
	void (*data)(void *arg, const uint8_t *p, size_t len); /* p valid during the call */
	/* Instead of data(), for frames that may come cut: returns how many bytes it has used, and is given the rest
	 * again with what follows it. STREAM_REST_MAX of rest at most: who wants more ends the stream. What p holds may
	 * be changed. It calls no stream_unread. len is STREAM_READ_SIZE at most, rest included, unless the rest is more than half
	 * of that. */
	size_t (*frames)(void *arg, uint8_t *p, size_t len);
	/* What came by this turn of the loop was handed over, by as many calls as it took; not where the stream ended or the owner
	 * stopped reading. May be NULL. */
	void (*rested)(void *arg);
	void (*drained)(void *arg); /* the write queue, having had to wait, became empty; may be NULL */
	/* Last event, once; code 0 = orderly end by the other side. The stream must still be stream_close()d.
	 */
	void (*closed)(void *arg, int code, const char *why);
	void *arg;
};

/* TLS settings shared by many streams; counted inside by the streams that use them. */
struct tls;
/* pin: NULL = public PKI (system roots); "sha256-raw:<hex>" = the leaf's DER hash and SAN must
 * match; "insecure" = no verification (InsecureForTests). */
struct tls *tls_client(const char *pin, struct errbuf *eb);
/* PEM files. tls_server_metacert appends the DERP metacert (tailscale-protocol.md 2.1) to the chain sent. */
struct tls *tls_server(const char *cert_file, const char *key_file, struct errbuf *eb);
int tls_server_metacert(struct tls *t, const uint8_t derp_public[static 32], struct errbuf *eb);
/* The authorities of a PEM file, and no others. */
struct tls *tls_client_authorities(const char *ca_file, struct errbuf *eb);
/* The same from one PEM text: the chain, then the key. */
struct tls *tls_server_text(const char *pem, size_t len, struct errbuf *eb);
/* Connections that ask for this ALPN protocol (borrowed) and no other meet the certificate of `with` instead,
 * and are told that it is spoken; with NULL: no more. For TLS-ALPN-01, RFC 8737. */
void tls_server_alpn(struct tls *t, const char *protocol, struct tls *with);
/* Speaks this protocol (ALPN; borrowed) with those who offer it; who offers others alone is turned away. */
void tls_server_speaks(struct tls *t, const char *protocol);
void tls_free(struct tls *t);
/* Makes a self-signed P-256 certificate for hosts[] (names or IP literals) unless it exists; the key is 0600.
 * A certificate whose key is gone is an error: a new pin is not to come unasked. */
int tls_self_signed(
	const char *cert_file, const char *key_file, const char *const *hosts, size_t n, struct errbuf *eb);
/* "sha256-raw:<64 hex>" of the first certificate in a PEM file, into out[80]. */
int tls_pin_of(const char *cert_file, char out[static 80], struct errbuf *eb);
/* From when to when it is good, Unix milliseconds. */
int tls_cert_dates(const char *cert_file, int64_t *from_ms, int64_t *until_ms, struct errbuf *eb);
/* 0, or with a sentence why clients will refuse it: dates, or, unless host is NULL, its names. */
int tls_cert_fault(const char *cert_file, const char *host, struct errbuf *eb);
/* How many certificates a PEM file has, 16 at most, and whether authorities that this machine knows signed the first;
 * dates do not count. Reads the machine's bundle, which takes tens of milliseconds. */
struct tls_cert_signer {
	size_t n;
	bool is_known;
};
int tls_cert_signer(const char *cert_file, struct tls_cert_signer *out, struct errbuf *eb);

/* What a server has to show beyond what its struct tls asks for. Copied by stream_connect. */
enum { TLS_PINS_MAX = 4, TLS_ALPN_TEXT = 16 };
struct tls_expect {
	const char *alpn; /* this protocol has to be agreed on (RFC 7301), at most 15 letters; NULL = none */
	/* SHA-256 of public keys (SubjectPublicKeyInfo, RFC 7858 4.2) of which the server's has to be one; none:
	 * any. */
	const uint8_t (*pins)[32];
	size_t n_pins;	 /* at most TLS_PINS_MAX */
	bool pins_alone; /* neither authorities, dates nor names count */
};

struct proxies; /* proxy.h */
struct stream_target {
	const char *host; /* name or literal; resolved by the system's resolver off the loop thread */
	uint16_t port;
	const struct endpoint
		*at; /* given: connect here, `host` is only SNI and the name to verify; may be NULL */
	const struct endpoint *then;	 /* and there, where `at` does not answer soon; may be NULL */
	struct tls *tls;		 /* NULL = plain TCP */
	const struct tls_expect *expect; /* NULL = nothing more */
	/* By which proxies, borrowed for as long as the loop; they are told `host`, unless it is empty, and not `at`.
	 * NULL = directly. */
	const struct proxies *proxies;
	uint64_t timeout_ms;			/* connect + proxy + TLS; 0 = 10 s */
	void (*socket_hook)(void *arg, int fd); /* before connect (marks); may be NULL */
	void *socket_arg;
};
/* Errors after this call come by closed(). NULL only when memory is short. Strings are copied. */
struct stream *stream_connect(struct loop *l, const struct stream_target *to, const struct stream_events *ev);
/* The same on a socket of the caller's that connects to `at`, which must be given, already: it is taken over, and
 * closed when this gives NULL. Where `proxies` lead to `host` by one, `at` is the proxy's. */
struct stream *stream_connect_socket(
	struct loop *l, int fd, const struct stream_target *to, const struct stream_events *ev);
struct stream *stream_connect_unix(struct loop *l, const char *path, const struct stream_events *ev);
/* Takes over an accepted fd, and closes it when it gives NULL (memory is short); tls NULL = plain. opened()
 * comes after the TLS handshake. */
struct stream *stream_accept(struct loop *l, int fd, struct tls *tls, const struct stream_events *ev);
void stream_events_set(
	struct stream *s, const struct stream_events *ev); /* hand a connection to another layer */

/* Sends at once what the socket takes and queues the rest; 0, ERR_TOO_LARGE when the queue would pass its cap
 * (nothing queued), or ERR_CLOSED. */
int stream_write(struct stream *s, const void *p, size_t len);
bool stream_is_open(const struct stream *s);
/* Puts bytes back in front: data() gets them from the loop, before any others. For the layer that read too
 * far. */
void stream_unread(struct stream *s, const void *p, size_t len);
size_t stream_queued(const struct stream *s);
void stream_queue_cap(struct stream *s, size_t cap); /* default 4 MiB */
/* What waits to go out, or to be heard, is zeroed when it has; not so at first: it costs what is passed on. */
void stream_secret(struct stream *s, bool secret);
void stream_pause(struct stream *s, bool paused); /* stops data() */
bool stream_is_tls13(const struct stream *s);
/* DER of the peer's leaf is not kept; the DERP key from its metacert is: false when there was none. */
bool stream_metacert_key(const struct stream *s, uint8_t out[static 32]);
int stream_fd(const struct stream *s);
bool stream_peer(const struct stream *s, struct endpoint *out);
/* The socket of an open plain stream with nothing queued, which is freed: the caller closes it. -1: not so, and
 * the stream is freed all the same. */
int stream_take(struct stream *s);
/* Frees now, no more events; flush: what is queued is still sent, for up to 2 s (loop_free waits for it).
 * NULL is fine. */
void stream_close(struct stream *s, bool flush);

#endif
