#include "mesh/oidc/documents.h"

#include "mesh/base/text.h"
#include "mesh/proto/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct json_caps caps = {
	.bytes = OIDC_DOCUMENT_MAX, .containers = 4096, .depth = 16, .string = OIDC_TOKEN_MAX
};

json_t *oidc_json_open(const char *text, size_t len, const char *what, struct errbuf *eb)
{
	struct errbuf why = { 0 };
	json_t *doc = json_open(text, len, &caps, &why);
	if (!doc) {
		err_say(eb, why.code, "%s: %s", what, why.text);
	} else if (!json_is_object(doc)) {
		err_say(eb, ERR_MALFORMED, "%s is no JSON object", what);
		json_decref(doc);
		doc = NULL;
	}
	return doc;
}

/* A text of at most `most` bytes without control characters; "" where it is absent or null. false: another kind. */
static bool take_text(struct arena *a, const json_t *object, const char *name, size_t most, const char **out)
{
	const json_t *v = json_object_get(object, name);
	*out = "";
	if (!v || json_is_null(v))
		return true;
	const char *text = json_string_value(v);
	size_t len = text ? json_string_length(v) : 0;
	if (!text || len > most || strlen(text) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	*out = arena_strndup(a, text, len);
	return *out;
}

/* --- discovery --- */

static bool is_url(const char *text, bool plain)
{
	return (!strncmp(text, "https://", 8) && text[8]) ||
	       (plain && !strncmp(text, "http://", 7) && text[7]);
}

/* Whether a list of the document has this word; one that is absent has the word `without`. */
static bool lists(const json_t *doc, const char *name, const char *word, const char *without)
{
	const json_t *list = json_object_get(doc, name);
	if (!json_is_array(list))
		return !strcmp(word, without);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (text && !strcmp(text, word))
			return true;
	}
	return false;
}

static int read_urls(
	struct arena *a, const json_t *doc, bool plain, struct oidc_discovery *d, struct errbuf *eb)
{
	const struct {
		const char *name, **to;
		bool optional;
	} rows[] = { { "authorization_endpoint", &d->authorization, false },
		{ "token_endpoint", &d->token, false }, { "jwks_uri", &d->keys, false },
		{ "userinfo_endpoint", &d->userinfo, true } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!take_text(a, doc, rows[i].name, OIDC_URL_MAX, rows[i].to) ||
			(**rows[i].to ? !is_url(*rows[i].to, plain) : !rows[i].optional))
			return err_say(
				eb, ERR_MALFORMED, "the discovery document has no good %s", rows[i].name);
	}
	return 0;
}

int oidc_discovery_read(struct arena *a, const char *text, size_t len, const char *issuer,
	struct oidc_discovery *out, struct errbuf *eb)
{
	struct oidc_discovery d = { 0 };
	json_t *doc = oidc_json_open(text, len, "the discovery document", eb);
	if (!doc)
		return ERR_MALFORMED;
	int err = 0;
	if (!take_text(a, doc, "issuer", OIDC_TEXT_MAX, &d.issuer) || strcmp(d.issuer, issuer) != 0)
		err = err_say(eb, ERR_MALFORMED,
			"the discovery document is of the issuer \"%.255s\": write the issuer exactly so, if "
			"it is yours",
			d.issuer ? d.issuer : "");
	else
		err = read_urls(a, doc, !strncmp(issuer, "http://", 7), &d, eb);
	if (!err && !lists(doc, "response_types_supported", "code", "code"))
		err = err_say(eb, ERR_UNSUPPORTED, "the provider does not know the flow by a code");
	d.secret_in_body = !lists(doc, "token_endpoint_auth_methods_supported", "client_secret_basic",
				   "client_secret_basic") &&
			   lists(doc, "token_endpoint_auth_methods_supported", "client_secret_post", "");
	d.says_issuer_in_reply =
		json_is_true(json_object_get(doc, "authorization_response_iss_parameter_supported"));
	json_decref(doc);
	if (!err && a->failed)
		err = err_set(eb, -ENOMEM, "read the discovery document");
	if (!err)
		*out = d;
	return err;
}

/* --- the token endpoint --- */

int oidc_tokens_read(
	struct arena *a, const char *text, size_t len, struct oidc_tokens *out, struct errbuf *eb)
{
	struct oidc_tokens t = { 0 };
	json_t *doc = oidc_json_open(text, len, "the answer of the token endpoint", eb);
	if (!doc)
		return ERR_MALFORMED;
	bool good = take_text(a, doc, "id_token", OIDC_TOKEN_MAX, &t.id_token) &&
		    take_text(a, doc, "access_token", OIDC_TOKEN_MAX, &t.access_token) && *t.id_token;
	json_decref(doc);
	if (a->failed)
		return err_set(eb, -ENOMEM, "read the answer of the token endpoint");
	if (!good)
		return err_say(eb, ERR_MALFORMED,
			"the answer of the token endpoint has no ID token: the scopes must have `openid`");
	*out = t;
	return 0;
}

