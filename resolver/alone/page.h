/* The page: what a browser near by sees of a resolver that runs, and may change. HTML made here, forms, no script. */
#ifndef RW_RESOLVER_ALONE_PAGE_H
#define RW_RESOLVER_ALONE_PAGE_H

#include "resolver/alone/running.h"

struct page;
/* Opens the listeners of c, of which what is needed is copied. NULL with a sentence. s outlives it; its login and its own
 * lists are there. */
struct page *page_open(struct running *s, const struct conf *c, struct errbuf *eb);
void page_close(struct page *p);					       /* NULL is fine */
size_t page_endpoints(const struct page *p, struct endpoint *out, size_t cap); /* as bound; how many */

#endif
