# SPDX-License-Identifier: GPL-2.0-or-later
"""usage, in an emulated host: tiering-sqlite.py MIB HOT_MIB PHASE_SEC PHASES

sqlite3 with a database in memory: tables of HOT_MIB each, MIB in all, a row to a page. Nine of ten queries add up a
random sixteenth of one table, the others of any other one. It is another table in each phase; the last goes on until it
is killed. A line of JSON each second: phase, seconds, queries answered since the line before. Who
started it ends sqlite3 with it, as a process group.
"""

import json
import os
import random
import subprocess
import sys
import time

PAGE_BYTES, PARTS = 4096, 16
# So much that no second row fits into a page, and that none needs an overflow page.
ROW_BYTES = 3000


def main(words):
    mib, hot_mib, seconds, phases = int(words[0]), int(words[1]), float(words[2]), int(words[3])
    rows, tables = hot_mib * 2 ** 20 // PAGE_BYTES, mib // hot_mib
    # An emulated processor keeps a translation until somebody else runs on it: this, after each query.
    os.sched_setaffinity(0, {os.cpu_count() - 1})
    sqlite = subprocess.Popen(["sqlite3", "-batch", ":memory:"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              bufsize=1)

    def ask(text):
        sqlite.stdin.write(text + "\n")
        answer = sqlite.stdout.readline()
        if not answer:
            raise SystemExit(f"tiering-sqlite: sqlite3 has ended with {sqlite.wait()}, after {text}")
        return answer.strip()

    ask(f"PRAGMA page_size={PAGE_BYTES}; SELECT 1;")
    for table in range(tables):
        ask(f"CREATE TABLE t{table}(id INTEGER PRIMARY KEY, amount INTEGER, rest BLOB); INSERT INTO t{table} "
            f"SELECT value, value, zeroblob({ROW_BYTES}) FROM generate_series(1, {rows}); SELECT 1;")
    print("touched", flush=True)
    draw = random.Random(1)
    for phase in range(phases):
        begin = told = time.monotonic()
        done, hot = 0, tables - 1 - phase
        while phase == phases - 1 or time.monotonic() - begin < seconds:
            table = hot if draw.random() < 0.9 else draw.choice([t for t in range(tables) if t != hot])
            first = draw.randrange(rows - rows // PARTS)
            found = ask(f"SELECT count(*), sum(amount) FROM t{table} WHERE id > {first} AND id <= "
                        f"{first + rows // PARTS};")
            if not found.startswith(f"{rows // PARTS}|"):
                raise SystemExit(f"tiering-sqlite: {found} of {rows // PARTS} rows")
            done += 1
            now = time.monotonic()
            if now - told >= 1:
                print(json.dumps({"phase": phase, "seconds": round(now - begin, 2), "requests": done}), flush=True)
                done, told = 0, now


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
