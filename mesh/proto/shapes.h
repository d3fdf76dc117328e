/* The tables of the parts that several messages hold. Used inside mesh/proto only. */
#ifndef RW_PROTO_SHAPES_H
#define RW_PROTO_SHAPES_H

#include "mesh/proto/control_net.h"
#include "mesh/proto/json.h"

extern const struct json_shape hostinfo_shape; /* struct ctl_hostinfo */
extern const struct json_shape location_shape; /* struct ctl_location */
extern const struct json_shape node_shape;     /* struct ctl_node */
extern const struct json_codec json_nodes;     /* a list of these; its row has node_shape */
extern const struct json_shape patch_shape;    /* struct ctl_peer_patch */
extern const struct json_shape user_shape;     /* struct ctl_user */
extern const struct json_shape derp_map_shape; /* struct ctl_derp_map */
extern const struct json_shape dns_shape;      /* struct ctl_dns */
extern const struct json_shape record_shape;   /* struct ctl_record */
extern const struct json_shape resolver_shape; /* struct ctl_resolver */
extern const struct json_codec filter_rules;   /* rules and their count: PacketFilter */
extern const struct json_map filter_map;       /* struct ctl_filter: PacketFilters */
extern const char nodekey_prefix[], machinekey_prefix[], discokey_prefix[];

#endif
