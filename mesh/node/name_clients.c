#include "mesh/node/name_clients.h"

#include "mesh/base/log.h"
#include "mesh/transport/stream.h"
#include <stdio.h>
#include <string.h>

#define WHAT_TO_DO "; when that is mended, run `systemctl reload ropewalkd` (SIGHUP)"

static void doors_open(const struct name_clients *c, struct resolver_server *s, char *why, size_t cap)
{
	const struct {
		uint16_t port;
		enum dns_secure_by by;
	} doors[] = { { DNS_TLS_PORT, DNS_SECURE_TLS }, { c->opt.https_port, DNS_SECURE_HTTPS } };
	struct errbuf eb = { 0 };
	if (resolver_server_certificate(s, c->opt.certificate, c->opt.key, &eb)) {
		snprintf(why, cap, "clients of the resolver by TLS: %.300s" WHAT_TO_DO, eb.text);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(doors); i++)
		if (doors[i].port && resolver_server_listen_beside(s, doors[i].port, doors[i].by, &eb) &&
			!why[0])
			snprintf(why, cap, "clients of the resolver by %s: %.300s" WHAT_TO_DO,
				doors[i].by == DNS_SECURE_TLS ? "TLS" : "HTTPS", eb.text);
	if (!why[0] && tls_cert_fault(c->opt.certificate, NULL, &eb) != 0)
		snprintf(why, cap, "clients of the resolver by TLS: %.300s" WHAT_TO_DO, eb.text);
}

void name_clients_serve(struct name_clients *c, struct resolver_server *s)
{
	char why[sizeof(c->trouble)] = "";
	struct errbuf eb = { 0 };
	if (c->opt.certificate)
		doors_open(c, s, why, sizeof(why));
	if (resolver_server_rate(s, c->opt.per_s, &eb) && !why[0])
		snprintf(why, sizeof(why), "%.300s", eb.text);
	if (why[0] && strcmp(why, c->trouble) != 0)
		log_warn("%s", why);
	memcpy(c->trouble, why, sizeof(why));
}
