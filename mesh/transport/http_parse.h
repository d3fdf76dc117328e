/* One HTTP/1.1 message off a byte stream, for http_server.c and http_client.c: http_parser with bounds. */
#ifndef RW_TRANSPORT_HTTP_PARSE_H
#define RW_TRANSPORT_HTTP_PARSE_H

#include "mesh/base/buf.h"
#include "mesh/transport/http.h"
#include <http_parser.h>

struct http_parse {
	http_parser parser;
	struct http_head head; /* valid once headers_done; strings live in text */
	struct buf text, body;
	size_t target_at, name_at[HTTP_HEADERS_MAX], value_at[HTTP_HEADERS_MAX], n_headers;
	bool in_value, headers_done, complete;
	bool no_body;		  /* an answer to HEAD: set before feeding */
	bool stop_at_head;	  /* a feed ends there, once; the next goes on with the body */
	uint64_t chunk_left;	  /* data bytes of the chunk that are still to come */
	uint8_t crlf_left;	  /* bytes of the CRLF behind them that are still to be seen */
	const uint8_t *input_end; /* during a feed */
	int fault;		  /* ERR_TOO_LARGE when a cap was passed */
	/* Instead of collecting the body; may be NULL. */
	void (*chunk)(void *arg, const uint8_t *p, size_t len);
	/* The cap of the body that belongs to this head; may be NULL. */
	size_t (*body_most)(void *arg, const struct http_head *head);
	void *arg;
};

void http_parse_init(struct http_parse *h, bool request, size_t body_cap);
void http_parse_fini(struct http_parse *h);
/* Makes ready for the next message of the same connection; a fault stays. */
void http_parse_next(struct http_parse *h);
/* Takes bytes up to the end of the message (then `complete`); returns the count used, or a negative code. len
 * 0 with p NULL tells the end of the stream, which ends some answers. */
long http_parse_feed(struct http_parse *h, const uint8_t *p, size_t len);
/* *from, wherever it stands, is in *to, and *from is to be begun anew or forgotten. */
void http_parse_move(struct http_parse *to, struct http_parse *from);

#endif
