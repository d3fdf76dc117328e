/* What the words of the settings mean, whichever of their readers meets them. false: not of that kind, *out is as it was
 * or worthless. */
#ifndef RW_CONTROL_CONFIG_VALUE_H
#define RW_CONTROL_CONFIG_VALUE_H

#include "mesh/base/addr.h"
#include "mesh/base/log.h"

bool config_value_bool(const char *text, bool *out);
/* What people are shown: a line of up to 63 characters, harmless to terminals. */
bool config_value_name(const char *text);
/* "192.0.2.1:80", "[::]:80", ":80" and ":http": every address. */
bool config_value_listen(const char *text, struct endpoint *out);
/* "30m" in ms; a bare 0 is a time as well. */
bool config_value_duration(const char *text, uint64_t *out);
/* "0770" and "0o770". */
bool config_value_mode(const char *text, uint32_t *out);
/* Those of mesh/base/log.h, and what Headscale has beyond them. */
bool config_value_level(const char *text, enum log_level *out);
/* A domain, in small letters and without the dot at the end: letters, digits, - and _ in labels of up to 63 (RFC 1035
 * 2.3.4). */
enum { CONFIG_DOMAIN_TEXT = 254 };
bool config_value_domain(const char *text, char out[static CONFIG_DOMAIN_TEXT]);
/* Host of a URL that was taken as server_url, without the brackets of an IPv6 address; *port: 0 = it says none. */
enum { CONFIG_HOST_TEXT = 256 };
void config_value_host(const char *url, char host[static CONFIG_HOST_TEXT], uint16_t *port);

#endif
