/* Pages that a person reads, as HTML made here. All of it is of one origin; what others wrote goes in by page_text alone.
 * Without a script they work as well. */
#ifndef RW_CONTROL_HTTP_PAGE_H
#define RW_CONTROL_HTTP_PAGE_H

#include "mesh/control/http/api.h"

struct page {
	struct buf b;
	bool bad;    /* memory was short */
	bool framed; /* by page_begin: it has a main part */
};
/* As far as the style: the rest of the head, and the body, follow. style: a path of ours. */
void page_open(struct page *p, const char *title, const char *style);
/* The whole frame of a small page. head: more elements of the head, of ours; "" = none. body: attributes of the body, of ours. */
void page_begin(struct page *p, const char *title, const char *head, const char *body);
void page_raw(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* of ours */
void page_text(struct page *p, const char *text); /* of anybody: escaped, and fit to be read */
/* Answers with it and frees it. extra: header lines, or NULL. */
void page_reply(struct page *p, const struct api_way *w, int status, const char *extra);
/* One heading, one sentence. link: where to go on, of ours, with the words for it; NULL = nowhere. */
void page_say(const struct api_way *w, int status, const char *heading, const char *sentence,
	const char *link, const char *words);
/* To a path of ours. extra: header lines, or NULL. */
void page_redirect(const struct api_way *w, const char *location, const char *extra);

#endif
