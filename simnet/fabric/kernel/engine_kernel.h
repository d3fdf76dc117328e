/* The engine of veth pairs, bridges and nftables. */
#ifndef SIMNET_ENGINE_KERNEL_H
#define SIMNET_ENGINE_KERNEL_H

#include "simnet/fabric/engine.h"

extern const struct engine_ops engine_kernel;

#endif
