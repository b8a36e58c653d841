# SPDX-License-Identifier: Apache-2.0
# ssmd: `make run` serves the embedded model on port 8080, `make test` runs every test.
# Everything is built under build/<variant>/, a mirror of the tree. `make help` lists targets.

include packages.mk

ifeq ($(origin CC),default)
CC := gcc
endif
PKG_CONFIG ?= pkg-config
INSTALL    ?= install
STRIP      ?= strip
PYTHON     ?= python3
VARIANT    ?= release
PORT       ?= 8080
ARGS       ?=
VERSION    := 0.5.0
RELEASED   := 2026-12-01

# BLAS=0 leaves OpenBLAS out, and with it --math blas. WERROR=1 makes warnings errors.
BLAS   ?= 1
WERROR ?= 0

# Where `make install` puts things, below DESTDIR. PREFIX is another name of prefix.
PREFIX      ?= /usr/local
DESTDIR     ?=
prefix      ?= $(PREFIX)
exec_prefix ?= $(prefix)
bindir      ?= $(exec_prefix)/bin
datarootdir ?= $(prefix)/share
datadir     ?= $(datarootdir)
sysconfdir  ?= $(if $(filter /usr /usr/local,$(prefix)),/etc,$(prefix)/etc)
mandir      ?= $(datarootdir)/man
docdir      ?= $(datarootdir)/doc/ssmd
unitdir     ?= $(prefix)/lib/systemd/system
bashcompdir ?= $(datarootdir)/bash-completion/completions

B := build/$(VARIANT)

PKGS       := libmicrohttpd jansson libuv libpcre2-8 libxxhash
PKGS_BLAS  := $(if $(filter 1,$(BLAS)),openblas)
# Asked once, when first used: `make run` may have to install pkg-config before.
PKG_CFLAGS  = $(eval PKG_CFLAGS := $$(shell $(PKG_CONFIG) --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS    = $(eval PKG_LIBS := $$(shell $(PKG_CONFIG) --libs $(PKGS)) -lutf8proc)$(PKG_LIBS)
BLAS_CFLAGS = $(if $(PKGS_BLAS),$(shell $(PKG_CONFIG) --cflags $(PKGS_BLAS)))
BLAS_LIBS   = $(if $(PKGS_BLAS),$(shell $(PKG_CONFIG) --libs $(PKGS_BLAS)))

# VARIANT=arm: a cross compiler, and the libraries that deploy/arm-root.sh unpacked.
ARM_ROOT := build/arm-root
ARM_LIB  := $(ARM_ROOT)/usr/lib/aarch64-linux-gnu
ifeq ($(VARIANT),arm)
CC         := aarch64-linux-gnu-gcc
PKG_CFLAGS := -isystem $(ARM_ROOT)/usr/include
BLAS_CFLAGS := -isystem $(ARM_ROOT)/usr/include/aarch64-linux-gnu/openblas-pthread
PKG_LIBS   := $(foreach d,$(ARM_LIB) $(ARM_LIB)/openblas-pthread,-L$(d) -Wl,-rpath-link,$(d)) \
              $(addprefix -l,$(PKGS:lib%=%)) -lutf8proc
BLAS_LIBS  := $(PKGS_BLAS:%=-l%)
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        $(if $(filter 1,$(WERROR)),-Werror)
BASE := -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -fno-omit-frame-pointer -I. \
        -ffile-prefix-map=$(CURDIR)=. -DSSMD_VERSION='"$(VERSION)"'

# What only these files are told.
DEFS_engine/kernel/blas.c   = $(if $(PKGS_BLAS),-DSSMD_BLAS $(BLAS_CFLAGS))
DEFS_server/config/config.c = -DSSMD_DATADIR='"$(datadir)/ssmd"'
DEFS_server/cmd/man_page.c  = -DSSMD_DATE='"$(RELEASED)"'
DEFS_FILES := engine/kernel/blas.c server/config/config.c server/cmd/man_page.c

# Hardening; sanitizers replace it. Kernels have no strings and no buffers of a caller's size:
# they stay as they are, position apart. HARDEN= leaves all of it out.
HARDEN    := $(if $(filter release arm test,$(VARIANT)),1)
HARDEN_C   = $(if $(HARDEN),-fPIE $(if $(filter engine/kernel/%,$<),,$(FORTIFY)))
HARDEN_LD  = $(if $(HARDEN),$(RELRO))
FORTIFY   := -fstack-protector-strong $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS)),,\
             -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
