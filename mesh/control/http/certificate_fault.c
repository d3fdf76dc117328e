#include "mesh/control/http/certificate_fault.h"

#include "mesh/control/config/config_value.h"
#include "mesh/transport/stream.h"
#include <string.h>

int certificate_fault(const struct control_config *c, struct errbuf *eb)
{
	char name[CONFIG_HOST_TEXT];
	uint16_t port;
	if (!c->tls_cert)
		return 0;
	config_value_host(c->server_url, name, &port);
	return tls_cert_fault(c->tls_cert, strncmp(c->server_url, "https://", 8) == 0 ? name : NULL, eb);
}
