# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What kernel/build and kernel/check.sh share. Sourced, with $kernel already the directory of this file.
#
# Both run twice: first on the machine, whose apt fetches the source, then again inside of the lab's root (LAB_INSIDE),
# where the compiler is. There the tree is an overlay: the source below, which stays as it is, and memory on top of it.

# shellcheck source=tests/lab/env.sh
lab=$kernel/../tests/lab && . "$lab/env.sh"

# Changes when the same series and configuration must be built anew.
recipe=2
store=$cache/linux
[ -z "${KERNEL_SERIES-}" ] || KERNEL_SERIES=$(readlink -f "$KERNEL_SERIES")
series=${KERNEL_SERIES:-$kernel/series}
began=${KERNEL_BEGAN:-$EPOCHSECONDS}
# Fixed places, so that ccache finds what another checkout has compiled.
tree=/media/linux
objects=/media/objects
# Half a gigabyte that nothing here compiles: register headers of a graphics driver, other machines' device trees.
unneeded=(--exclude='*/drivers/gpu/drm/amd/include/*' --exclude='*/arch/*/boot/dts/*' --exclude='*/Documentation/devicetree/*')

say() {
	local seconds=$((EPOCHSECONDS - began))
	printf 'kernel: [%d:%02d] %s\n' $((seconds / 60)) $((seconds % 60)) "$*"
}

die() {
	printf 'kernel: %s\n' "$*" >&2
	exit 1
}

# The patches in their order; the cover letter is not one.
patches() {
	[ ! -d "$series" ] || find "$series" -maxdepth 1 -name '[0-9]*.patch' ! -name '0000-*' | sort
}

# base PACKAGE VERSION of what the series is written against
base() {
	sed '/^#/d' "$kernel/base"
}

# The fragments of a flavour: patched, debug or unpatched.
fragments() {
	echo "$kernel/config/lab.config"
	if [ "$1" != unpatched ] && [ -n "$(patches)" ]; then
		echo "$kernel/config/series.config"
		[ "$1" != debug ] || echo "$kernel/config/kunit.config"
	fi
	[ "$1" != debug ] || echo "$kernel/config/debug.config"
}

# Where a flavour's kernel is kept: named by all that it is made from.
result() {
	local list=()
	mapfile -t list < <(fragments "$1"; [ "$1" = unpatched ] || patches)
	echo "$store/kernel-$({
		echo "$recipe $1"
		base
		for file in "${list[@]}"; do
			echo "${file##*/}"
			cat "$file"
		done
	} | sha256sum | cut -c 1-12)"
}

# ---- the source ------------------------------------------------------------------------------------------------------

# The machine's apt with the root's sources and with Debian's own keys, which the root has; nothing else is trusted.
with_apt() {
	local tool=$1
	shift
	"$tool" -q -o Dir::State="$store/apt" -o Dir::State::lists="$store/apt/lists" -o Dir::Cache="$store/apt" \
		-o Dir::State::status="$root/var/lib/dpkg/status" -o Dir::Etc::sourcelist="$root/etc/apt/sources.list" \
		-o Dir::Etc::sourceparts=- -o Dir::Etc::trusted=/dev/null -o Dir::Etc::trustedparts="$root/etc/apt/trusted.gpg.d" \
		-o Acquire::Languages=none "$@"
}

# download PACKAGE VERSION: prints the path of the package's file
download() {
	local log=$store/apt.log
	rm -rf "$store/debs"
	mkdir -p "$store/debs"
	(cd "$store/debs" && with_apt apt-get download "$1=$2") >"$log" 2>&1 ||
		die "cannot fetch $1 $2: $(grep -m1 '^E:' "$log" || echo "see $log"); once apt-get update works here, run make kernel again"
	find "$store/debs" -name '*.deb'
}

# unpack DEB DIRECTORY [TAR-ARGUMENT...]: the tree that a linux-source package has in an archive of its own
unpack() {
	local deb=$1 to=$2
	shift 2
	mkdir -p "$to"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
		python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer, 1 << 20)' |
		tar -x -C "$to" --strip-components=1 "$@"
}

