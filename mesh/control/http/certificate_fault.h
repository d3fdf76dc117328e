/* What clients have against the certificate of the settings. */
#ifndef RW_CONTROL_HTTP_CERTIFICATE_FAULT_H
#define RW_CONTROL_HTTP_CERTIFICATE_FAULT_H

#include "mesh/base/err.h"
#include "mesh/control/config/config.h"

/* Why they refuse it, with the sentence; 0: there is nothing against it, or none. */
int certificate_fault(const struct control_config *c, struct errbuf *eb);

#endif
