#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the container image without a container engine, runs it, and looks at it as an
# orchestrator would. Behind `make image-test`, apart from `make test`: it wants root, Debian's
# mirror, about 3 GB under TMPDIR and a few minutes.
#
# The base is a local debootstrap in place of debian:bookworm-slim. Storage, base and mounts
# live in one temporary folder and end with the script. The image is run by unshare and
# chroot, with the user, environment and command that it names: the daemon is process 1 of its
# own PID namespace, as in a container, so that a signal without a handler would be lost.
# Prints one line a check and `N passed, N failed` at last.
set -euo pipefail
cd "$(dirname "$0")/.."

packages() { sed -n "s/^PACKAGES_$1 *:= *//p" packages.mk; }
now_ms() { date +%s%3N; }
size_kb() { du -sk --apparent-size --one-file-system "$1" | cut -f1; }

if [ "$(id -u)" != 0 ]; then
    echo "image-test: needs root (debootstrap, chroot, mount)" >&2
    exit 2
fi

# shellcheck disable=SC2046
./deploy/packages.sh $(packages IMAGE)

dir=$(mktemp -d "${TMPDIR:-/var/tmp}/ssmd-image.XXXXXX")
name=localhost/ssmd-image-test
base=localhost/debian:bookworm-local
container=''
outer=''
daemon=''
export BUILDAH_ISOLATION=chroot
b() { buildah --root "$dir/storage" --runroot "$dir/run" --storage-driver vfs "$@"; }