# The files that the series changes or renames, which must be in a tree for it to be tried there.
touched() {
	local list=()
	mapfile -t list < <(patches)
	[ ${#list[@]} = 0 ] || sed -n 's,^--- a/\([^\t]*\).*,\1,p; s,^rename from ,,p; s,^copy from ,,p' "${list[@]}" | sort -u
}

# apply TREE PATCH...: without fuzz. What does not apply is in $failed_patch and $failed_reason.
apply() {
	local patch out
	for patch in "${@:2}"; do
		# No repository: of the tree's own, git might not be able to read it, and one around it has other files.
		if ! out=$(GIT_DIR=/nonexistent git -C "$1" apply --whitespace=nowarn "$patch" 2>&1); then
			failed_patch=${patch##*/}
			failed_reason=$(sed -n 's/^error: //p' <<<"$out" | head -n 1)
			failed_reason=${failed_reason:-$out}
			return 1
		fi
	done
}

# try_series TREE: would it apply? On copies of the files that it touches.
try_series() {
	local scratch file status=0 list
	scratch=$(mktemp -d)
	while IFS= read -r file; do
		[ ! -e "$1/$file" ] || install -D -m 644 "$1/$file" "$scratch/$file"
	done < <(touched)
	mapfile -t list < <(patches)
	apply "$scratch" "${list[@]}" || status=1
	rm -rf "$scratch"
	return $status
}

# Sets $source, a directory that is never changed, and $source_name. Fetches it if need be.
need_source() {
	local package version deb
	read -r package version < <(base)
	source=$store/source-$version source_name="$package $version"
	if [ -e "$source/.complete" ]; then
		return
	fi
	[ "$(id -u)" = 0 ] || die "must be run as root: it enters the lab's root"
	local free_kib
	free_kib=$(df -Pk "$cache" | awk 'NR == 2 { print $4 }')
	[ "$free_kib" -ge $((4 << 20)) ] ||
		die "$cache has $((free_kib >> 10)) MiB free, 4096 MiB are needed: make room, or set CXL_TIER_CACHE"
	mkdir -p "$store"/apt/{lists,archives}/partial
	with_apt apt-get update >"$store/apt.log" 2>&1 ||
		die "apt-get update failed: $(grep -m1 '^E:' "$store/apt.log" || echo "see $store/apt.log"); once it works, run make kernel again"
	if with_apt apt-cache madison "$package" | awk -F ' *[|] *' '{ print $2 }' | grep -qxF "$version"; then
		say "fetching $package $version"
		deb=$(download "$package" "$version")
	else
		newest_that_fits "$package" "$version"
	fi
	[ -n "${deb-}" ] || return 0
	say "unpacking $source_name"
	rm -rf "$store"/source-*
	unpack "$deb" "$source.tmp" "${unneeded[@]}" || die "cannot unpack $source_name: see above; is there room in $cache?"
	: >"$source.tmp/.complete"
	mv "$source.tmp" "$source"
	rm -rf "$store/debs"
}

# The archive has moved on: sets $deb, $source and $source_name, or dies.
newest_that_fits() {
	local wanted="$1 $2" package version candidate tried=() scratch reason fits
	local -a all files
	mapfile -t all < <(for package in $(with_apt apt-cache pkgnames linux-source- | grep -x 'linux-source-[0-9.]*'); do
		with_apt apt-cache madison "$package" | awk -F ' *[|] *' '{ print $2, $1 }'
	done | tr -s ' ' | sort -Vru)
	mapfile -t files < <(touched)
	for candidate in "${all[@]}"; do
		read -r version package <<<"$candidate"
		source=$store/source-$version source_name="$package $version"
		if [ -e "$source/.complete" ]; then
			scratch=$source
		else
			say "the archive no longer has $wanted; trying $package $version"
			deb=$(download "$package" "$version")
			scratch=$(mktemp -d "$store/try.XXXXXX")
			# Files that are not in this version make tar complain, and the series fail.
			[ ${#files[@]} = 0 ] || unpack "$deb" "$scratch" --wildcards "${files[@]/#/*/}" 2>/dev/null || :
		fi
		# Inside, where there is a git.
		reason=$(enter build "" --check-series "/var/cache/cxl-tier/linux/${scratch##*/}" 2>&1) && fits=1 || fits=
		[ "$scratch" = "$source" ] || rm -rf "$scratch"
		[ -z "$fits" ] || return 0
		deb=
		tried+=("$version ($(sed 's/^kernel: \([^ ]*\) does not apply to [^ ]* without fuzz: \(.*\); rebase.*/\1: \2/' <<<"$reason"))")
	done
	die "the archive no longer has $wanted, and the series applies to none of ${tried[*]-what it has, which is nothing}: rebase kernel/series, or KERNEL_SRC=DIR make kernel with a tree that it applies to"
}

# ---- inside of the lab's root ----------------------------------------------------------------------------------------

# enter SCRIPT SOURCE [WORD...]: SCRIPT again, inside, SOURCE at /mnt
enter() {
	local script=$1 from=$2
	shift 2
	case ${KERNEL_SERIES-} in
	"$checkout"/*) KERNEL_SERIES=/src/${KERNEL_SERIES#"$checkout"/} ;;
	'' | /tmp/*) ;;
	*) die "KERNEL_SERIES=$KERNEL_SERIES cannot be seen inside of the lab's root: put it into the checkout or below /tmp" ;;
	esac
	(cd "$checkout" && KERNEL_SERIES=${KERNEL_SERIES-} KERNEL_BEGAN=$began KERNEL_SOURCE_NAME=$source_name \
		LAB_BIND=$from "$lab/enter" "kernel/$script" "$@")
}

# The tree to build in, and compilers whose results ccache can tell apart. The source is at /mnt, read-only.
open_tree() {
	local tool
	for tool in flex bison bc make lz4; do
		command -v $tool >/dev/null || die "the lab's root has no $tool: add it to tests/lab/packages"
	done
	mount -n -t tmpfs -o mode=755 kernel /media
	mkdir -p $tree $objects /media/upper /media/work
	mount -n -t overlay -o lowerdir=/mnt,upperdir=/media/upper,workdir=/media/work overlay $tree
	# By the compiler's own list of dependencies: running the preprocessor first takes a quarter more time.
	export CCACHE_DEPEND=1
	export CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=include_file_mtime,include_file_ctime,time_macros
	export KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 UTC' KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=cxl-tier
	unset KERNEL MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES
}

# objects_in DIRECTORY: keep what is compiled there
objects_in() {
	mkdir -p "$1"
	mount -n --bind "$1" $objects
}

kmake() {
	make -C $tree O=$objects LOCALVERSION= "$@"
}

# configure FRAGMENT...: all that they say, and nothing else
configure() {
	cat "$@" >$objects/fragment
	KCONFIG_ALLCONFIG=$objects/fragment kmake -s allnoconfig >$objects/config.log 2>&1 &&
		kmake -s olddefconfig >>$objects/config.log 2>&1 ||
		die "cannot configure $source_name: $(grep -m1 -iE 'error|\*\*\*' $objects/config.log || tail -n 1 $objects/config.log)"
	lost=$(lost_lines $objects/.config "$@")
}

# lost_lines CONFIG FRAGMENT...: the lines of the fragments that are not what CONFIG has. The last fragment wins.
lost_lines() {
	awk '
	function parse(line) {
		if (match(line, /^CONFIG_[A-Za-z0-9_]+=/)) {
			name = substr(line, 1, RLENGTH - 1)
			value = substr(line, RLENGTH + 1)
			return 1
		}
		if (line ~ /^# CONFIG_[A-Za-z0-9_]+ is not set$/) {
			name = $2
			value = "n"
			return 1
		}
		return 0
	}
	FNR == 1 { file++ }
	!parse($0) { next }
	file == 1 { have[name] = value; next }
	{
		if (!(name in want))
			order[++count] = name
		want[name] = value
		from[name] = FILENAME
	}
	END {
		for (i = 1; i <= count; i++) {
			name = order[i]
			got = name in have ? have[name] : "n"
			if (got != want[name]) {
				sub(/.*\//, "", from[name])
				printf "%s=%s of %s is %s\n", name, want[name], from[name], got == "n" ? "not set" : got
			}
		}
	}' "$@"
}

refuse_lost() {
	[ -z "$1" ] || die "configuration: $(sed ':a; N; $!ba; s/\n/, /g' <<<"$1") after make olddefconfig: what it depends on is missing, or it was renamed; mend kernel/config"
}
