# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# How packages are downloaded that are not to be installed. apt works on a state
# of its own in the cache, so this needs no root and leaves the machine's apt
# alone; Debian's signatures vouch for what comes. To be sourced after lib.sh.

DEBS=$BAO_CACHE/debs

# One state, for arm64, serves all machines: the packages that a guest needs are
# for arm64, and the kernel's source is for all. Of the machine's own
# architecture are the tools that go with a kernel's headers.
APT_OPTIONS=(
	-o "Dir::State=$BAO_CACHE/apt/state"
	-o "Dir::Cache=$BAO_CACHE/apt/cache"
	-o Dir::State::status=/dev/null
	-o APT::Architecture=arm64
	-o APT::Architectures::=arm64
	-o "APT::Architectures::=$(dpkg --print-architecture)"
	-o APT::Sandbox::User=
	-o Acquire::Languages=none
	-o Acquire::Retries=3
)

update_lists() {
	mkdir -p "$BAO_CACHE"/apt/state/lists/partial \
		"$BAO_CACHE"/apt/cache/archives/partial "$DEBS"
	apt-get "${APT_OPTIONS[@]}" update
}

version_of() {
	apt-cache "${APT_OPTIONS[@]}" show --no-all-versions "$1" 2>/dev/null |
		sed -n 's/^Version: //p'
}

# The newest package whose name matches
newest() { # pattern
	apt-cache "${APT_OPTIONS[@]}" search --names-only "$1" |
		sed 's/ - .*//' | sort -V | tail -n 1
}

# Puts a package where nothing half-loaded can be. apt checks its hash before it
# gives it its final name. usage: fetch_deb PACKAGE VERSION FILE
fetch_deb() {
	[ ! -s "$3" ] || return 0
	rm -rf "$DEBS/new" && mkdir "$DEBS/new" || return
	(cd "$DEBS/new" &&
		apt-get "${APT_OPTIONS[@]}" download "$1=$2") || return
	mv "$DEBS"/new/*.deb "$3"
}
