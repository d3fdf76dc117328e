#include "mesh/node/host/forwarding.h"
#include "mesh/base/via6.h"
#include "mesh/os/file.h"
#include "mesh/os/nft.h"
#include <stdio.h>

static bool is_set_to(const char *path, char value)
{
	struct buf b = { 0 };
	bool is = file_read(path, 16, &b, NULL) == 0 && b.len && (char)buf_data(&b)[0] == value;
	buf_free(&b);
	return is;
}

bool forwarding_problem(const struct prefix *nets, size_t n, char text[static FORWARDING_TEXT])
{
	bool v4 = false, v6 = false;
	for (size_t i = 0; i < n; i++)
		/* What is translated is forwarded as IPv4. */
		*(addr_is_v4(&nets[i].ip) || via6_is(&nets[i].ip) ? &v4 : &v6) = true;
	v4 = v4 && is_set_to("/proc/sys/net/ipv4/ip_forward", '0');
	v6 = v6 && is_set_to("/proc/sys/net/ipv6/conf/all/forwarding", '0');
	if (v4 || v6)
		snprintf(text, FORWARDING_TEXT,
			"this machine offers networks to the mesh and does not forward %s: sysctl -w%s%s, "
			"and keep "
			"it in /etc/sysctl.d",
			v4 && v6 ? "packets"
			: v4	 ? "IPv4"
				 : "IPv6",
			v4 ? " net.ipv4.ip_forward=1" : "", v6 ? " net.ipv6.conf.all.forwarding=1" : "");
	return v4 || v6;
}

static bool offers(const struct prefix *nets, size_t n, bool v4)
{
	for (size_t i = 0; i < n; i++)
		if ((addr_is_v4(&nets[i].ip) || via6_is(&nets[i].ip)) == v4)
			return true;
	return false;
}

bool forwarding_firewall_problem(
	const struct prefix *nets, size_t n, const char *ifname, char text[static FORWARDING_TEXT])
{
	struct nft_barrier b;
	for (int v4 = 1; v4 >= 0; v4--) {
		if (!offers(nets, n, v4) || !nft_forward_barrier(ifname, v4, &b))
			continue;
		if (b.docker && v4)
			snprintf(text, FORWARDING_TEXT,
				"docker's firewall drops what comes from the mesh for the networks offered "
				"here: "
				"iptables -I DOCKER-USER -i %s -j ACCEPT",
				ifname);
		else if (b.ufw)
			snprintf(text, FORWARDING_TEXT,
				"ufw drops what comes from the mesh for the networks offered here: ufw route "
				"allow in on %s",
				ifname);
		else
			snprintf(text, FORWARDING_TEXT,
				"a firewall drops what is forwarded here unless a rule says otherwise, and "
				"none in its "
				"table %s names %s: let it accept what comes from there",
				b.table, ifname);
		return true;
	}
	return false;
}

/* Strict, the kernel asks where an answer to the sender would go, and that is the exit for all but our own. */
bool forwarding_exit_problem(char text[static FORWARDING_TEXT])
{
	if (!is_set_to("/proc/sys/net/ipv4/conf/all/rp_filter", '1') ||
		is_set_to("/proc/sys/net/ipv4/conf/all/src_valid_mark", '1'))
		return false;
	snprintf(text, FORWARDING_TEXT,
		"this machine uses an exit, and its kernel drops what comes back outside of it (strict "
		"rp_filter): "
		"sysctl -w net.ipv4.conf.all.rp_filter=2, and keep it in /etc/sysctl.d");
	return true;
}
