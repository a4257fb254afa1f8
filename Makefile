# SPDX-License-Identifier: GPL-2.0-only
#
# What one does with this repository. Each target is a script in scripts/;
# everything derived goes to $BAO_CACHE (default: ~/.cache/bao-linux).

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo check lint bench kernel tree patches modules clean distclean

help: ## list the targets
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | \
		expand -t 14
	@echo
	@echo "Derived files go to BAO_CACHE, which is $${BAO_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/bao-linux}"

demo: ## boot a frontend and a backend and show them at work [DISK=image] [SEED=n] [VERBOSE=1]
	@SEED="$(SEED)" VERBOSE="$(VERBOSE)" scripts/demo "$(DISK)"

check: ## run all tests [LEGS="lint debug ..."]
	@scripts/check $(LEGS)

lint: ## check the code without running it [CHECKERS="checkpatch sparse ..."]
	@scripts/setup build check
	@scripts/lint $(CHECKERS)

bench: ## measure what a request costs, next to the least it could cost [BENCH_OUT=file.json]
	@scripts/bench "$(BENCH_OUT)"

tree: ## make the kernel tree with everything of this repository in it, and print where
	@scripts/setup build
	@scripts/kernel-tree

patches: ## write the series of kernel patches [KSRC=a kernel tree] [OUT=build/patches]
	@scripts/setup build
	@scripts/patches "$(or $(OUT),build/patches)" "$(KSRC)"

kernel: ## build a kernel [VARIANT=plain|debug|kasan|rt|bench] and print where
	@scripts/setup build
	@scripts/build-kernel $(or $(VARIANT),plain) "$${TMPDIR:-/tmp}/bao-kernel" && \
		echo "$${TMPDIR:-/tmp}/bao-kernel"

modules: ## build the driver out of tree: KDIR=a kernel's build directory [ARCH=] [CROSS_COMPILE=]
	@scripts/build-module "$(KDIR)" $(foreach v,ARCH CROSS_COMPILE LLVM,$(if $($v),$v=$($v)))

clean: ## remove build/, where "modules" and "patches" leave what they make
	rm -rf build

distclean: clean ## remove the cache, too
	@scripts/remove-cache
