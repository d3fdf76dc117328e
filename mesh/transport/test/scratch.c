#include "mesh/transport/test/scratch.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool ok, const struct errbuf *eb)
{
	if (ok)
		return;
	fprintf(stderr, "scratch: %s\n", eb->text);
	abort();
}

void scratch_init(struct scratch *s)
{
	static const char *const hosts[] = { "relay.test", "127.0.0.1" };
	struct errbuf eb = { 0 };
	strcpy(s->dir, "/tmp/rw-transport-XXXXXX");
	must(mkdtemp(s->dir) != NULL, &eb);
	snprintf(s->cert, sizeof(s->cert), "%s/cert.pem", s->dir);
	snprintf(s->key, sizeof(s->key), "%s/key.pem", s->dir);
	snprintf(s->sock, sizeof(s->sock), "%s/sock", s->dir);
	must(tls_self_signed(s->cert, s->key, hosts, 2, &eb) == 0, &eb);
	must(tls_pin_of(s->cert, s->pin, &eb) == 0, &eb);
}

void scratch_fini(struct scratch *s)
{
	dir_remove(s->dir, NULL);
}

int scratch_listen(struct endpoint *at)
{
	struct errbuf eb = { 0 };
	struct endpoint any = { .ip = addr_v4(0x7f000001) };
	int fd = sock_tcp_listen(&any, &eb);
	must(fd >= 0 && sock_local(fd, at) == 0, &eb);
	return fd;
}

struct tls *scratch_server(const struct scratch *s)
{
	struct errbuf eb = { 0 };
	struct tls *t = tls_server(s->cert, s->key, &eb);
	must(t != NULL, &eb);
	return t;
}
