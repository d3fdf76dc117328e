/* The doors of the server: TCP with TLS or without, the admin socket, and beside it one for everybody on this machine: a
 * relay asks there who is a node, and is no admin. */
#ifndef RW_CONTROL_HTTP_WEB_H
#define RW_CONTROL_HTTP_WEB_H

#include "mesh/control/http/api.h"
#include "mesh/control/http/console.h"
#include "mesh/control/http/log_ring.h"
#include "mesh/control/http/login.h"
#include "mesh/control/http/ssh_checks.h"
#include "mesh/control/http/machine.h"
#include <limits.h>

#define WEB_ASK_SUFFIX ".verify"

struct door {
	struct web *web;
	int fd;
	struct acceptor *acceptor;
	enum api_right right; /* of whoever comes in here */
	struct endpoint at;   /* with the port it got */
	struct tls *tls;      /* NULL = none */
	char path[PATH_MAX];  /* of a unix socket; "" = TCP */
};
/* As it was read, for the TLS door. */
struct web_certificate {
	struct tls *tls; /* NULL: no TLS is spoken */
	char pin[80];	 /* where nobody else stands for it; "" = an authority does, or there is no TLS */
};
struct web {
	struct loop *loop;
	struct api *api;
	const struct machine_private *noise;
	struct guests guests;
	struct machines machines;
	struct login login;
	struct console console;
	struct log_ring *log;
	struct ssh_checks ssh_checks;
	struct door
		doors[5]; /* listen_addr, tls_listen_addr, unix_socket, one for an authority's questions, and
				 unix_socket with WEB_ASK_SUFFIX */
	struct certificate *certificate; /* from an authority; NULL = the settings want none */
	struct relay *relay;		 /* inside; NULL = the settings want none */
	char pin[sizeof(((struct web_certificate *)NULL)->pin)]; /* of the certificate that is shown */
	bool is_open;
};

/* Fills in what of api is of this room. Both outlive it. */
int web_open(struct web *w, struct loop *l, struct api *api, const struct machine_private *noise,
	struct errbuf *eb);
/* What is known of the relay inside, for its region in the map, with this pin; NULL when there is none. */
const struct settings_relay *web_relay_facts(
	const struct web *w, const char *pin, struct settings_relay *out);
/* The certificate of the settings anew, not shown yet. */
int web_certificate_read(const struct web *w, struct web_certificate *out, struct errbuf *eb);
/* For connections to come; *c is the web's from here on. */
void web_certificate_use(struct web *w, struct web_certificate *c);
void web_close(struct web *w); /* all zero is fine */

#endif
