/* Verbs and options of Tailscale's command line that have no counterpart here, and what to use. */
#ifndef RW_CLI_NOT_HERE_H
#define RW_CLI_NOT_HERE_H

const char *not_here(const char *verb); /* a sentence; NULL: nobody has such a verb */
const char *not_here_option(const char *verb, const char *option); /* option: without the dashes */

#endif
