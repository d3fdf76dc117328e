/* Wire layout. WireGuard paper 5.4.2-5.4.7. */
#ifndef RW_WG_MESSAGE_H
#define RW_WG_MESSAGE_H

#include <assert.h>
#include <stdint.h>

enum { WG_INITIATION = 1, WG_RESPONSE, WG_COOKIE, WG_DATA };
enum { WG_STAMP = 12, WG_MAC = 16 };

struct wg_macs {
	uint8_t mac1[WG_MAC], mac2[WG_MAC];
};
struct wg_initiation {
	uint8_t type, zero[3], sender[4], ephemeral[32], sealed_static[48], sealed_stamp[28];
	struct wg_macs macs;
};
struct wg_response {
	uint8_t type, zero[3], sender[4], receiver[4], ephemeral[32], sealed_nothing[16];
	struct wg_macs macs;
};
struct wg_cookie {
	uint8_t type, zero[3], receiver[4], nonce[24], sealed_cookie[32];
};
static_assert(sizeof(struct wg_initiation) == 148 && _Alignof(struct wg_initiation) == 1, "wire layout");
static_assert(sizeof(struct wg_response) == 92 && _Alignof(struct wg_response) == 1, "wire layout");
static_assert(sizeof(struct wg_cookie) == 64 && _Alignof(struct wg_cookie) == 1, "wire layout");

#endif
