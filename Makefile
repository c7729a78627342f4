# SPDX-License-Identifier: GPL-2.0-or-later
# Each target is one line into meson or tests/lab; all of them do their own set-up. docs/contributing.md explains.
.PHONY: help demo check check-fast check-long bench kernel lab build clean distclean

help:
	@sed -n 's/^#: //p' Makefile

#: make demo        a VM crosses from one emulated host to another; HOLD=1 leaves the hosts up
demo:
	@tests/lab/demo

#: make check       every test, within 45 minutes on two cores; SUITES="unit lab" for some of them
check:
	@tests/run $(SUITES)

#: make check-fast  format, habits, unit tests and simulations, within a minute
check-fast:
	@tests/run --fast $(SUITES)

#: make check-long  every test with full counts and sanitizers in the emulated hosts, for as long as it takes
check-long:
	@tests/run --long $(SUITES)

#: make bench       every benchmark into build/bench; NAME=kernel for one
bench:
	@tests/bench/run $(NAME)

#: make kernel      Debian's Linux with kernel/series, for the lab's hosts; KERNEL_SRC=DIR for a tree of your own
kernel:
	@kernel/build

#: make lab         the Debian 13 root that all of this runs in; made once
lab:
	@tests/lab/root

#: make build       the project, built in that root and installed into build/lab/stage
build:
	@tests/lab/build

#: make clean       remove what was built
clean:
	@rm -rf build

#: make distclean   the same, and say what is left elsewhere on the machine
distclean: clean
	@echo "The lab's root stays, since other checkouts may use it: rm -rf $$(tests/lab/root --path)*"
