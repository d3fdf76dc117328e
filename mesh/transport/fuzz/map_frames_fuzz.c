/* The length-prefixed map stream; odd first byte = zstd. */
#include "mesh/transport/control_link.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void message(void *arg, const char *json, size_t len)
{
	(void)arg;
	if (json[len])
		abort(); /* a reader may rely on the NUL behind it */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	struct map_frames *m = map_frames_new(data[0] & 1);
	size_t half = (len - 1) / 2;
	if (m && map_frames_feed(m, data + 1, half, message, NULL) == 0)
		(void)map_frames_feed(m, data + 1 + half, len - 1 - half, message, NULL);
	map_frames_free(m);
	return 0;
}