RELRO     := -pie -Wl,-z,relro,-z,now,-z,noexecstack

CFLAGS_release := -O2 -g
CFLAGS_arm     := -O2 -g
CFLAGS_test    := -O1 -g -DSSMD_TEST
# Without a heap for stack frames: gcc aligns AVX-512's wrongly there (its bug 110027).
CFLAGS_asan    := -O1 -g -DSSMD_TEST -fsanitize=address --param asan-use-after-return=0
CFLAGS_ubsan   := -O1 -g -DSSMD_TEST -fsanitize=undefined -fno-sanitize-recover=all
CFLAGS_tsan    := -O1 -g -DSSMD_TEST -fsanitize=thread
CFLAGS_fuzz    := -O1 -g -DSSMD_TEST -fsanitize=fuzzer-no-link,address,undefined \
                  -fno-sanitize-recover=undefined

CFLAGS_ALL  = $(BASE) $(WARN) $(CFLAGS_$(VARIANT)) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS)
LDFLAGS_ALL = $(filter -fsanitize%,$(CFLAGS_$(VARIANT))) $(HARDEN_LD) $(LDFLAGS)
LIBS        = $(BLAS_LIBS) $(PKG_LIBS) -lpthread -lm

# Per-ISA flags: only these files may hold instructions beyond the baseline.
AVX2   := -O3 -mavx2 -mfma -mf16c
AVX512 := $(AVX2) -mavx512f -mavx512bw -mavx512dq -mavx512vl
ISA_engine/kernel/x86/avx2.c    := $(AVX2)
ISA_engine/kernel/x86/avxvnni.c := $(AVX2) -mavxvnni
ISA_engine/kernel/x86/avx512.c  := $(AVX512)
ISA_engine/kernel/x86/vnni.c    := $(AVX512) -mavx512vnni
# gcc's first scheduling pass moves more loads up than the 32 registers hold.
ISA_engine/kernel/arm/neon.c    := -O3 -march=armv8.2-a+dotprod \
                                   $(if $(findstring clang,$(CC)),,-fno-schedule-insns)

# clang takes minutes over their unrolled loops when it instruments them for fuzzing.
ISA_ALSO_fuzz := -fno-sanitize=all

# What the compiler builds for, which need not be this machine.
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
ISA     := $(if $(filter x86_64-% amd64-%,$(MACHINE)),x86)$(if $(filter aarch64-%,$(MACHINE)),arm)

