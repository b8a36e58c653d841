#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when an include crosses rooms against the arrows or a foreign header leaves its fence.

A room is a folder; the tables below say which headers each may include beside its own and
engine/base. Includes are root-relative. Families of files keep a prefix, and no two files in
the tree have the same name (the kernel bodies excepted). A self-check plants violations first.
"""
import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)

TYPES = "engine/types.h"
DOOR = [TYPES, "engine/engine.h"]
OBJECTS, MEASURE = ["engine/objects.h"], ["engine/measure.h"]
SERVE = ["server/http/*", "server/config/*", "server/storage/*", "api/*"] + DOOR + OBJECTS

# The first row whose pattern fits decides. A file also sees its own room and engine/base.
ARROWS = [
    ("engine/base/*", []),
    (TYPES, []),
    ("engine/kernel/*", [TYPES]),
    ("engine/tokenizer/*", [TYPES]),
    ("engine/load/*", [TYPES, "engine/kernel/kernel.h", "engine/kernel/matrix.h"]),
    ("engine/state/*", [TYPES, "engine/kernel/kernel.h"]),
    ("engine/mixer/*", [TYPES, "engine/kernel/*", "engine/load/*"]),
    ("engine/model/*", [TYPES, "engine/kernel/*", "engine/load/*", "engine/mixer/*"]),
    ("engine/run/*", [TYPES, "engine/*/*"]),
    ("engine/engine_priv.h", ["engine/*"]),
    ("engine/*.c", ["engine/*"]),
    ("engine/*.h", [TYPES]),
    ("api/template/*", []),
    ("api/tools/*", []),
    ("api/*", [TYPES, "api/template/*", "api/tools/*"]),
    ("server/http/*", []),
    ("server/config/*", DOOR),
    ("server/storage/*", ["api/*"]),
    ("server/serve/*", SERVE),
    ("server/routes/*", ["server/serve/*"] + SERVE),
    ("server/bench/*", DOOR + MEASURE),
    ("server/cmd/*", ["server/routes/*", "server/serve/*", "server/bench/*", "server/config/*"]
     + DOOR + MEASURE),
    ("tests/*", ["*.h"]),
]
FENCES = [
    ("uv.h", ["server/http/*", "server/serve/*"]),
    ("microhttpd.h", ["server/http/http_writer.c"]),
    ("jansson.h", ["engine/base/json.c"]),
    ("cblas.h", ["engine/kernel/blas.c"]),
    ("xxhash.h", ["engine/base/hash.c"]),
    ("pcre2.h", ["engine/tokenizer/regex.c"]),
    ("utf8proc.h", ["engine/tokenizer/normal.c", "api/template/jinja_char.c"]),
    ("pthread.h", ["engine/kernel/pool.c", "server/serve/bridge.c", "server/storage/ledger.c"]),
    ("*mmintrin.h", ["engine/kernel/x86/*", "engine/kernel/cpu.c"]),
    ("arm_neon.h", ["engine/kernel/arm/*"]),
    ("cpuid.h", ["engine/kernel/cpu.c"]),
    ("cmocka.h", ["tests/*"]),
]
# Includes that are still wrong, as (file, header), and twins: none any more.
LEFT = set()
LEFT_TWINS = set()


def fits(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def room(name):
    """The first two folders: kernel/x86 belongs to kernel."""
    return "/".join(name.split("/")[:-1][:2])


def wrong_own(path, header):
    if header.endswith(".c"):
        return "includes a .c file"
    for pattern, allowed in ARROWS:
        if fits(path, [pattern]):
            own = room(path) == room(header) != "engine"
            mirror = header == path[:-1] + "h"
            good = own or mirror or fits(header, allowed + ["engine/base/*"])
            return "" if good else "points the wrong way"
    return "is in no room"


def wrong_foreign(path, header):
    for pattern, allowed in FENCES:
        if fits(header, [pattern]) and not fits(path, allowed) and not path.startswith("tests/"):
            return "leaves its fence"
    return ""


def faults(path, text, exists, left=frozenset()):
    for mark, header in INCLUDE.findall(text):
        own = mark == '"'
        why = wrong_own(path, header) if own else wrong_foreign(path, header)
        if own and not why and not exists(header):
            why = "is not in the tree (includes are root-relative)"
        if why and (path, header) not in left:
            yield f'{path}: {header} {why}'


def settled(exists_include):
    """Rows of LEFT that are wrong no more."""
    for path, header in sorted(LEFT):
        if not exists_include(path, header):
            yield f"tests/layers.py: {path} no longer includes {header}: take the row out"


def twins(names):
    """Two sources of one name: a symbol's prefix would not lead to its file."""
    seen = {}
    for name in names:
        if name.startswith("tests/") or "/kernel/body/" in name:
            continue
        base = name.rpartition("/")[2]
        if base in seen:
            yield f"{name}: {seen[base]} has the same name"
        seen[base] = name


