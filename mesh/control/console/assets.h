/* The console's files, built into the program: what a browser asks for below /admin/. What they are and how a page is
 * added: docs/console.md. */
#ifndef RW_CONTROL_CONSOLE_ASSETS_H
#define RW_CONTROL_CONSOLE_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

enum { CONSOLE_TAG = 20 };
struct console_asset {
	const char *name, *type; /* as HTTP has it */
	const unsigned char *bytes;
	const size_t *len;
	bool at_once; /* the first page needs it */
};
extern const struct console_asset console_assets[]; /* ended by a NULL name */

const struct console_asset *console_asset_find(const char *name); /* NULL: there is none */
/* Its ETag: another for other bytes. */
void console_asset_tag(const struct console_asset *a, char out[static CONSOLE_TAG]);

#endif
