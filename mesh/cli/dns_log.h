/* dns log and dns top: the questions that ropewalkd's resolver has written down. */
#ifndef RW_CLI_DNS_LOG_H
#define RW_CLI_DNS_LOG_H

#include "mesh/cli/cli.h"

int dns_log_switch(struct cli *c, bool on);
int dns_log_print(struct cli *c, bool follow); /* follow: until ropewalkd is gone */
int dns_top_print(struct cli *c);

#endif
