/* The terminal of standard input in another mode for a while, which no end of the program leaves behind but SIGKILL. */
#ifndef RW_OS_TERMINAL_H
#define RW_OS_TERMINAL_H

#include <stdbool.h>

enum terminal_mode {
	TERMINAL_KEYS,	 /* keys count without Enter, and are not shown */
	TERMINAL_HIDDEN, /* lines, not shown */
	TERMINAL_RAW,	 /* every key is read as it is, those that signal too */
};
/* Until terminal_end a signal that ends the program, unless it is ignored, puts the terminal right first. false: standard input
 * is no terminal, and all is as it was. One at a time. */
bool terminal_begin(enum terminal_mode mode);
void terminal_end(void);

#endif
