/* Lines of JSON, a map each: whom of its peers files may be sent to, who may send them, and where; and each line as the name of
 * a file. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/node/serve/sharing.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void ask(const struct netmap *m, const struct ctl_node *peer)
{
	struct endpoint at;
	enum sharing_target t = sharing_target(m, peer, true);
	(void)sharing_accepts(m, peer);
	(void)sharing_answers_names(m, peer, &at);
	if (!sharing_is_on(m) && t == SHARING_AVAILABLE && !trouble_happened())
		abort();
	if (t == SHARING_AVAILABLE && (*sharing_why(t) || !sharing_api_at(m, peer, &at) || !at.port))
		abort();
	if (t != SHARING_AVAILABLE && t != SHARING_OFFLINE && !*sharing_why(t))
		abort();
}

static void ask_all(const struct netmap *m)
{
	if (sharing_target(m, &m->self->node, false) != SHARING_NOT_RUNNING)
		abort();
	(void)sharing_target(m, NULL, true);
	for (size_t i = 0; i < m->n_peers; i++)
		ask(m, &m->peers[i]->node);
}

static void name(const char *line, size_t len)
{
	char text[300];
	if (len >= sizeof(text))
		return;
	memcpy(text, line, len);
	text[len] = 0;
	if (sharing_name_is_fit(text) && (!*text || strpbrk(text, "/\\\n\033") || !strcmp(text, "..")))
		abort();
}

static struct netmap *next_map(const struct netmap *old, const char *json, size_t len)
{
	struct arena a = { .cap = 4 << 20 };
	struct ctl_map_response r;
	struct errbuf eb;
	struct netmap *next = NULL;
	if (ctl_map_response_read(&a, json, len, &r, &eb) == 0)
		next = netmap_apply(old, &r, 1000, &eb);
	arena_free(&a);
	return next;
}

static void run(const uint8_t *data, size_t len)
{
	struct netmap *m = NULL;
	const char *at = (const char *)data, *end = at + len;
	trouble_begin();
	if (sharing_target(NULL, NULL, true) != SHARING_NO_MAP || sharing_is_on(NULL))
		abort();
	for (int i = 0; at < end && i < 8; i++) {
		const char *nl = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((nl ? nl : end) - at);
		struct netmap *next = next_map(m, at, n);
		name(at, n);
		if (next) {
			ask_all(next);
			netmap_put(m);
			m = next;
		}
		at += n + 1;
	}
	trouble_end();
	netmap_put(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