ENGINE := $(wildcard engine/*.c engine/*/*.c $(ISA:%=engine/kernel/%/*.c))
API    := $(wildcard api/*.c api/*/*.c)
SERVER := $(wildcard server/*/*.c)
LIB    := $(ENGINE) $(API) $(filter-out server/cmd/main.c,$(SERVER))

obj = $(patsubst %.c,$(B)/%.o,$(1))

LIB_OBJ  := $(call obj,$(LIB))
UNIT     := $(shell find tests -name 'test_*.c' -not -path '*/node_modules/*' 2>/dev/null | sort)
UNIT_LIB := $(wildcard tests/lib/*.c)
UNIT_BIN := $(patsubst %.c,$(B)/%,$(UNIT))
FAKE     := $(wildcard tests/fake/*.c)
FUZZ     := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(patsubst %.c,$(B)/%,$(FUZZ))
PEER     := $(wildcard tests/clients/*/*.c)
PEER_BIN := $(patsubst %.c,$(B)/%,$(PEER))
BENCH    := $(wildcard tests/bench/bench_*.c)
BENCH_BIN := $(patsubst %.c,$(B)/%,$(BENCH))

# The kernels' check needs no library, so that it can be built for any machine.
CHECK     := $(wildcard tests/kernels/*.c engine/kernel/*_c.c $(ISA:%=engine/kernel/%/*.c)) \
             engine/kernel/cpu.c engine/base/cgroup.c engine/base/err.c
CHECK_BIN := $(B)/tests/kernels/check_kernels
C_FILES   = $(shell git ls-files -co --exclude-standard '*.c' '*.h')

.DEFAULT_GOAL := all
.PHONY: all deps deps-build deps-quick deps-test run demo test test-quick suite suite-quick unit \
        check bench bench-load bench-wire bench-overload bench-connections bench-template \
        asan ubsan tsan fuzz fuzz-bin \
        check-kernels bench-kernels check-arm layers lint docs format image-test install \
        uninstall clean help FORCE

# A make within make, silent about directories, with as many jobs as there are processors.
SUBMAKE = +@$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$$(nproc))

# V=1 shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)

# ---- building ------------------------------------------------------------------------------

all: build/ssmd $(B)/ssmd.1 $(B)/ssmd.bash ## build build/ssmd, its manual page and completion

build/ssmd: build/release/ssmd
	@cp -f $< $@.tmp && mv -f $@.tmp $@

$(B)/ssmd: $(call obj,server/cmd/main.c) $(B)/libssmd.a
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# EMULATOR runs what was built for another machine.
$(B)/ssmd.1: $(B)/ssmd
	$(Q)$(EMULATOR) $< --print-man >$@.tmp && mv -f $@.tmp $@

$(B)/ssmd.bash: $(B)/ssmd
	$(Q)$(EMULATOR) $< --print-completion >$@.tmp && mv -f $@.tmp $@

# The server over an engine of letters: tests of HTTP that need no model and know every answer.
$(B)/ssmd-fake: $(call obj,server/cmd/main.c $(FAKE)) $(B)/libssmd.a
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(HARDEN_C) $(CFLAGS_ALL) $(DEFS_$<) $(ISA_$<) $(if $(ISA_$<),$(ISA_ALSO_$(VARIANT))) \
	    -MMD -MP -c -o $@ $<

# What was compiled with other flags than today's is compiled anew.
$(B)/flags: export TEXT = $(filter-out ccache,$(CC)) $(CFLAGS_ALL) $(HARDEN) $(FORTIFY)
$(B)/defs: export TEXT = $(foreach f,$(DEFS_FILES),$(DEFS_$(f)))
$(B)/flags $(B)/defs: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$$TEXT" | cmp -s - $@ || printf '%s\n' "$$TEXT" >$@
$(call obj,$(DEFS_FILES)): $(B)/defs

# What the programs share. An archive: a test links only what it uses.
$(B)/libssmd.a: $(LIB_OBJ)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

# A unit test is one program; tests/lib holds what they share.
$(UNIT_BIN): $(B)/%: $(B)/%.o $(call obj,$(UNIT_LIB)) $(B)/libssmd.a
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LIBS)

# Programs that a client under tests/clients runs, and benchmarks.
$(PEER_BIN) $(BENCH_BIN): $(B)/%: $(B)/%.o $(B)/libssmd.a
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(CHECK_BIN): $(call obj,$(CHECK))
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lm

$(FUZZ_BIN): $(B)/%: $(B)/%.o $(B)/libssmd.a
	$(call say,LINK)
	$(Q)$(CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

$(B)/tests/fuzz/fuzz_http: $(B)/tests/fuzz/works.o

unit: $(UNIT_BIN)

fuzz-bin: $(FUZZ_BIN)

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- packages ------------------------------------------------------------------------------

DEPS_BUILD := $(PACKAGES_BUILD) $(PACKAGES_RUN) $(if $(PKGS_BLAS),$(PACKAGES_BLAS))

deps: deps-build deps-test ## install the Debian packages that building and testing need

deps-build:
	@./deploy/packages.sh $(DEPS_BUILD)

deps-quick:
	@./deploy/packages.sh $(DEPS_BUILD) $(PACKAGES_QUICK)

deps-test:
	@./deploy/packages.sh $(DEPS_BUILD) $(PACKAGES_QUICK) $(PACKAGES_TEST)

# The independent clients under tests/clients, at the versions of their lock files.
NPM := $(patsubst %/package-lock.json,%/node_modules/.package-lock.json,\
         $(wildcard tests/clients/*/package-lock.json))

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# And the chat templates that a package carries in its source.
CHAT_TEMPLATES := tests/clients/template/node_modules/llama.cpp

$(CHAT_TEMPLATES): tests/clients/template/bundle.sh tests/clients/template/node_modules/.package-lock.json
	$< $@
	@touch $@

# ---- running and testing -------------------------------------------------------------------

