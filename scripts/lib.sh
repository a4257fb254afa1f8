# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# What the scripts share: where things are, how they say that something went
# wrong, and how a half-done step is kept from looking done. To be sourced.

set -euo pipefail
export LC_ALL=C
export PATH="$PATH:/usr/sbin:/sbin"

# What a surrounding make or a developer's shell has set is not for our builds.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
unset ARCH CROSS_COMPILE O KBUILD_OUTPUT KCFLAGS KCPPFLAGS LLVM CC CFLAGS LDFLAGS

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
SCRIPTS=$ROOT/scripts
SELFTESTS=$ROOT/tools/testing/selftests/bao
CONFIGS=$SELFTESTS/configs
BAO_CACHE=${BAO_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/bao-linux}
[[ $BAO_CACHE = /* ]] || BAO_CACHE=$PWD/$BAO_CACHE
JOBS=$(nproc)
CROSS=aarch64-linux-gnu-

# The same source gives the same kernel, whoever builds it and when.
export KBUILD_BUILD_USER=bao KBUILD_BUILD_HOST=bao
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'

# Whether the bed can run on this machine itself
is_native() { [ "$(uname -m)" = aarch64 ] && [ -w /dev/kvm ]; }

say() { printf '%s\n' "$*"; }
die() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# A directory becomes the cache while it is empty, so that nothing but the cache
# is in it when remove-cache empties it. The file "lock" marks it.
use_cache() {
	mkdir -p "$BAO_CACHE" ||
		die "the cache cannot be there; set BAO_CACHE to another directory"
	[ ! -e "$BAO_CACHE/lock" ] || return 0
	[ -z "$(ls -A "$BAO_CACHE")" ] || [ -e "$BAO_CACHE/lock" ] ||
		die "$BAO_CACHE has other things in it; set BAO_CACHE to another directory"
	true >>"$BAO_CACHE/lock"
}

# One build at a time works in the cache. A script that already holds the lock
# hands it to those that it calls.
lock_cache() {
	[ "${BAO_LOCKED:-}" != "$BAO_CACHE" ] || return 0
	use_cache
	exec 9>"$BAO_CACHE/lock"
	if ! flock -n 9; then
		say "waiting for another build in $BAO_CACHE" >&2
		flock 9
	fi
	export BAO_LOCKED=$BAO_CACHE
}

# A build's long output goes to a log; the person sees one line with the time
# it took, and the log's end if it failed. usage: step TITLE LOG COMMAND...
step() {
	local title=$1 log=$2 start=$SECONDS status=0
	shift 2
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 </dev/null || status=$?
	if [ $status -ne 0 ]; then
		tail -n 40 "$log" >&2
		die "$title failed; all of its output is in $log"
	fi
	printf '  %-52s %4d s\n' "$title" $((SECONDS - start)) >&2
}

# A key that changes when one of the inputs does. usage: key_of STRING FILE...
key_of() {
	local text=$1
	shift
	{ printf '%s\n' "$text"; cat -- "$@"; } | sha256sum | cut -c1-32
}

is_done() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
mark_done() { printf '%s\n' "$2" >"$1.tmp" && mv "$1.tmp" "$1"; }

# A directory's files as an initial file system. Names and contents decide
# what comes out, not times or owners. usage: pack_initramfs DIR OUT
pack_initramfs() {
	find "$1" -exec touch -h -d @0 {} +
	(cd "$1" && find . | sort |
		cpio -o -H newc -R 0:0 --reproducible --quiet) >"$2.tmp"
	mv "$2.tmp" "$2"
}