void oidc_refusal_read(const char *text, size_t len, char *out, size_t cap)
{
	json_t *doc = oidc_json_open(text, len, "refusal", NULL);
	const char *error = json_string_value(json_object_get(doc, "error"));
	const char *more = json_string_value(json_object_get(doc, "error_description"));
	snprintf(out, cap, "%.64s%s%.160s", error ? error : "no reason given", more ? ": " : "",
		more ? more : "");
	text_clean(out);
	json_decref(doc);
}

/* --- claims --- */

/* Some providers write it as text. */
static bool take_verified(const json_t *object, struct oidc_claims *out)
{
	const json_t *v = json_object_get(object, "email_verified");
	const char *text = json_string_value(v);
	if (!v || json_is_null(v))
		return true;
	out->has_verified = true;
	out->email_verified = json_is_true(v) || (text && !strcmp(text, "true"));
	return json_is_boolean(v) || (text && (out->email_verified || !strcmp(text, "false")));
}

/* A list of texts, or one text. */
static bool take_groups(struct arena *a, const json_t *object, const char *name, struct oidc_claims *out)
{
	const json_t *v = json_object_get(object, name);
	bool one = json_is_string(v);
	size_t n = one ? 1 : json_array_size(v);
	if (!v || json_is_null(v))
		return true;
	if ((!one && !json_is_array(v)) || n > OIDC_GROUPS_MAX)
		return false;
	out->groups = arena_array(a, n, sizeof(*out->groups));
	if (!out->groups)
		return false;
	for (size_t i = 0; i < n; i++) {
		const json_t *g = one ? v : json_array_get(v, i);
		const char *text = json_string_value(g);
		if (!text || strlen(text) > OIDC_TEXT_MAX || strlen(text) != json_string_length(g))
			return false;
		out->groups[out->n_groups++] = arena_strdup(a, text);
	}
	out->has_groups = true;
	return !a->failed;
}

int oidc_claims_take(struct arena *a, const json_t *object, const char *groups_claim, struct oidc_claims *out,
	struct errbuf *eb)
{
	struct oidc_claims c = *out;
	const struct {
		const char *name, **to;
	} rows[] = { { "sub", &c.subject }, { "email", &c.email }, { "name", &c.name },
		{ "preferred_username", &c.preferred } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!take_text(a, object, rows[i].name, OIDC_TEXT_MAX, rows[i].to))
			return err_say(eb, ERR_MALFORMED, "its claim %s is no text, or longer than %d",
				rows[i].name, OIDC_TEXT_MAX);
	if (!*c.subject)
		return err_say(eb, ERR_MALFORMED, "it does not say whose it is (sub)");
	if (!take_verified(object, &c))
		return err_say(eb, ERR_MALFORMED, "its claim email_verified is neither true nor false");
	if (!take_groups(a, object, groups_claim, &c))
		return err_say(eb, ERR_MALFORMED, "its claim %.64s is no list of groups, or has more than %d",
			groups_claim, OIDC_GROUPS_MAX);
	if (a->failed)
		return err_set(eb, -ENOMEM, "read the claims");
	*out = c;
	return 0;
}

int oidc_userinfo_read(struct arena *a, const char *text, size_t len, const char *groups_claim,
	struct oidc_claims *claims, struct errbuf *eb)
{
	struct oidc_claims more = { 0 };
	json_t *doc = oidc_json_open(text, len, "userinfo", eb);
	if (!doc)
		return ERR_MALFORMED;
	struct errbuf why = { 0 };
	int err = oidc_claims_take(a, doc, groups_claim, &more, &why);
	json_decref(doc);
	if (err)
		return err_say(eb, err, "userinfo: %s", why.text);
	if (strcmp(more.subject, claims->subject) != 0)
		return err_say(eb, ERR_CRYPTO, "userinfo is of another person than the ID token");
	/* An address and what is said of it are one thing: they come from one source. */
	if (!*claims->email) {
		claims->email = more.email;
		claims->email_verified = more.email_verified;
		claims->has_verified = more.has_verified;
	}
	if (!*claims->name)
		claims->name = more.name;
	if (!*claims->preferred)
		claims->preferred = more.preferred;
	if (!claims->has_groups) {
		claims->groups = more.groups;
		claims->n_groups = more.n_groups;
		claims->has_groups = more.has_groups;
	}
	return 0;
}
