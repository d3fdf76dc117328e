/* Deep copies and equality of the parts of a map. Copies return false or NULL when memory is short. */
#ifndef RW_NETMAP_COPY_H
#define RW_NETMAP_COPY_H

#include "mesh/proto/control.h"

bool copy_node(struct arena *a, const struct ctl_node *from, struct ctl_node *to);
bool copy_rules(struct arena *a, const struct ctl_rule *from, size_t n, struct ctl_filter *to);
struct ctl_dns *copy_dns(struct arena *a, const struct ctl_dns *from);
bool copy_endpoints(struct arena *a, const struct ctl_endpoints *from, struct ctl_endpoints *to);
bool copy_strings(struct arena *a, const struct ctl_strings *from, struct ctl_strings *to);

bool copy_node_equal(const struct ctl_node *a, const struct ctl_node *b);

#endif
