/* Who asks, when it is a program: a key of an admin, or a token that a client got for its secret.
 *
 * A token is nothing that is kept: "hskey-token-CLIENT-EXPIRY-SCOPES-MAC", where the MAC is of the rest with a key that
 * comes from the server's own. It outlives a restart, costs no memory, and ends with its client. RFC 6749 4.4; the scopes
 * are those of the official service (ecosystem.md 2.1). */
#include "mesh/control/http/api.h"

#include "mesh/base/blake2s.h"
#include "mesh/base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define API_ROOT "/api/"
#define METRICS "/metrics"
#define TOKEN_WORD "hskey-token-"
enum { SHOWN_MAX = 160, TOKEN_LIFE_S = 3600, CLIENT_LEN = 12 };

/* --- scopes: bit 2i is the right to change, bit 2i + 1 the right to read --- */

static const char *const scope_names[] = { "all", "devices:core", "devices:routes",
	"devices:posture_attributes", "auth_keys", "oauth_keys", "policy_file", "dns", "users",
	"feature_settings", "account_settings", "webhooks", "logs:network", "logs:configuration" };
enum { SCOPE_ALL = 0 };

/* What a word stands for; 0: nothing. "devices" is all of them. */
static uint32_t scope_bits(const char *word, size_t len)
{
	static const char read[] = ":read";
	bool only = len > strlen(read) && !strncmp(word + len - strlen(read), read, strlen(read));
	uint32_t bits = 0;
	if (only)
		len -= strlen(read);
	for (size_t i = 0; i < ARRAY_LEN(scope_names); i++)
		if (!strncmp(scope_names[i], word, len) &&
			(!scope_names[i][len] || scope_names[i][len] == ':'))
			bits |= (only ? UINT32_C(2) : UINT32_C(3)) << (2 * i);
	return bits;
}

bool api_scopes_read(const char *words, uint32_t *out, char *say, size_t cap)
{
	*out = 0;
	for (size_t len; *words; words += len + (words[len] == ' ')) {
		len = strcspn(words, " ");
		uint32_t bits = len ? scope_bits(words, len) : 0;
		if (len && !bits) {
			snprintf(
				say, cap, "scopes: \"%.*s\" is none here", (int)(len < 32 ? len : 32), words);
			return false;
		}
		*out |= bits;
	}
	return true;
}

/* "all" has every other one, "all:read" what looks at them. */
static uint32_t whole_of(uint32_t have)
{
	if (have & (UINT32_C(1) << (2 * SCOPE_ALL)))
		return UINT32_MAX;
	return have & (UINT32_C(2) << (2 * SCOPE_ALL)) ? have | UINT32_C(0xaaaaaaaa) : have;
}

static bool covers(uint32_t have, uint32_t wanted)
{
	have = whole_of(have);
	return !(wanted & ~have);
}

bool api_may_pass_on(const struct api_call *c, uint32_t scopes)
{
	if (c->right == API_SESSION ? c->whole : !c->key || c->key->kind == API_KEY_ADMIN)
		return true;
	return covers(c->scopes, scopes);
}

enum user_role api_rank(const struct api_call *c)
{
	switch (c->right) {
	case API_ADMIN: return USER_OWNER;
	case API_SESSION: return c->rank;
	case API_KEYED: return c->key && c->key->kind == API_KEY_ADMIN ? USER_ADMIN : USER_MEMBER;
	case API_ANYBODY:
	case API_MACHINE: break;
	}
	return USER_MEMBER;
}

int64_t api_giver(const struct api_call *c)
{
	return c->right == API_SESSION && c->rank < USER_NETWORK_ADMIN ? c->person : 0;
}

bool api_is_ruled(const struct api_call *c)
{
	static const char scope[] = "policy_file";
	return !api_may_pass_on(c, scope_bits(scope, strlen(scope)));
}

bool api_has_scope(const struct api_call *c, const struct api_row *r)
{
	if (c->right == API_SESSION ? c->whole : !c->key || c->key->kind == API_KEY_ADMIN)
		return true; /* without a key: the admin socket */
	if (!r->scope)
		return false;
	bool reads = !strcmp(r->method, "GET") || strstr(r->scope, ":read");
	uint32_t want = scope_bits(r->scope, strlen(r->scope)) | (UINT32_C(3) << (2 * SCOPE_ALL));
	return c->scopes & want & (reads ? UINT32_C(0xaaaaaaaa) : UINT32_C(0x55555555));
}

