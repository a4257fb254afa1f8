# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# What the checkers of "make lint" share. A checker prints "looked at WHAT" once
# or more often, the findings, and "ok NAME" or "not ok NAME" for each thing that
# it checked. To be sourced.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

CHECKER=${0##*/}
EXCUSES=$SCRIPTS/checkers/excuses
work=$BAO_CACHE/lint/$CHECKER

begin() {
	rm -rf "$work" && mkdir -p "$work"
	: >"$work/used"
}

looked_at() { say "looked at $*"; }

verdict() { # status name
	if [ "$1" = 0 ]; then
		say "ok $CHECKER: $2"
	else
		say "not ok $CHECKER: $2"
	fi
}

# Runs a function in a shell of its own, where any failing command ends it.
check() { # name command...
	local name=$1 status=0
	shift
	("$@") &
	wait $! || status=$?
	verdict $status "$name"
}

# Succeeds if there is no input, and shows it if there is some
nothing() { ! grep .; }

# Succeeds if no line of a file matches, and shows those that do
absent() { # pattern file
	local status=0
	grep -E "$1" "$2" || status=$?
	[ $status = 1 ]
}

# Findings, "FILE: TEXT" each, come in; those that the file "excuses" has no
# reason for go out. Says how many there were of both. usage: judge NAME
judge() {
	local status=0
	awk -v checker="$CHECKER" -v used="$work/used" '
	FNR == NR {
		if ($1 == checker) {
			n++
			file[n] = $2
			$1 = $2 = ""
			text[n] = substr($0, 3)
			sub(/ -- .*/, "", text[n])
		}
		next
	}
	{
		for (i = 1; i <= n; i++)
			if (index($0, file[i]) == 1 && index($0, text[i])) {
				print file[i], text[i] >>used
				excused++
				next
			}
		print
		found++
	}
	END {
		printf "found %d excused %d\n", found, excused
		exit found > 0
	}' "$EXCUSES" - || status=1
	verdict $status "$1"
}

# A reason that nothing needs any more is out of date.
excuses_needed() {
	local unused
	unused=$(sed -n "s/^$CHECKER  *\([^ ]*\)  *\(.*\) -- .*/\1 \2/p" "$EXCUSES" |
		grep -vxFf "$work/used") || return 0
	say "nothing is found any more that these excuse:"
	say "$unused"
	return 1
}

all_excuses_needed() {
	! grep -q "^$CHECKER " "$EXCUSES" ||
		check "all listed reasons are needed" excuses_needed
}

# The warnings of a build that are about our files, for "judge". What the kernel's
# own headers are warned of is none of ours, nor are other drivers' dependencies.
# And modpost cannot look up symbols where no kernel is built. usage: compiler_findings LOG
compiler_findings() {
	sed -nE -e 's#^.*\b((drivers/virt|include/uapi/linux)/bao[^:]*):[0-9:]* *((warning|error): .*)#\1: \3#p' \
		-e '/^(WARNING|ERROR|modpost): /p' "$1" | sort -u |
		grep -vE '(Module.symvers|vmlinux.o)[ "].*is missing|undefined!|suppressed [0-9]+ unresolved' |
		grep -vE 'unmet direct dependencies detected for ([^B]|B[^A]|BA[^O])' ||
		true
}

# The repository's files, without what a build has left in it
our_files() {
	(cd "$ROOT" && { git ls-files -co --exclude-standard ||
		find . -type f ! -path './.git/*' ! -path './build/*'; } 2>/dev/null |
		sed 's|^\./||' | sort -u | while read -r file; do
			[ ! -f "$file" ] || say "$file"
		done)
}
