/* As which version of Headscale this server shows itself to programs that were made for that one: what they ask it for is
 * there. They read the first numbers. */
#ifndef RW_CONTROL_CONFIG_HEADSCALE_H
#define RW_CONTROL_CONFIG_HEADSCALE_H

#define HEADSCALE_VERSION "v0.29.0+ropewalk." RW_VERSION

#endif
