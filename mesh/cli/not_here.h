/* Verbs of Tailscale's command line that have no counterpart here, and what to use. */
#ifndef RW_CLI_NOT_HERE_H
#define RW_CLI_NOT_HERE_H

const char *not_here(const char *verb); /* a sentence; NULL: nobody has such a verb */

#endif