bool api_may(struct api_call *c, const struct api_row *r)
{
	if (!api_has_scope(c, r))
		return c->own && (r->flags & API_OWN);
	c->own = 0;
	return true;
}

/* --- tokens --- */

/* Of the text up to here. */
static void token_mac(const struct registry *r, const char *text, size_t len, uint8_t mac[static KEY_LEN])
{
	static const char what[] = "token of the API";
	blake2s_hmac(r->c.secret.b, KEY_LEN, (struct noise_part[]) { { what, sizeof(what) }, { text, len } },
		2, mac);
}

static const struct api_key *find_token(
	const struct registry *r, const char *text, int64_t now_ms, uint32_t *scopes)
{
	char prefix[STORE_PREFIX];
	uint8_t mac[KEY_LEN], shown[KEY_LEN];
	uint64_t expiry;
	int at = 0, end = 0;
	if (sscanf(text, TOKEN_WORD "%12[A-Za-z0-9_-]-%16" SCNx64 "-%8" SCNx32 "-%n", prefix, &expiry, scopes,
		    &at) != 3 ||
		!at)
		return NULL;
	end = at - 1;
	token_mac(r, text, (size_t)end, mac);
	if (!hex_decode(text + at, strlen(text + at), shown, sizeof(shown)) || !key_equal(mac, shown) ||
		(int64_t)expiry * 1000 <= now_ms)
		return NULL;
	const struct api_key *k = api_keys_by_prefix(&r->api_keys, prefix);
	if (!k || k->kind != API_KEY_CLIENT || registry_api_key_is_expired(k, now_ms))
		return NULL;
	/* what its client has lost since, it has no more */
	uint32_t may;
	char say[64];
	(void)api_scopes_read(k->scopes, &may, say, sizeof(say));
	*scopes = whole_of(*scopes) & whole_of(may);
	return k;
}

static void make_token(const struct registry *r, const struct api_key *k, int64_t now_ms, uint32_t scopes,
	char out[static SHOWN_MAX])
{
	uint8_t mac[KEY_LEN];
	size_t len = (size_t)snprintf(out, SHOWN_MAX, TOKEN_WORD "%s-%" PRIx64 "-%" PRIx32, k->prefix,
		(uint64_t)(now_ms / 1000 + TOKEN_LIFE_S), scopes);
	token_mac(r, out, len, mac);
	out[len++] = '-';
	(void)hex_encode(mac, sizeof(mac), out + len);
}

/* --- what a head shows --- */

static bool copy_shown(const char *text, size_t len, char out[static SHOWN_MAX])
{
	if (len >= SHOWN_MAX)
		return false;
	memcpy(out, text, len);
	out[len] = 0;
	return true;
}

/* "Bearer KEY" as name, "Basic" as name and password. false: the head shows none, or what cannot be one. */
static bool shown_pair(
	const struct http_head *head, char name[static SHOWN_MAX], char password[static SHOWN_MAX])
{
	static const char bearer[] = "Bearer ", basic[] = "Basic ";
	const char *h = http_header(head, "Authorization");
	char pair[2 * SHOWN_MAX];
	password[0] = 0;
	if (h && !strncasecmp(h, bearer, strlen(bearer))) {
		h += strlen(bearer);
		h += strspn(h, " ");
		return copy_shown(h, strlen(h), name);
	}
	if (!h || strncasecmp(h, basic, strlen(basic)) != 0)
		return false;
	h += strlen(basic);
	long len = base64_decode(h, strlen(h), (uint8_t *)pair, sizeof(pair) - 1);
	if (len < 0)
		return false;
	pair[len] = 0;
	const char *colon = strchr(pair, ':');
	bool ok = colon && copy_shown(pair, (size_t)(colon - pair), name) &&
		  copy_shown(colon + 1, strlen(colon + 1), password);
	key_wipe(pair, sizeof(pair));
	return ok;
}

