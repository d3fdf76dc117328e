/* Commands of Headscale that this program has not under that name, and what serves instead. */
#ifndef RW_CONTROL_CLI_NOT_HERE_H
#define RW_CONTROL_CLI_NOT_HERE_H

const char *headscale_not_here(
	const char *command); /* a sentence; NULL: Headscale has none that is called so */

#endif
