#!/bin/sh
# install.sh --from FOLDER|URL [--sums SHA256] [PACKAGE...]
# Installs packages of Ropewalk (ropewalk, when none is named) on Debian 12 or what is made from it, from a folder or an
# https:// address that holds them and their SHA256SUMS: ropewalk (the node), ropewalk-server (with the relay),
# ropewalk-resolver, ropewalk-simnet, ropewalk-compat (the official names), ropewalk-doc. --sums is the SHA-256 of
# SHA256SUMS itself, for who was told it by another way. DRY_RUN=1 says what would be done, and does nothing.
set -eu

say() {
	echo "install.sh: $*" >&2
}
die() {
	say "$*"
	exit 1
}
# run COMMAND...
run() {
	if [ -n "${DRY_RUN:-}" ]; then
		echo "would run: $*"
	else
		"$@"
	fi
}
usage() {
	sed -n '2,6s/^# //p' "$0"
	exit "$1"
}

# fetch NAME WHY: from $from into $work
fetch() {
	case $from in
	https://*) curl -fsS --proto '=https' --tlsv1.2 -o "$work/$1" "$from/$1" || die "$from/$1 could not be had" ;;
	http://*) die "$from: only https:// is fetched" ;;
	*) cp "$from/$1" "$work/$1" 2>/dev/null || die "$from has no $1$2" ;;
	esac
}
sum_of() {
	sha256sum "$1" | cut -d ' ' -f 1
}
# file_of PACKAGE: its name in SHA256SUMS, of this architecture or of all
file_of() {
	sed -n "s/^[0-9a-f]\{64\}  \($1_[^_/]*_\($arch\|all\)\.deb\)\$/\1/p" "$work/SHA256SUMS" | tail -n 1
}

main() {
	from='' sums='' packages=''
	while [ $# -gt 0 ]; do
		case $1 in
		--from | --sums) [ $# -gt 1 ] || usage 2 >&2 ;;
		esac
		case $1 in
		--from) from=${2%/} && shift ;;
		--sums) sums=$2 && shift ;;
		-h | --help) usage 0 ;;
		-*) usage 2 >&2 ;;
		ropewalk | ropewalk-server | ropewalk-resolver | ropewalk-simnet | ropewalk-compat | ropewalk-doc) packages="$packages $1" ;;
		*) die "there is no package $1; see --help" ;;
		esac
		shift
	done
	[ -n "$from" ] || usage 2 >&2
	packages=${packages:- ropewalk}
	command -v dpkg >/dev/null && command -v apt-get >/dev/null || die "this machine has no apt; README.md says how to build"
	arch=$(dpkg --print-architecture)
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM

	fetch SHA256SUMS ": sha256sum *.deb >SHA256SUMS makes it, of packages that are your own"
	[ -z "$sums" ] || [ "$(sum_of "$work/SHA256SUMS")" = "$sums" ] || die "SHA256SUMS is not the one that was meant; nothing is installed"
	files=
	for p in $packages; do
		file=$(file_of "$p")
		[ -n "$file" ] || die "$from has no $p for $arch"
		fetch "$file" ", which SHA256SUMS names"
		grep -qxF "$(sum_of "$work/$file")  $file" "$work/SHA256SUMS" ||
			die "$file is not what SHA256SUMS says; nothing is installed"
		files="$files $work/$file"
	done
	chmod 755 "$work"
	# shellcheck disable=SC2086
	if [ "$(id -u)" = 0 ]; then
		run apt-get install -y --no-install-recommends $files
	else
		run sudo apt-get install -y --no-install-recommends $files
	fi
	[ -z "${DRY_RUN:-}" ] || return 0
	say "installed:$packages"
	for p in $packages; do
		case $p in
		ropewalk) say "the node runs; in the network it is after: ropewalk join LINE" ;;
		ropewalk-server) say "write /etc/ropewalk-control/config.yaml, then: systemctl enable --now ropewalk-control" ;;
		ropewalk-resolver) say "write /etc/ropewalk-resolver/resolver.yaml, then: systemctl enable --now ropewalk-resolver" ;;
		esac
	done
}

# Last: a copy that broke off in the middle does nothing.
main "$@"
