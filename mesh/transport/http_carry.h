/* One HTTP/1.1 exchange whose body is too long for memory, moved by a thread that may wait: an errand (os/errand.h), or a
 * command line. Between sockets and files the kernel moves the bytes without a copy of ours where it can. What a loop
 * asks and answers is http.h. Plain sockets only. All but http_carry_take are called by one thread, any but the loop's. */
#ifndef RW_TRANSPORT_HTTP_CARRY_H
#define RW_TRANSPORT_HTTP_CARRY_H

#include "mesh/transport/http.h"

struct http_carry;
/* For http_server_ops.streamed: the connection of the request whose head is there; its server end is gone afterwards, and
 * gone() was told. Everything of the body is still to be read. NULL: memory is short, and the connection is closed. */
struct http_carry *http_carry_take(struct http_server_conn *c);
/* A fresh connection; NULL with a sentence. hook as in sock_tcp_connect_hook. The first is not there before
 * http_carry_opened says so. */
struct http_carry *http_carry_connect(
	const struct endpoint *to, void (*hook)(void *arg, int fd), void *arg, struct errbuf *eb);
struct http_carry *http_carry_unix(const char *path, struct errbuf *eb);
int http_carry_opened(struct http_carry *c, struct errbuf *eb); /* waits for it; 0 or a negative code */
/* Whatever waits gives up after idle_ms without a byte (-ETIMEDOUT), or when `stop` becomes readable (-ECANCELED; -1: no
 * such descriptor). Without this call: 60 s, and nothing stops it. */
void http_carry_patience(struct http_carry *c, int stop, int idle_ms);
bool http_carry_is_gone(const struct http_carry *c); /* the other end closed the connection, both ways */
/* Reads on for a moment when an answer of ours may be unread. NULL is fine. */
void http_carry_close(struct http_carry *c);

/* Heads. That of a taken request; that of the next answer, read with all patience (1xx too: ask again); NULL with a
 * sentence. Valid until the next is read. */
const struct http_head *http_carry_request(const struct http_carry *c);
const struct http_head *http_carry_answer_read(struct http_carry *c, struct errbuf *eb);

/* What is sent. 0 or a negative code with a sentence. */
int http_carry_write(struct http_carry *c, const void *p, size_t len, struct errbuf *eb);
int http_carry_chunk(
	struct http_carry *c, const void *p, size_t len, struct errbuf *eb); /* len 0: the last */
/* A whole short answer; extra: "Name: value\r\n" lines or NULL. The other end may be gone: nothing is said. */
void http_carry_answer(struct http_carry *c, int status, const char *content_type, const char *extra,
	const void *body, size_t len);

/* The body that follows the head. Bytes to come, -1: it says so at its end. */
int64_t http_carry_left(const struct http_carry *c);
/* Bytes read, 0 at its end, or a negative code with a sentence. */
long http_carry_read(struct http_carry *c, uint8_t *p, size_t cap, struct errbuf *eb);
/* Called as bytes go, with how many did so far; anything but 0 ends it with that code, and the sentence it gave. */
struct http_carry_told {
	int (*moved)(void *arg, uint64_t total, struct errbuf *eb); /* may be NULL */
	void *arg;
};
/* The rest of the body of `from` into a file at its position, or as the body of a request by `to`: chunked when its length
 * was not known. HTTP_CARRY_ANSWERED: the other side answers before it has all, and takes no more. */
enum { HTTP_CARRY_ANSWERED = 1 };
int http_carry_to_file(
	struct http_carry *from, int fd, const struct http_carry_told *told, struct errbuf *eb);
int http_carry_to(struct http_carry *from, struct http_carry *to, bool chunked,
	const struct http_carry_told *told, struct errbuf *eb);
/* len bytes of a file from its position on. */
int http_carry_file(
	struct http_carry *to, int fd, uint64_t len, const struct http_carry_told *told, struct errbuf *eb);

#endif
