#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target of a build for some seconds over its seeds: fuzz.sh BUILD SECONDS.
# What it finds lies under BUILD/findings/, what it learned under BUILD/corpus/.
set -eu
build=$1
seconds=$2
failed=0
ran=0
for program in "$build"/tests/fuzz/fuzz_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    case $program in *.o | *.d) continue ;; esac
    name=$(basename "$program")
    name=${name#fuzz_}
    corpus=$build/corpus/$name
    findings=$build/findings/$name
    log=$build/$name.log
    mkdir -p "$corpus" "$findings" "tests/fuzz/seeds/$name"
    ran=$((ran + 1))
    if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$findings/" "$corpus" "tests/fuzz/seeds/$name" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "ok   $name: $runs runs in $seconds s"
    else
        failed=$((failed + 1))
        echo "FAIL $name: see $log and $findings"
        tail -n 40 "$log"
    fi
done
echo "$((ran - failed)) passed, $failed failed"
[ "$failed" = 0 ] && [ "$ran" -gt 0 ]
