/* Configurations of dnsmasq, unbound and pi-hole as one of ours, line by line; what has no counterpart is said. */
#ifndef RW_RESOLVER_CONVERT_CONVERT_H
#define RW_RESOLVER_CONVERT_CONVERT_H

#include "resolver/convert/target.h"

enum convert_from { CONVERT_DNSMASQ, CONVERT_UNBOUND, CONVERT_PIHOLE, CONVERT_GRAVITY, CONVERT_UNKNOWN };
const char *convert_from_text(enum convert_from f); /* "dnsmasq" ... */
enum convert_from convert_from_parse(const char *text);
/* Whose file this is, by what is in it. */
enum convert_from convert_guess(const char *text, size_t len);

/* Each reads a whole file into t, of which file and line are set on the way. */
void convert_dnsmasq(struct target *t, const char *file, const char *text, size_t len);
void convert_unbound(struct target *t, const char *file, const char *text, size_t len);
void convert_pihole(struct target *t, const char *file, const char *text, size_t len);
/* convert_dnsmasq for struct target_include; arg: the target. */
void convert_dnsmasq_take(void *arg, const char *file, const char *text, size_t len);
/* One line of dnsmasq.conf, as pi-hole has some too. */
void convert_dnsmasq_line(struct target *t, const char *line, size_t len);
/* What only the whole says: upstreams that nobody named, where to listen. from: a bit for each kind that was read. */
void convert_end(struct target *t, unsigned from);

#endif
