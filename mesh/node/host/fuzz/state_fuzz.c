/* state.json as a backup, an editor or a full disk may leave it: read whole or refused with a sentence. */
#include "mesh/node/host/state.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct errbuf eb = { 0 };
	struct state s, before;
	memset(&s, 0x5a, sizeof(s));
	before = s;
	int err = state_read("state.json", (const char *)data, len, &s, &eb);
	if (err && (memcmp(&s, &before, sizeof(s)) != 0 || !eb.text[0]))
		abort();
	if (!err &&
		(key_is_zero(s.machine.b) || !memchr(s.prefs.control_url, 0, sizeof(s.prefs.control_url)) ||
			!memchr(s.prefs.hostname, 0, sizeof(s.prefs.hostname)) ||
			!memchr(s.login_name, 0, sizeof(s.login_name))))
		abort();
	state_wipe(&s);
	return 0;
}
