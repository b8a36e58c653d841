#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Unpacks Debian packages for arm64 under a folder, for a cross compiler and an emulator:
#
#   arm-root.sh DIR PACKAGE...
#
# Libraries come with what they depend on, -dev packages alone. This machine's own packages and
# apt's own lists stay as they are; only its sources are read. Does nothing where DIR is complete.
set -eu

root=$1
shift
wanted=$*
[ "$(cat "$root/.packages" 2>/dev/null)" != "$wanted" ] || exit 0
rm -rf "$root"
mkdir -p "$root/apt/lists/partial" "$root/apt/cache/archives/partial" "$root/apt/state"
apt=$(cd "$root/apt" && pwd)
: >"$apt/status"

foreign() {
    apt-get -qq -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o APT::Install-Recommends=false -o APT::Sandbox::User= -o Debug::NoLocking=1 \
        -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" \
        -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" "$@" >"$apt/log" 2>&1 ||
        { cat "$apt/log" >&2; exit 1; }
}

alone='' whole=''
for package in "$@"; do
    case $package in
    *-dev) alone="$alone $package" ;;
    *) whole="$whole $package" ;;
    esac
done
echo "Unpacking for arm64:$whole$alone"
foreign update
# shellcheck disable=SC2086
{
    foreign install --download-only $whole
    (cd "$apt/cache/archives" && foreign download $alone)
}
for package in "$apt"/cache/archives/*.deb; do
    dpkg -x "$package" "$root"
done
rm -rf "$apt"
echo "$wanted" >"$root/.packages"