PLANTED = [
    ("engine/base/err.c", '#include "engine/kernel/kernel.h"'),
    ("engine/base/err.c", '#include "engine/types.h"'),
    ("engine/types.h", '#include "engine/kernel/kernel.h"'),
    ("engine/load/weights.c", '#include "engine/kernel/gemm.h"'),
    ("engine/load/weights.c", '#include "engine/tokenizer/vocab.h"'),
    ("engine/tokenizer/vocab.c", '#include "engine/load/weights.h"'),
    ("engine/tokenizer/bpe.c", '#include "engine/engine.h"'),
    ("engine/kernel/gemm.c", '#include "engine/load/weights.h"'),
    ("engine/state/prefix.c", '#include "engine/mixer/mixer.h"'),
    ("engine/mixer/attn.c", '#include "engine/model/model.h"'),
    ("engine/mixer/attn.c", '#include "engine/state/pages.h"'),
    ("engine/run/seq.c", '#include "engine/engine.h"'),
    ("engine/run/seq.c", '#include "server/config/config.h"'),
    ("engine/engine.c", '#include "api/api.h"'),
    ("engine/engine.h", '#include "engine/run/seq.h"'),
    ("api/sse.c", '#include "server/config/config.h"'),
    ("api/sse.c", '#include "engine/run/seq.h"'),
    ("api/sse.c", '#include "engine/engine.h"'),
    ("server/http/http.c", '#include "api/api.h"'),
    ("server/storage/object_store.c", '#include "server/serve/loop.h"'),
    ("server/bench/bench_run.c", '#include "server/serve/loop.h"'),
    ("server/serve/loop.c", '#include "server/routes/route_webpage.h"'),
    ("server/serve/loop.c", '#include "server/cmd/cmd.h"'),
    ("server/serve/loop.c", '#include "engine/measure.h"'),
    ("server/serve/loop.c", '#include "engine/kernel/pool.h"'),
    ("server/serve/loop.c", "#include <microhttpd.h>"),
    ("server/serve/loop.c", "#  include <pthread.h>"),
    ("server/bench/bench_run.c", "#include <uv.h>"),
    ("api/api.h", "#include <uv.h>"),
    ("engine/run/seq.c", "#include <immintrin.h>"),
    ("engine/tokenizer/pretok.c", "#include <pcre2.h>"),
    ("tests/engine/test_x.c", '#include "engine/run/seq.c"'),
    ("server/serve/loop.c", '#include "config.h"'),
]
GOOD = [
    ("server/serve/loop.c", '#include "engine/base/err.h"\n#include <stdio.h>\n'),
    ("server/routes/route_webpage.c", '#include "server/routes/route_webpage.h"\n#include "server/http/http.h"\n'),
    ("engine/kernel/x86/avx2.c", '#include "engine/kernel/kernel.h"\n'),
    ("engine/kernel/cpu.c", '#include "engine/kernel/x86/dot.h"\n'),
    ("engine/engine.c", '#include "engine/engine.h"\n#include "engine/run/seq.h"\n'),
]


def self_check():
    for path, line in PLANTED:
        if not list(faults(path, line + "\n", lambda header: True)):
            sys.exit(f"layers: self-check: not caught: {path}: {line}")
    for path, text in GOOD:
        found = list(faults(path, text, lambda header: True))
        if found:
            sys.exit(f"layers: self-check: a good include was refused: {found[0]}")
    if not list(twins(["api/a.c", "engine/base/a.c"])):
        sys.exit("layers: self-check: twins were not caught")


def main():
    self_check()
    found, texts = [], {}
    for top in ["server", "api", "engine", "tests"]:
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            if "node_modules" not in path.parts:
                texts[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
    for name, text in texts.items():
        found += faults(name, text, lambda header: (ROOT / header).is_file(), LEFT)
    found += twins([name for name in texts if name[:-2] not in LEFT_TWINS])
    found += settled(lambda path, header: re.search(f'[<"]{header}[">]', texts.get(path, "")))
    print("\n".join(found) if found
          else f"layers: {len(texts)} files, every arrow points down, {len(LEFT)} to mend")
    return 1 if found or not texts else 0


if __name__ == "__main__":
    sys.exit(main())
