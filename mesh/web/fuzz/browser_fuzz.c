#include "mesh/web/browser.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A header of a stranger, as cookies and as what a form carries. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t secret[32] = { 1 };
	char token[BROWSER_TOKEN], *text = malloc(len + 1);
	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = 0;
	if (browser_cookie_find(text, "__Host-ropewalk", token) && strlen(token) != BROWSER_TOKEN - 1)
		__builtin_trap();
	if (browser_form_is(secret, "a", text) && browser_form_is(secret, "b", text))
		__builtin_trap();
	free(text);
	return 0;
}
