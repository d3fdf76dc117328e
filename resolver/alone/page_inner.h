/* Inside of the page: page.c (who may ask what, and what is done), page_view.c (what is seen). */
#ifndef RW_RESOLVER_ALONE_PAGE_INNER_H
#define RW_RESOLVER_ALONE_PAGE_INNER_H

#include "mesh/proto/localapi.h"
#include "resolver/alone/door.h"
#include "resolver/alone/history.h"
#include "resolver/alone/login.h"
#include "resolver/alone/own_lists.h"
#include "resolver/alone/page.h"

struct page {
	struct running *s;
	struct door *doors[CONF_PAGE_LISTEN_MAX];
	size_t n_doors;
	char **names; /* by which it may be called, beside addresses; owned */
	size_t n_names;
	bool metrics;
	struct history history;
	struct loop_timer *minute;
};
struct page_request {
	struct page *page;
	const struct door_request *r;
	char token[BROWSER_TOKEN]; /* the cookie; "": none */
	char form[BROWSER_FORM];   /* what forms of this browser carry */
	char said[160];		   /* what was just done; "": nothing */
};

/* What was asked of the lists. */
struct page_why {
	char name[256], client[256];	     /* as they were given; "": not */
	const struct api_dns_blocked *found; /* NULL: nothing, and */
	const char *complaint;		     /* says why; NULL: nothing was asked */
};

/* HTML being made; failure sticks. */
struct html {
	struct buf b;
	bool bad;
};
void html_raw(struct html *h, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* of ours */
void html_put(struct html *h, const char *text);					   /* of anybody */
void html_reply(struct html *h, struct door_guest *g, int status, const char *extra);	   /* frees h */

/* Each answers the request. */
void page_overview(const struct page_request *q);
void page_log(const struct page_request *q);
void page_lists(const struct page_request *q);
void page_why(const struct page_request *q, const struct page_why *w);
void page_login(const struct page_request *q, int status, const char *complaint, const char *cookie);
void page_nobody(const struct page_request *q); /* no password is set */

#endif
