/* What the settings ask of a provider and of who comes from it, and what is known of the large providers. */
#ifndef RW_OIDC_RULES_H
#define RW_OIDC_RULES_H

#include "mesh/oidc/documents.h"

struct oidc_texts {
	const char **v;
	size_t n;
};
/* One more parameter of the first request. */
struct oidc_extra {
	const char *name, *value;
};
/* Of one provider; borrowed by all that work with it. "" where a text is not set. */
struct oidc_settings {
	const char *name; /* on the button */
	const char *issuer, *client, *secret;
	const char *scope; /* words, "openid ..." */
	const char *groups_claim;
	const char *groups_domain; /* "group:NAME@" this, in rules; "": they cannot name its groups */
	struct oidc_extra *extra;
	size_t n_extra;
	struct oidc_texts domains, users, groups; /* who may come; an empty list asks nothing */
	bool verified_email; /* an address counts only when the provider says that it is the person's */
	bool token_expiry;   /* the machine's key ends with the ID token */
	uint64_t expiry_ms;  /* or after that; 0 = as the other machines' */
	bool must_answer;    /* without it the server does not start */
};

enum { OIDC_RANDOM = 44 /* 32 random bytes in base64url, with the NUL */ };
/* What one login is told by; all three are secrets of this server, but that the browser sees state and nonce. */
struct oidc_attempt {
	char state[OIDC_RANDOM], nonce[OIDC_RANDOM], verifier[OIDC_RANDOM];
};

/* Whether who has logged in may have machines here. 0, or a code with the sentence that the person is shown. */
int oidc_may_enter(const struct oidc_settings *s, const struct oidc_claims *c, struct errbuf *eb);
/* The address that stands for the person, or "": none, or nobody vouches for it. */
const char *oidc_email_of(const struct oidc_settings *s, const struct oidc_claims *c);

/* What is different at a provider that many use, found by its issuer. */
struct oidc_quirk {
	const char *issuer;	 /* how it begins */
	const char *name;	 /* on the button */
	const char *also_issuer; /* its ID tokens may say this instead; NULL = never */
	const char *refused;	 /* no provider of ours: what the issuer must be instead; NULL = it is one */
	const char *no_email;	 /* what to do where it vouches for no address; NULL = nothing known */
	const char *no_groups;	 /* what to do where it says no groups */
};
const struct oidc_quirk *oidc_quirk_of(const char *issuer); /* NULL: none known */
/* A parameter that the flow has by itself: nothing extra may be called so. */
bool oidc_is_own_parameter(const char *name);

#endif
