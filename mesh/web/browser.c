#include "mesh/web/browser.h"

#include "mesh/base/blake2s.h"
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void browser_token_make(const struct random *rnd, char out[static BROWSER_TOKEN])
{
	uint8_t bytes[32];
	char text[48];
	rnd->fill(rnd->arg, bytes, sizeof(bytes));
	base64_encode(bytes, sizeof(bytes), text);
	for (size_t i = 0; i < BROWSER_TOKEN - 1; i++)
		out[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	out[BROWSER_TOKEN - 1] = 0;
	key_wipe(bytes, sizeof(bytes));
	key_wipe(text, sizeof(text));
}

struct browser_hash browser_token_hash(const char *token)
{
	struct browser_hash h;
	blake2s_hash(&(struct noise_part) { token, strlen(token) }, 1, h.b);
	return h;
}

bool browser_hash_equal(const struct browser_hash *a, const struct browser_hash *b)
{
	return key_equal(a->b, b->b);
}

bool browser_cookie_find(const char *cookies, const char *name, char out[static BROWSER_TOKEN])
{
	size_t name_len = strlen(name);
	for (const char *at = cookies; at && *at;) {
		at += strspn(at, " ;");
		size_t len = strcspn(at, ";"), value;
		if (!strncmp(at, name, name_len) && at[name_len] == '=') {
			const char *text = at + name_len + 1;
			value = strspn(text, letters);
			if (value == BROWSER_TOKEN - 1 && text + value == at + len) {
				memcpy(out, text, value);
				out[value] = 0;
				return true;
			}
		}
		at += len;
	}
	return false;
}

void browser_form_make(const uint8_t secret[static 32], const char *token, char out[static BROWSER_FORM])
{
	static const char label[] = "form";
	uint8_t mac[32];
	blake2s_hmac(secret, 32, (struct noise_part[]) { { label, sizeof(label) }, { token, strlen(token) } },
		2, mac);
	hex_encode(mac, sizeof(mac), out);
}

bool browser_form_is(const uint8_t secret[static 32], const char *token, const char *given)
{
	char right[BROWSER_FORM];
	uint8_t a[32], b[32];
	browser_form_make(secret, token, right);
	return hex_decode(given, strlen(given), a, sizeof(a)) &&
	       hex_decode(right, BROWSER_FORM - 1, b, sizeof(b)) && key_equal(a, b);
}
