# ssmd: `make run` serves the embedded model on port 8080, `make test` runs every test.
# Everything is built under build/<variant>/, a mirror of the tree.

include packages.mk

ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX  ?= /usr/local
DESTDIR ?=
VARIANT ?= release
PORT    ?= 8080
VERSION := 0.1.0

B := build/$(VARIANT)

PKGS       := libmicrohttpd jansson openblas libuv libpcre2-8 libxxhash
PKG_CFLAGS  = $(shell pkg-config --cflags $(PKGS))
PKG_LIBS    = $(shell pkg-config --libs $(PKGS)) -lutf8proc

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
BASE   := -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -fno-omit-frame-pointer -I. -DSSMD_VERSION='"$(VERSION)"'

CFLAGS_release := -O2 -g
CFLAGS_test    := -O1 -g -DSSMD_TEST
CFLAGS_asan    := -O1 -g -DSSMD_TEST -fsanitize=address
CFLAGS_ubsan   := -O1 -g -DSSMD_TEST -fsanitize=undefined -fno-sanitize-recover=all
CFLAGS_tsan    := -O1 -g -DSSMD_TEST -fsanitize=thread
CFLAGS_fuzz    := -O1 -g -DSSMD_TEST -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined

CFLAGS_ALL  = $(BASE) $(WARN) $(CFLAGS_$(VARIANT)) $(PKG_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = $(filter -fsanitize%,$(CFLAGS_$(VARIANT))) $(LDFLAGS)
LIBS        = $(PKG_LIBS) -lpthread -lm

# Per-ISA flags: only these files may hold instructions beyond the baseline.
ISA_engine/kernel/x86/avx2.c   := -O3 -mavx2 -mfma -mf16c
ISA_engine/kernel/x86/avx512.c := -O3 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl

ENGINE := $(wildcard engine/*.c engine/*/*.c)
ifneq ($(filter x86_64 amd64,$(shell uname -m)),)
ENGINE += $(wildcard engine/kernel/x86/*.c)
endif
API    := $(wildcard api/*.c)
SERVER := $(wildcard server/*.c)
LIB    := $(ENGINE) $(API) $(filter-out server/main.c,$(SERVER))

obj = $(patsubst %.c,$(B)/%.o,$(1))

LIB_OBJ := $(call obj,$(LIB))
UNIT    := $(shell find tests -name 'test_*.c' 2>/dev/null | sort)
UNIT_LIB := $(wildcard tests/lib/*.c)
UNIT_BIN := $(patsubst %.c,$(B)/%,$(UNIT))

.DEFAULT_GOAL := all
.PHONY: all deps deps-build deps-test run test check bench asan ubsan tsan fuzz layers lint \
        format image-test install clean help unit

all: build/ssmd

build/ssmd: build/release/ssmd
	@cp -f $< $@.tmp && mv -f $@.tmp $@

$(B)/ssmd: $(call obj,server/main.c) $(LIB_OBJ)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(ISA_$<) -MMD -MP -c -o $@ $<

# What the programs share. An archive: a test links only what it uses.
$(B)/libssmd.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

# A unit test is one program; tests/lib holds what they share.
$(UNIT_BIN): $(B)/%: $(B)/%.o $(call obj,$(UNIT_LIB)) $(B)/libssmd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LIBS)

unit: $(UNIT_BIN)

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)

clean:
	rm -rf build
