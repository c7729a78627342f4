#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel/check.sh [--quick | --from NNNN | --variants]: each patch of the series in its turn applies without fuzz, passes checkpatch
# --strict, and builds with W=1 without a new warning in the files that it touches. A line for each; ends with the first
# that fails. --quick: nothing is built. --from: those before it are applied and nothing else. --variants: instead, the
# whole series with one part after the other left out of the configuration: the directories that it touches.
set -euo pipefail
kernel=$(cd "$(dirname "$(readlink -f "$0")")" && pwd -P)
. "$kernel/lib.sh"

log=$store/check.log

# Warnings in a log, a line for each: the file, and the text without numbers. gcc's, kernel-doc's, modpost's.
warnings() {
	sed -nE "s,($tree/|(\.\./)+),,g
		s,^([^: ]+):[0-9:]+ *warning: (.*),\1: \2,p
		s,^Warning: ([^: ]+):[0-9]+:? (.*),\1: \2,p
		s,^WARNING: modpost: (.*),modpost: \1,p" "$1" | sed -E 's/[0-9]+/N/g' | sort -u
}

# The files of a patch, as they are called after it.
files_of() {
	sed -nE 's,^\+\+\+ b/([^	]*).*,\1,p' "$1" | sort -u
}

# What of the series' own configuration the tree has by now, its tests included.
known_options() {
	local line symbol
	while IFS= read -r line; do
		symbol=$(sed -nE 's/^(# )?CONFIG_([A-Za-z0-9_]+).*/\2/p' <<<"$line")
		[ -z "$symbol" ] || ! grep -rqE "^[[:space:]]*(menu)?config $symbol\$" --include='Kconfig*' $tree/{mm,lib,drivers/{cxl,dax,acpi,base},kernel,init,fs} ||
			echo "$line"
	done < <(cat "$kernel/config/series.config" "$kernel/config/kunit.config")
}

# compile NAME: prints the warnings, or dies with the first error
compile() {
	known_options >$objects/known.config
	configure "$kernel/config/lab.config" $objects/known.config
	refuse_lost "$lost"
	kmake W=1 -j"${JOBS:-$(nproc)}" vmlinux modules >"$log" 2>&1 ||
		die "$1: does not build: $(grep -m1 -E 'error:|undefined reference|ERROR: modpost|\*\*\*' "$log" || tail -n 1 "$log") (see $log)"
	warnings "$log"
}

