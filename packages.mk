# SPDX-License-Identifier: Apache-2.0
# The Debian 12 packages, in one place: read by the Makefile and the Dockerfile.
# One line per list; a comment says why each is there.

# build: compiler, make's helper, and the development files of the libraries below
PACKAGES_BUILD := gcc make pkg-config libc6-dev libmicrohttpd-dev libjansson-dev libuv1-dev libpcre2-dev libutf8proc-dev libxxhash-dev

# run: the shared libraries a built ssmd needs
PACKAGES_RUN := libmicrohttpd12 libjansson4 libuv1 libpcre2-8-0 libutf8proc2 libxxhash0

# blas: OpenBLAS for --math blas (BLAS=1), to build and to run
PACKAGES_BLAS := libopenblas-pthread-dev libopenblas0-pthread

# demo: what asks and compares (make demo)
PACKAGES_DEMO := python3

# quick: unit tests (make test-quick): cmocka, and python3 for the runner and the scripts
PACKAGES_QUICK := libcmocka-dev python3

# test: sanitizers and fuzzing (clang, its runtime and symbolizer), format (clang-format),
# independent clients (node, npm, curl), programs that a daemon works with (haproxy,
# prometheus), the man page's reader (mandoc), what chat templates are compared with (jinja2;
# git and npm bring them)
PACKAGES_TEST := clang-14 clang-format-14 libclang-rt-14-dev llvm-14 nodejs npm curl haproxy \
                 prometheus mandoc python3-jinja2 git

# arm: a cross compiler and an emulator, for the NEON kernels (make check-arm); the libraries of
# build and run are unpacked for it by deploy/arm-root.sh
PACKAGES_ARM := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user

# image: building and running the container image without a container engine
# (deploy/image-test.sh); curl asks it, procps finds its process, python3 compares its logits
PACKAGES_IMAGE := buildah debootstrap crun uidmap curl procps python3
