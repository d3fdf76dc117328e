/* `ropewalk file`: what its two halves share. */
#ifndef RW_CLI_FILE_H
#define RW_CLI_FILE_H

#include "mesh/cli/cli.h"

struct file_options {
	struct cli_common common;
	const char *name, *conflict;
	uint64_t update_ms;
	bool targets, verbose, wait, loop;
};
enum { FILE_NAME = 256 };
/* enum cli_exit, all told. words: behind cp or get. */
int file_cp(struct cli *c, const struct file_options *o, const char *const *words, int n);
int file_cp_targets(struct cli *c);
int file_get(struct cli *c, const struct file_options *o, const char *dir);

#endif
