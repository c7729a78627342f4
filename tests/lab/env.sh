# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Paths that every lab script agrees on. Sourced, with $lab already the directory of this file.

checkout=$(cd "$lab/../.." && pwd -P)
cache=${CXL_TIER_CACHE:-/var/cache/cxl-tier}

# Two checkouts on one machine must not meet: their hosts, networks and backing files carry this id. LAB_INSTANCE makes
# a further lab in the same checkout, for people or tests that work in it side by side.
lab_id=$(printf %s "$checkout${LAB_INSTANCE:+#$LAB_INSTANCE}" | sha256sum)
lab_id=${lab_id:0:8}

# The root depends on its list of packages and on the script that makes it, and on nothing else.
root_hash=$(cat "$lab/packages" "$lab/root" | grep -v '^# SPDX-' | sha256sum)
root_hash=${root_hash:0:12}
root=$cache/root-$root_hash

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}