# What suits the embedded model; the README and the help show the same.
FIRST_REQUEST := {\"prompt\": \"The rain had stopped. She opened the window and\", \"max_tokens\": 80, \
                 \"temperature\": 0.7, \"top_p\": 0.85, \"repetition_penalty\": 1.1, \"seed\": 15}

run: deps-build ## install what is missing, build, serve models/default (PORT=8080 ARGS=)
	$(SUBMAKE) all
	@echo "Try:  curl http://127.0.0.1:$(PORT)/v1/completions" \
	     "-H 'Content-Type: application/json' -d '$(FIRST_REQUEST)'"
	@echo "or open http://127.0.0.1:$(PORT)/ in a browser once it is ready."
	@exec build/ssmd serve --port $(PORT) $(ARGS)

demo: deps-build ## equal bytes, a kill -9, twenty turns; then serve (PORT=8080, DEMO_EXIT=1 ends)
	@./deploy/packages.sh $(PACKAGES_DEMO)
	$(SUBMAKE) all
	@$(PYTHON) deploy/demo.py --ssmd build/ssmd --port $(PORT) $(ARGS)

test: deps-test ## install what is missing, build and run every test
	$(SUBMAKE) VARIANT=test suite

test-quick: deps-quick ## the short tests: no packages but cmocka, under a minute once built
	$(SUBMAKE) VARIANT=test suite-quick

suite-quick: unit $(CHECK_BIN) $(B)/ssmd $(B)/ssmd-fake
	@$(PYTHON) tests/run.py --build $(B) --model models/default --quick $(ARGS)

suite: unit $(CHECK_BIN) $(PEER_BIN) $(B)/ssmd $(B)/ssmd.1 $(B)/ssmd.bash $(B)/ssmd-fake $(NPM) \
       $(CHAT_TEMPLATES)
	@$(PYTHON) tests/run.py --build $(B) --model models/default $(ARGS)

asan: deps-test ## every test under AddressSanitizer
	$(SUBMAKE) VARIANT=asan suite

ubsan: deps-test ## every test under UndefinedBehaviorSanitizer
	$(SUBMAKE) VARIANT=ubsan suite

tsan: deps-test ## every test under ThreadSanitizer
	$(SUBMAKE) VARIANT=tsan suite

FUZZ_SECONDS ?= 60
fuzz: deps-test ## every fuzz target for FUZZ_SECONDS (60)
	$(SUBMAKE) VARIANT=fuzz CC=clang-14 fuzz-bin
	@tests/fuzz.sh build/fuzz $(FUZZ_SECONDS)

bench: deps-build ## tokens/s of the shapes beside the machine's limits, and their plots (ARGS=)
	$(SUBMAKE) all
	@$(PYTHON) tests/bench/rounds.py --ssmd build/ssmd --out build/bench $(ARGS)
	@$(PYTHON) tests/bench/plot.py build/bench tests/bench/plots

bench-load: deps-build ## opening public models of random weights: seconds, memory, first token (ARGS=)
	$(SUBMAKE) all
	@$(PYTHON) tests/bench/bench_load.py --ssmd build/ssmd $(ARGS)

bench-wire: deps-build ## every attack beside a stream, judged: gaps, probes, memory (ARGS=)
	$(SUBMAKE) all
	@$(PYTHON) tests/bench/bench_wire.py --ssmd build/ssmd $(ARGS)
	@$(PYTHON) tests/bench/bench_cgroup.py --ssmd build/ssmd

bench-overload: deps-test ## a minute at 3 times the capacity, alone and behind HAProxy, judged
	$(SUBMAKE) all
	@$(PYTHON) tests/bench/bench_overload.py --ssmd build/ssmd $(ARGS)

bench-connections: deps-build ## memory and latencies of 10,000 connections and 1,000 streams
	$(SUBMAKE) all
	@$(PYTHON) tests/bench/bench_connections.py --ssmd build/ssmd $(ARGS)

bench-template: deps-test $(CHAT_TEMPLATES) ## microseconds of a render of real chat templates
	$(SUBMAKE) build/release/tests/clients/template/renderer
	@$(PYTHON) tests/clients/template/compare.py build/release/tests/clients/template/renderer --times

check-kernels: deps-build ## every kernel set of this processor against the C set, bit for bit
	$(SUBMAKE) build/release/tests/kernels/check_kernels
	@build/release/tests/kernels/check_kernels $(ARGS)

bench-kernels: deps-build ## the speed of every kernel, by set
	$(SUBMAKE) build/release/tests/kernels/check_kernels
	@build/release/tests/kernels/check_kernels --bench $(ARGS)

# The kernels by themselves, then the whole daemon's logits: ARM's bits are this processor's.
EMULATE := qemu-aarch64 -cpu max -L $(ARM_ROOT) -E LD_LIBRARY_PATH=$(ARM_LIB):$(ARM_LIB)/openblas-pthread
CHECKED := tests/kernels/check_kernels
check-arm: deps-build ## the NEON set under an emulator: its bits are C's and this processor's
	@./deploy/packages.sh $(PACKAGES_ARM)
	@./deploy/arm-root.sh $(ARM_ROOT) $(filter-out libc6-dev,$(filter lib%,$(DEPS_BUILD)))
	$(SUBMAKE) build/release/$(CHECKED) build/release/ssmd
	$(SUBMAKE) VARIANT=arm build/arm/$(CHECKED) build/arm/ssmd
	@$(PYTHON) tests/kernels/same_digests.py build/release/$(CHECKED) $(EMULATE) build/arm/$(CHECKED)
	@$(PYTHON) tests/golden/same_bits.py build/release/ssmd $(EMULATE) build/arm/ssmd

check: deps-test ## what CI runs: layers, lint and every test (WERROR=1 as there)
	$(SUBMAKE) VARIANT=test suite ARGS="--style $(ARGS)"

layers: ## includes point the right way, foreign headers stay in their fence
	@$(PYTHON) tests/layers.py

lint: ## lengths of functions and files, format, words that do not belong
	@$(PYTHON) tests/lint.py

docs: all ## rewrite docs/CONFIG.md from the option table
	@build/ssmd --print-config-page >docs/CONFIG.md

format: ## clang-format every C file
	@clang-format-14 -i $(C_FILES)

image-test: deps-build ## build the container image and try it
	@./deploy/packages.sh $(PACKAGES_IMAGE)
	$(SUBMAKE) all
	@./deploy/image-test.sh

# ---- installing ----------------------------------------------------------------------------

DATA  := $(wildcard models/default/* configs/*.json configs/shapes/*.json)
UNITS := $(wildcard deploy/systemd/*.service)
STRIP_FLAGS := $(if $(filter nostrip,$(DEB_BUILD_OPTIONS)),,-s --strip-program=$(STRIP))

# All that `make install` writes, but for the configuration, which is the user's from then on.
INSTALLED := $(bindir)/ssmd $(docdir)/LICENSE $(mandir)/man1/ssmd.1 $(bashcompdir)/ssmd \
             $(UNITS:deploy/systemd/%=$(unitdir)/%) \
             $(DATA:%=$(datadir)/ssmd/%)
CONFIG    := $(sysconfdir)/ssmd/ssmd.json

install: $(B)/ssmd $(B)/ssmd.1 $(B)/ssmd.bash ## install under prefix (/usr/local), below DESTDIR
	$(INSTALL) -D -m 755 $(STRIP_FLAGS) $(B)/ssmd $(DESTDIR)$(bindir)/ssmd
	$(INSTALL) -D -m 644 LICENSE $(DESTDIR)$(docdir)/LICENSE
	$(INSTALL) -D -m 644 $(B)/ssmd.1 $(DESTDIR)$(mandir)/man1/ssmd.1
	$(INSTALL) -D -m 644 $(B)/ssmd.bash $(DESTDIR)$(bashcompdir)/ssmd
	@set -e; for f in $(DATA); do $(INSTALL) -D -m 644 $$f $(DESTDIR)$(datadir)/ssmd/$$f; done
	@set -e; for f in $(UNITS); do \
	    $(INSTALL) -D -m 644 $$f $(DESTDIR)$(unitdir)/$${f##*/}; \
	    sed -i 's|/usr/local/bin|$(bindir)|; s|/etc/ssmd|$(sysconfdir)/ssmd|' \
	        $(DESTDIR)$(unitdir)/$${f##*/}; done
	@test -e $(DESTDIR)$(CONFIG) || $(INSTALL) -D -m 644 configs/service.json $(DESTDIR)$(CONFIG)

# A configuration that was edited stays.
uninstall: ## remove what `make install` put there
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	@! cmp -s configs/service.json $(DESTDIR)$(CONFIG) || rm -f $(DESTDIR)$(CONFIG)
	@for d in $(datadir)/ssmd $(docdir) $(sysconfdir)/ssmd; do \
	    test ! -d $(DESTDIR)$$d || find $(DESTDIR)$$d -depth -type d -empty -delete; done

clean: ## remove build/
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | \
	    awk -F '\t' '{ printf "  make %-17s %s\n", $$1, $$2 }'
