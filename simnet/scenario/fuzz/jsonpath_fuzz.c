#include "simnet/scenario/jsonpath.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* path NUL json */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *nul = len ? memchr(data, 0, len) : NULL;
	struct errbuf eb;
	struct buf out = { .cap = 1 << 16 };

	if (!nul)
		return 0;
	json_t *root = json_loadb((const char *)nul + 1, len - (size_t)(nul - data) - 1, 0, NULL);
	/* What lint lets pass is a path for a run. */
	if (root && jsonpath_select(root, (const char *)data, &out, &eb) == ERR_MALFORMED &&
		jsonpath_good((const char *)data))
		abort();
	json_decref(root);
	buf_free(&out);
	return 0;
}
