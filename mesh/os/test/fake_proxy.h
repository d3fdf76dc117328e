/* An HTTP proxy that goes nowhere: it lets everybody through, and hears what is said inside, once. */
#ifndef RW_OS_TEST_FAKE_PROXY_H
#define RW_OS_TEST_FAKE_PROXY_H

#include "mesh/os/loop.h"

struct fake_proxy;
struct fake_proxy *fake_proxy_open(struct loop *l); /* on 127.0.0.1 */
const char *fake_proxy_url(const struct fake_proxy *p);
/* The first line of the last connection, "CONNECT host:80 HTTP/1.1"; "" = none came. */
const char *fake_proxy_asked(const struct fake_proxy *p);
/* What came on it after the proxy had said yes; "" = nothing yet. */
const char *fake_proxy_inside(const struct fake_proxy *p);
void fake_proxy_forget(struct fake_proxy *p); /* what was asked */
void fake_proxy_close(struct fake_proxy *p);

#endif
