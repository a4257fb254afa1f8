# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What every init script starts with; to be sourced.

export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp

# Lines go through the kernel's log. Written to the console directly, they
# would mix with the kernel's own in the middle of a line. The level is one
# that a quiet kernel shows too.
say() { echo "<1>$*" >/dev/kmsg; }
say_lines() { # prefix
	awk -v prefix="<1>$1" '{ print prefix $0 >"/dev/kmsg"; fflush() }'
}

# Does not return.
power_off() { poweroff -f; }
