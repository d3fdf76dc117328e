/* The page that shows runs: whole in one file, or in the parts that a server hands out. */
#ifndef SIMNET_PAGE_H
#define SIMNET_PAGE_H

#include "simnet/report/runs.h"

/* One HTML file without anything outside it. 0, or ERR_REFUSED: it could not be written. */
int page_write(const struct runs *r, FILE *out, struct errbuf *eb);

/* The parts of a live page: "", "page.css", "page.js"; NULL: there is no such. The caller frees with free. */
char *page_part(const char *name, const char **type, size_t *len);

#endif