check() {
	local patch=$1 name=${1##*/} out new file absent=()
	if ! out=$(cd $tree && perl scripts/checkpatch.pl --strict --terse --show-types --no-summary "$patch" 2>&1); then
		printf '%s\n' "$out" >"$log"
		die "$name: checkpatch: $(head -n 1 <<<"$out" | sed "s,^.*$name:,line ,")$([ "$(wc -l <<<"$out")" = 1 ] || echo " and $(($(wc -l <<<"$out") - 1)) more (see $log)")"
	fi
	put "$patch"
	if [ -n "$quick" ]; then
		say "$name: applies, checkpatch: ok"
		return
	fi
	compile "$name" >$objects/now
	new=$(comm -13 $objects/before $objects/now | grep -Ff <(files_of "$patch" | sed 's/$/:/'; echo modpost:) || :)
	[ -z "$new" ] || die "$name: a new warning: $(head -n 1 <<<"$new") (see $log)"
	sort -u -o $objects/before $objects/before $objects/now
	for file in $(files_of "$patch" | grep '\.c$'); do
		[ -e "$objects/${file%.c}.o" ] || absent+=("$file")
	done
	say "$name: checkpatch, W=1: ok${absent[*]:+; not compiled by this configuration: ${absent[*]}}"
}

# The files of all patches
all_files() {
	local patch
	for patch in $(patches); do
		files_of "$patch"
	done | sort -u
}

# Each with what goes as well.
variants=(
	'# CONFIG_NODE_MEMORY_TYPES is not set'
	'CONFIG_CXL_REGION_NODES=0'
	'# CONFIG_CXL_REGION is not set'
	'# CONFIG_MEMORY_HOTREMOVE is not set'
	'# CONFIG_MEMORY_HOTPLUG is not set'
	'# CONFIG_NUMA is not set'
)

# The directories of the series' files that kbuild can be told to compile.
directories() {
	local file
	all_files | grep '\.c$' | grep -v '^tools/' | while IFS= read -r file; do
		# Tests are compiled with the directory that they are about.
		file=${file%/*}
		echo "${file%/tests}/"
	done | sort -u
}

check_variants() {
	local patch option name list
	for patch in $(patches); do
		put "$patch"
	done
	mapfile -t list < <(directories)
	for option in "${variants[@]}"; do
		name=$(sed -E 's/^# CONFIG_(.*) is not set/\1=n/; s/^CONFIG_//' <<<"$option")
		echo "$option" >$objects/variant.config
		configure "$kernel/config/lab.config" "$kernel/config/series.config" "$kernel/config/kunit.config" $objects/variant.config
		# Whatever depends on it goes with it; the option itself must be as it was asked for.
		[[ "$lost" != *variant.config* ]] || die "$name: cannot be had: $(grep variant.config <<<"$lost" | head -n 1)"
		kmake W=1 -j"${JOBS:-$(nproc)}" "${list[@]}" >"$log" 2>&1 ||
			die "$name: does not build: $(grep -m1 -E 'error:|\*\*\*' "$log" || tail -n 1 "$log") (see $log)"
		grep -Ff <(all_files | sed 's/$/:/') <(warnings "$log") >$objects/now || :
		[ ! -s $objects/now ] || die "$name: a warning: $(head -n 1 $objects/now) (see $log)"
		say "$name: W=1: ok"
	done
}

put() {
	apply $tree "$1" || die "$failed_patch does not apply to $source_name without fuzz: $failed_reason; rebase kernel/series"
}

inside() {
	local patch from=$1 quick=$2 only_variants=$3
	source_name=$KERNEL_SOURCE_NAME
	open_tree
	objects_in "$store/objects-check.tmp"
	if [ -n "$only_variants" ]; then
		check_variants
		return
	fi
	for patch in $(patches); do
		[[ ${patch##*/} < $from ]] || break
		put "$patch"
	done
	if [ -z "$quick" ]; then
		say "building $source_name${from:+ up to $from} with W=1, to know the warnings that it has"
		compile "$source_name" >$objects/before
	fi
	for patch in $(patches); do
		[[ ${patch##*/} < $from ]] || check "$patch"
	done
}

if [ "${1-}" = --inside ]; then
	inside "${@:2}"
	exit
fi

from='' quick='' only_variants=''
if [ "${1-}" = --from ] && [[ ${2-} =~ ^[0-9]{4}$ ]]; then
	from=$2
elif [ $# = 1 ] && [ "$1" = --quick ]; then
	quick=1
elif [ $# = 1 ] && [ "$1" = --variants ]; then
	only_variants=1
elif [ $# -gt 0 ]; then
	die "usage: kernel/check.sh [--quick | --from NNNN | --variants]"
fi
[ -n "$(patches)" ] || die "kernel/series has no patches: nothing to check"
[ -z "${LAB_INSIDE-}" ] || die "must be run outside of the lab's root: it fetches packages"
[ "$(id -u)" = 0 ] || die "must be run as root: it enters the lab's root"
"$lab/root" >/dev/null
mkdir -p "$store"
exec 9>"$store/check.lock" 8>"$store/lock"
flock -n 9 || die "another run of kernel/check.sh is under way: wait for it"
flock 8
need_source
flock -u 8
rm -rf "$store/objects-check.tmp"
trap 'rm -rf "$store/objects-check.tmp"' EXIT
enter check.sh "$source" --inside "$from" "$quick" "$only_variants"
say "$(patches | wc -l) patches: ok"