/* The key, and of a token its scopes. */
static const struct api_key *find_key(
	const struct api *a, const struct http_head *head, int64_t now_ms, uint32_t *scopes)
{
	char text[SHOWN_MAX], password[SHOWN_MAX];
	const struct api_key *k = NULL;
	if (shown_pair(head, text, password)) {
		k = registry_api_key_find(a->reg, text);
		if (k && (k->kind != API_KEY_ADMIN || registry_api_key_is_expired(k, now_ms)))
			k = NULL;
		if (!k)
			k = find_token(a->reg, text, now_ms, scopes);
	}
	key_wipe(text, sizeof(text));
	key_wipe(password, sizeof(password));
	return k;
}

bool api_is_keyed(const struct api *a, const struct http_head *head, int64_t now_ms)
{
	return find_key(a, head, now_ms, &(uint32_t) { 0 });
}

void api_authenticate(struct api_call *c)
{
	bool api = !strncmp(c->path, API_ROOT, strlen(API_ROOT)) || !strcmp(c->path, METRICS);
	if (c->right != API_ANYBODY || !api)
		return;
	c->key = find_key(c->api, c->head, c->now_ms, &c->scopes);
	if (!c->key)
		return;
	c->right = API_KEYED;
	registry_api_key_used(c->api->reg, c->key->id, c->now_ms);
}

/* --- a secret for a token --- */

static void refuse_token(struct api_call *c, int status, const char *error, const char *text)
{
	json_t *say = api_sentence(text);
	api_reply_json_once(&c->way, status,
		json_pack("{s:s, s:O, s:o}", "error", error, "error_description", say, "message", say));
}

static const struct api_key *find_client(struct api_call *c)
{
	char name[SHOWN_MAX] = "", secret[SHOWN_MAX] = "";
	if (!shown_pair(c->head, name, secret)) {
		(void)http_form_value(c->body, c->len, "client_id", name, sizeof(name));
		(void)http_form_value(c->body, c->len, "client_secret", secret, sizeof(secret));
	}
	const struct api_key *k = registry_api_key_find(c->api->reg, secret);
	if (k && (k->kind != API_KEY_CLIENT || registry_api_key_is_expired(k, c->now_ms) ||
			 (*name && strcmp(name, k->prefix) != 0)))
		k = NULL;
	key_wipe(name, sizeof(name)); /* with Bearer, the secret */
	key_wipe(secret, sizeof(secret));
	return k;
}

void oauth_token(struct api_call *c)
{
	const struct api_key *k = find_client(c);
	char grant[64] = "", words[API_KEY_SCOPES] = "", say[64], token[SHOWN_MAX];
	uint32_t may = 0, wanted = 0;
	bool plain = http_form_find(c->body, c->len, "grant_type", grant, sizeof(grant)) != HTTP_VALUE_BAD;
	/* one that cannot be read asked for less than all */
	bool scoped = http_form_find(c->body, c->len, "scope", words, sizeof(words)) != HTTP_VALUE_BAD;
	if (!k) {
		refuse_token(c, 401, "invalid_client", "this client is not known, or its secret is another");
		return;
	}
	if (!plain || (*grant && strcmp(grant, "client_credentials") != 0)) {
		refuse_token(c, 400, "unsupported_grant_type",
			"grant_type: client_credentials is the only one here");
		return;
	}
	(void)api_scopes_read(k->scopes, &may, say, sizeof(say));
	if (!scoped || !api_scopes_read(words, &wanted, say, sizeof(say)) || !covers(may, wanted)) {
		refuse_token(c, 400, "invalid_scope", "scope: the client has not all of these");
		return;
	}
	make_token(c->api->reg, k, c->now_ms, wanted ? wanted : may, token);
	registry_api_key_used(c->api->reg, k->id, c->now_ms);
	json_t *o = json_pack("{s:s, s:s, s:i, s:s}", "access_token", token, "token_type", "Bearer",
		"expires_in", TOKEN_LIFE_S, "scope", *words ? words : k->scopes);
	api_reply_json_once(&c->way, 200, o); /* RFC 6749 5.1 */
	key_wipe(token, sizeof(token));
}
