#include "simnet/fabric/user/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int ask_of(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	int err = fd < 0 || ioctl(fd, request, ifr) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return err;
}

static int set_mac(const char *name, const struct mac *mac)
{
	struct ifreq ifr = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	memcpy(ifr.ifr_hwaddr.sa_data, mac->b, sizeof(mac->b));
	return ask_of(name, SIOCSIFHWADDR, &ifr);
}

int tap_open(const char *name, const struct mac *mac, struct errbuf *eb)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_say(eb, -ENOSYS,
			"the userspace engine needs /dev/net/tun, which cannot be opened (%s): run as root, "
			"or let "
			"this user read and write it",
			strerror(errno));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	struct ifreq queue = { .ifr_qlen = TAP_QUEUE };
	int err = ioctl(fd, TUNSETIFF, &ifr) < 0 ? -errno : ask_of(name, SIOCSIFTXQLEN, &queue);
	if (!err && mac)
		err = set_mac(name, mac);
	if (!err)
		return fd;
	close(fd);
	return err_set(eb, err, "make the TAP device %s", name);
}

int tap_carrier(int fd, bool up)
{
	int on = up;
	return ioctl(fd, TUNSETCARRIER, &on) < 0 ? -errno : 0;
}
