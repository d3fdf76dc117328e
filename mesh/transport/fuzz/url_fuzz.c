#include "mesh/transport/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);
	struct url u;
	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	if (url_parse(text, &u) && (!u.host[0] || !u.port || u.path[0] != '/'))
		abort();
	free(text);
	return 0;
}