cleanup()
{
    [ -z "$outer" ] || kill -KILL "$outer" 2>/dev/null || true
    [ -z "$container" ] || b umount "$container" >/dev/null 2>&1 || true
    [ -z "$container" ] || b rm "$container" >/dev/null 2>&1 || true
    rm -rf --one-file-system "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

n_passed=0 n_failed=0
check() # check TEXT COMMAND...: one line, counted
{
    local text=$1
    shift
    if "$@"; then
        n_passed=$((n_passed + 1)); echo "ok    $text"
    else
        n_failed=$((n_failed + 1)); echo "FAIL  $text"
    fi
}

make_base()
{
    debootstrap --variant=minbase bookworm "$dir/rootfs" >"$dir/debootstrap.log" 2>&1 ||
        { tail -n 20 "$dir/debootstrap.log" >&2; return 1; }
    # What Debian's slim images leave out.
    rm -rf "$dir"/rootfs/var/cache/apt/* "$dir"/rootfs/var/lib/apt/lists/* \
        "$dir"/rootfs/usr/share/{doc,man,info,locale}/*
    base_kb=$(size_kb "$dir/rootfs")
    local c
    c=$(b from scratch)
    b add -q "$c" "$dir/rootfs" / >/dev/null
    b commit -q "$c" "$base" >/dev/null
    b rm "$c" >/dev/null
    rm -rf --one-file-system "$dir/rootfs"
}

# Fields of the image's configuration; a list comes one element a line.
image_word() { b inspect --type image --format "{{.Docker.Config.$1}}" "$name"; }
image_list()
{
    b inspect --type image --format "{{range .Docker.Config.$1}}{{println .}}{{end}}" \
        "$name" | sed '/^$/d'
}

echo "base: debootstrap"
make_base
echo "image: buildah bud"
start=$(now_ms)
b bud --pull-never --format docker --build-arg BASE="$base" -t "$name" . >"$dir/bud.log" 2>&1 ||
    { tail -n 40 "$dir/bud.log" >&2; exit 1; }
echo "built in $((($(now_ms) - start) / 1000)) s"

container=$(b from --pull-never "$name")
root=$(b mount "$container")
image_kb=$(size_kb "$root")
model_kb=$(size_kb "$root/usr/local/share/ssmd/models")
over_kb=$((image_kb - base_kb - model_kb))
user=$(image_word User)
mapfile -t command < <(image_list Entrypoint; image_list Cmd)
mapfile -t health < <(image_list Healthcheck.Test)
mapfile -t environment < <(image_list Env)
port=$((20000 + RANDOM % 12000))
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
environment+=("SSMD_PORT=$port")
url=http://127.0.0.1:$port

inside() # inside COMMAND...: in the image as its user
{
    env -i "${environment[@]}" chroot --userspec="$user" "$root" "$@"
}

healthy() { inside "${health[@]:1}" 2>/dev/null; }
unhealthy() { ! healthy; }

# start_daemon VAR=VALUE...: sets $outer to unshare's pid, $daemon to ssmd's as seen here.
start_daemon()
{
    # shellcheck disable=SC2016
    unshare --fork --kill-child --pid --mount --mount-proc="$root/proc" bash -c '
        mount --rbind /dev "$1/dev" && mount -t tmpfs none "$1/tmp" && shift && exec "$@"' \
        - "$root" env -i "${environment[@]}" "$@" \
        chroot --userspec="$user" "$root" "${command[@]}" >"$dir/daemon.log" 2>&1 &
    outer=$!
    for _ in $(seq 100); do
        daemon=$(pgrep -P "$outer" || true)
        [ -n "$daemon" ] && curl -fsS -o /dev/null "$url/readyz" 2>/dev/null && return 0
        kill -0 "$outer" 2>/dev/null || break
        sleep 0.1
    done
    sed 's/^/      /' "$dir/daemon.log"
    kill -KILL "$outer" 2>/dev/null || true
    wait "$outer" 2>/dev/null || true
    outer=''
    daemon=''
    return 1
}

stop_daemon() # SIGTERM, and KILL when that does nothing; sets $status and $took_ms
{
    local from
    from=$(now_ms)
    kill -TERM "$daemon"
    for _ in $(seq 200); do
        kill -0 "$outer" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$outer" 2>/dev/null || true
    status=0
    wait "$outer" || status=$?
    took_ms=$(($(now_ms) - from))
    outer=''
    daemon=''
}

completes()
{
    curl -fsS -m 60 "$url/v1/completions" -H 'Content-Type: application/json' \
        -d '{"prompt":"The river","max_tokens":16,"temperature":0}' >"$dir/answer.json" &&
        grep -q '"text_completion"' "$dir/answer.json" &&
        sed 's/^/      /' "$dir/answer.json" && echo
}
runs_as_user()
{
    [ "$(stat -c %u "/proc/$daemon")" = "${user%%:*}" ] && [ "${user%%:*}" != 0 ]
}
is_first() # the program itself, not a shell around it
{
    [ "$(awk '/^NSpid/ { print $NF }' "/proc/$daemon/status")" = 1 ] &&
        [ "$(readlink "/proc/$daemon/exe" | sed 's|.*/||')" = ssmd ]
}
cannot_write()
{
    local found
    found=$(inside find / -xdev '(' -path /proc -o -path /dev -o -path /tmp -o -path /var/tmp \
        -o -path /run/lock ')' -prune -o -writable ! -type l -print 2>/dev/null)
    [ -z "$found" ] || { echo "$found"; return 1; }
}
no_sources() { [ ! -e "$root/src" ] && [ ! -e "$root/usr/bin/gcc" ]; }
no_blas() { [ -z "$(find "$root" -xdev -name '*blas*' -print -quit)" ]; }
refuses_blas()
{
    local said
    said=$(inside "${command[0]}" check --math blas 2>&1) && return 1
    [[ $said == *"make BLAS=1"* ]]
}
same_bits()
{
    python3 tests/golden/same_bits.py build/ssmd "$root/usr/local/bin/ssmd" >"$dir/bits.log" ||
        { tail -n 5 "$dir/bits.log"; return 1; }
}
stops_with_zero() { [ "$status" = 0 ] && [ "$took_ms" -le "$1" ]; }

check "the image stops by SIGTERM" test "$(image_word StopSignal)" = SIGTERM
check "neither compiler nor sources are in it" no_sources
check "OpenBLAS is not in it" no_blas
check "--math blas says how to get it" refuses_blas
check "its binary computes what build/ssmd computes, bit for bit" same_bits
check "$over_kb KiB over its base without the model, at most 12 MiB" test $over_kb -le 12288
check "its user writes nowhere in it but in /tmp" cannot_write
check "health check fails while nothing runs" unhealthy
check "ready within 10 s, as the image is configured" start_daemon
if [ -n "$daemon" ]; then
    check "the daemon is process 1" is_first
    check "and runs as user $user" runs_as_user
    check "health check passes" healthy
    check "a completion from the embedded model" completes
    stop_daemon
    check "SIGTERM: exit 0 after the configured drain_grace ($took_ms ms)" stops_with_zero 7000
fi
check "ready again, with no grace" start_daemon SSMD_DRAIN_GRACE=0
if [ -n "$daemon" ]; then
    stop_daemon
    check "SIGTERM when idle: exit 0 within a second ($took_ms ms)" stops_with_zero 1000
fi

echo "image $((image_kb / 1024)) MB, $((model_kb / 1024)) MB of it the model"
echo "$n_passed passed, $n_failed failed"
[ "$n_failed" = 0 ]
