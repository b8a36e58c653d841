#!/usr/bin/env python3
"""Fails when an include points the wrong way or a foreign header leaves its fence.

Layers: server -> api -> engine and server -> engine; both see of the engine its door and base.
Inside the engine: base <- {kernel, load} <- mixer <- model; load <- text; mixer <- state; all of
them <- run <- engine.c. Includes are root-relative. A self-check plants violations first.
"""
import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)

DOOR = ["engine/engine.h", "engine/base/*"]
# Which headers a file may include: the first row whose pattern fits decides.
ARROWS = [
    ("server/*", ["server/*", "api/*"] + DOOR),
    ("api/*", ["api/*"] + DOOR),
    ("engine/engine.[ch]", ["engine/*"]),
    ("engine/base/*", ["engine/base/*"]),
    ("engine/kernel/*", ["engine/base/*", "engine/kernel/*"]),
    # kernel.h names the element types that files and kernels share.
    ("engine/load/*", ["engine/base/*", "engine/kernel/kernel.h", "engine/load/*"]),
    ("engine/mixer/*", ["engine/base/*", "engine/kernel/*", "engine/load/*", "engine/mixer/*"]),
    ("engine/model/*", ["engine/base/*", "engine/kernel/*", "engine/load/*", "engine/mixer/*",
                        "engine/model/*"]),
    # engine.h declares what travels through the door: ids, parameters, events.
    ("engine/text/*", ["engine/engine.h", "engine/base/*", "engine/load/*", "engine/text/*"]),
    ("engine/state/*", ["engine/base/*", "engine/kernel/*", "engine/load/*", "engine/mixer/*",
                        "engine/state/*"]),
    ("engine/run/*", ["engine/*"]),
    ("tests/*", ["*.h"]),
]
FENCES = [
    ("uv.h", ["server/*"]),
    ("microhttpd.h", ["server/http.c"]),
    ("jansson.h", ["engine/base/json.c"]),
    ("cblas.h", ["engine/kernel/gemm.c"]),
    ("xxhash.h", ["engine/base/hash.c"]),
    ("pcre2.h", ["engine/text/*", "engine/load/*"]),
    ("utf8proc.h", ["engine/text/*", "engine/load/*"]),
    ("pthread.h", ["engine/kernel/pool.c", "server/bridge.c"]),
    ("*mmintrin.h", ["engine/kernel/x86/*", "engine/kernel/cpu.c"]),
    ("arm_neon.h", ["engine/kernel/arm/*"]),
    ("cpuid.h", ["engine/kernel/cpu.c"]),
    ("cmocka.h", ["tests/*"]),
]


def fits(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def wrong_own(path, header):
    if header.endswith(".c"):
        return "includes a .c file"
    for pattern, allowed in ARROWS:
        if fits(path, [pattern]):
            return "" if fits(header, allowed) else "points the wrong way"
    return "is in no layer"


def wrong_foreign(path, header):
    for pattern, allowed in FENCES:
        if fits(header, [pattern]) and not fits(path, allowed) and not path.startswith("tests/"):
            return "leaves its fence"
    return ""


def faults(path, text, exists):
    for mark, header in INCLUDE.findall(text):
        own = mark == '"'
        why = wrong_own(path, header) if own else wrong_foreign(path, header)
        if own and not why and not exists(header):
            why = "is not in the tree (includes are root-relative)"
        if why:
            yield f'{path}: {header} {why}'


PLANTED = [
    ("engine/base/err.c", '#include "engine/kernel/kernel.h"'),
    ("engine/load/weights.c", '#include "engine/kernel/gemm.h"'),
    ("engine/kernel/gemm.c", '#include "engine/load/weights.h"'),
    ("engine/mixer/attn.c", '#include "engine/model/model.h"'),
    ("engine/mixer/attn.c", '#include "engine/state/pages.h"'),
    ("engine/run/seq.c", '#include "server/config.h"'),
    ("engine/engine.c", '#include "api/api.h"'),
    ("api/sse.c", '#include "server/config.h"'),
    ("api/sse.c", '#include "engine/run/seq.h"'),
    ("server/loop.c", '#include "engine/kernel/pool.h"'),
    ("server/loop.c", "#include <microhttpd.h>"),
    ("server/loop.c", "#  include <pthread.h>"),
    ("api/api.h", "#include <uv.h>"),
    ("engine/run/seq.c", "#include <immintrin.h>"),
    ("tests/engine/test_x.c", '#include "engine/run/seq.c"'),
    ("server/loop.c", '#include "config.h"'),
]


def self_check():
    for path, line in PLANTED:
        if not list(faults(path, line + "\n", lambda header: True)):
            sys.exit(f"layers: self-check: not caught: {path}: {line}")
    good = '#include "engine/base/err.h"\n#include <stdio.h>\n'
    if list(faults("server/loop.c", good, lambda header: True)):
        sys.exit("layers: self-check: a good include was refused")


def main():
    self_check()
    found, n = [], 0
    for top in ["server", "api", "engine", "tests"]:
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            if "node_modules" in path.parts:
                continue
            n += 1
            name = str(path.relative_to(ROOT))
            text = path.read_text(encoding="utf-8")
            found += faults(name, text, lambda header: (ROOT / header).is_file())
    print("\n".join(found) if found else f"layers: {n} files, every arrow points down")
    return 1 if found or n == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
