/* Deep copies and equality of the parts of a map. Copies return false or NULL when memory is short. */
#ifndef RW_NETMAP_COPY_H
#define RW_NETMAP_COPY_H

#include "mesh/proto/control.h"

bool copy_rules(struct arena *a, const struct ctl_rule *from, size_t n, struct ctl_filter *to);
struct ctl_dns *copy_dns(struct arena *a, const struct ctl_dns *from);
bool copy_strings(struct arena *a, const struct ctl_strings *from, struct ctl_strings *to);

/* What the node points to goes into the block, of the size that the first says, aligned for any type; to and block are
 * the caller's and stay together. copy_node.c */
size_t copy_node_size(const struct ctl_node *from);
void copy_node(const struct ctl_node *from, struct ctl_node *to, void *block);

bool copy_node_equal(const struct ctl_node *a, const struct ctl_node *b);

#endif
