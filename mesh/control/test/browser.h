/* A browser as far as the pages of the server need one: cookies and forms. cmocka.h comes first. */
#ifndef RW_CONTROL_TEST_BROWSER_H
#define RW_CONTROL_TEST_BROWSER_H

#include "mesh/control/test/world.h"
#include "mesh/web/browser.h"

struct browser {
	struct world *w;
	char cookie[160]; /* as a header line; "" = none */
	char location[256], csp[512], opener[32], set_cookie[256];
	char *page;
	int status;
	bool done;
};

/* Asks: done is set when the answer is there. extra: header lines, after the cookie's. */
void browser_send(struct browser *b, const char *target, const char *form, const char *extra);
/* The page; form: what is posted, NULL = it is a GET. site: what Sec-Fetch-Site says, NULL = nothing. */
const char *browser_visit(struct browser *b, const char *target, const char *form, const char *site);
/* "form=...": the hidden field of the page that is shown. */
void browser_form(const struct browser *b, char out[static 80]);
/* As root, of world_make_admin, whose password is "a long password". */
void browser_log_in(struct browser *b, const char *password, const char *site);
/* verb: /v1/admins/create, or .../password. */
void world_make_admin(struct world *w, const char *verb);

#endif
