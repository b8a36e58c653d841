#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bundle.sh FOLDER: the chat templates of llama.cpp, into FOLDER. They lie in a git bundle of its
# source, which the npm package node-llama-cpp (MIT) carries. The package is packed and read, not
# installed: its dependencies and its binaries are not wanted.
set -eu
package=node-llama-cpp@3.22.1
sha256=5f5d1105d5df040738d87b8290e5d17e7362131cdcfdb0831618e0ea528b4a51
into=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm pack "$package" --silent --pack-destination "$work" >/dev/null
tar -xzf "$work"/*.tgz -C "$work" package/llama/gitRelease.bundle
bundle=$work/package/llama/gitRelease.bundle
echo "$sha256  $bundle" | sha256sum --check --quiet
git -C "$work" init --quiet
git -C "$work" fetch --quiet "$bundle" HEAD
git -C "$work" checkout --quiet FETCH_HEAD -- models/templates
mkdir -p "$into"
cp "$work"/models/templates/*.jinja "$into"
