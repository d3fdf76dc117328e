/* What a provider says of itself and of a login, besides the ID token: the discovery document (OpenID Connect
 * Discovery 1.0, 3), the answer of its token endpoint (RFC 6749 5), its userinfo (OpenID Connect Core 5.3). All of it
 * comes over TLS from whom the settings name, and is still read whole or not at all, within bounds: *out stays as it
 * was when it is refused. */
#ifndef RW_OIDC_DOCUMENTS_H
#define RW_OIDC_DOCUMENTS_H

#include "mesh/base/arena.h"
#include "mesh/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t;

enum {
	OIDC_DOCUMENT_MAX = 256 * 1024, /* bytes of any of these texts */
	OIDC_URL_MAX = 1024,
	OIDC_TEXT_MAX = 255, /* of a claim: issuer, subject, name, one group */
	OIDC_TOKEN_MAX = 32 * 1024,
	OIDC_GROUPS_MAX = 512
};

/* Texts are of the arena. */
struct oidc_discovery {
	const char *issuer, *authorization, *token, *keys;
	const char *userinfo; /* "" = none */
	bool secret_in_body;  /* the secret goes into the form: the provider takes no basic authentication */
	bool says_issuer_in_reply; /* RFC 9207: an answer without `iss` is none of its */
};
/* issuer: as the settings have it, which the document must repeat (Discovery 4.3). Its URLs are https, unless the
 * issuer itself is http. */
int oidc_discovery_read(struct arena *a, const char *text, size_t len, const char *issuer,
	struct oidc_discovery *out, struct errbuf *eb);

struct oidc_tokens {
	const char *id_token, *access_token; /* access: "" = none */
};
int oidc_tokens_read(
	struct arena *a, const char *text, size_t len, struct oidc_tokens *out, struct errbuf *eb);
/* What a token endpoint says when it refuses, made fit for a log: "invalid_grant: ..."; out[cap]. */
void oidc_refusal_read(const char *text, size_t len, char *out, size_t cap);

/* What is known of a person, from the ID token and, where it lacks something, from userinfo. */
struct oidc_claims {
	const char *issuer, *subject;
	const char *email, *name, *preferred; /* "" = not said */
	bool email_verified;		      /* said so, true */
	bool has_verified, has_groups;
	const char **groups;
	size_t n_groups;
	int64_t expires_ms; /* of the ID token, Unix */
};
/* The members that both sources have. object: a JSON object; groups_claim: the name of the member that has the groups. A
 * member of the wrong kind refuses the whole. */
int oidc_claims_take(struct arena *a, const struct json_t *object, const char *groups_claim,
	struct oidc_claims *out, struct errbuf *eb);
/* Userinfo into what the ID token left open; it must be of the same subject. */
int oidc_userinfo_read(struct arena *a, const char *text, size_t len, const char *groups_claim,
	struct oidc_claims *claims, struct errbuf *eb);

/* JSON from a provider, within bounds; NULL with a sentence that begins with `what`. json_decref it. */
struct json_t *oidc_json_open(const char *text, size_t len, const char *what, struct errbuf *eb);

#endif
