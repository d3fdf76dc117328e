#include "mesh/os/resolve.h"
#include "mesh/base/err.h"

#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <uv.h>

struct resolve {
	uv_getaddrinfo_t uv;
	struct loop *loop;
	void (*cb)(void *arg, int code, const struct endpoint *at, size_t n, const char *why);
	void *arg;
	bool cancelled;
};

static int code_of(int status)
{
	switch (status) {
	case UV_EAI_NONAME:
	case UV_EAI_NODATA: return ERR_NO_PEER;
	case UV_EAI_MEMORY: return UV_ENOMEM;
	default: return ERR_REFUSED;
	}
}

static void resolve_answered(uv_getaddrinfo_t *uv, int status, struct addrinfo *list)
{
	struct resolve *r = (struct resolve *)uv;
	struct endpoint at[RESOLVE_MAX];
	size_t n = 0;

	loop_release(r->loop);
	for (struct addrinfo *ai = list; ai && n < RESOLVE_MAX; ai = ai->ai_next)
		n += endpoint_from_sockaddr(ai->ai_addr, &at[n]);
	uv_freeaddrinfo(list);
	if (!r->cancelled) {
		if (status == 0 && n)
			r->cb(r->arg, 0, at, n, "");
		else
			r->cb(r->arg, status ? code_of(status) : ERR_NO_PEER, NULL, 0,
				status ? uv_strerror(status) : "no address");
	}
	free(r);
}

struct resolve *resolve_start(struct loop *l, const char *host,
	void (*cb)(void *arg, int code, const struct endpoint *at, size_t n, const char *why), void *arg)
{
	/* Without AI_ADDRCONFIG: it hides "localhost" on a machine that has only loopback. */
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct resolve *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->loop = l;
	r->cb = cb;
	r->arg = arg;
	/* RFC 6761 6.3: never a question for anybody, whatever /etc/hosts says. */
	bool here = strcasecmp(host, "localhost") == 0;
	if (uv_getaddrinfo(loop_uv(l), &r->uv, resolve_answered, here ? NULL : host, here ? "0" : NULL,
		    &hints) != 0) {
		free(r);
		return NULL;
	}
	loop_hold(l);
	return r;
}

void resolve_cancel(struct resolve *r)
{
	if (!r)
		return;
	r->cancelled = true;
	uv_cancel((uv_req_t *)&r->uv);
}
