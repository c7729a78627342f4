# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs the test_ functions of a file, each by itself, and says how each ended."""

import contextlib
import sys
import traceback


def run(functions, around=contextlib.nullcontext, leave_out=()):
    """Every test_ of a module's names; @around: what each stands in, whose value it gets unless that is None."""
    failed = 0
    for name, test in list(functions.items()):
        if not name.startswith("test_") or test in leave_out:
            continue
        try:
            with around() as given:
                test(*([] if given is None else [given]))
            print(f"ok - {name}")
        except Exception:  # noqa: BLE001 - the traceback says what broke
            failed += 1
            print(f"not ok - {name}")
            traceback.print_exc()
    sys.exit(1 if failed else 0)
