/* What the LocalAPI's verbs share; private to local_api*.c. */
#ifndef RW_NODE_LOCAL_REQUEST_H
#define RW_NODE_LOCAL_REQUEST_H

#include "mesh/node/local_api.h"
#include "mesh/transport/http.h"

struct request {
	struct local_api *api;
	struct node *n;
	struct http_server_conn *conn;
	const struct http_head *head;
	const char *body;
	size_t len;
};
void local_reply_json(struct http_server_conn *c, struct buf *b, bool ok); /* frees b */
void local_reply_error(struct http_server_conn *c, int status, const char *text);

/* local_api_dns.c */
void local_dns_query(struct request *r);
void local_dns_os_config(struct request *r);
void local_dns_config(struct request *r);
void local_dns_gone(struct http_server_conn *c); /* the asker left */

#endif
