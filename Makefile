# SPDX-License-Identifier: Apache-2.0
#
# `make` builds, `make check` runs every test, `make demo` shows the main job, `make help` lists the targets.
#
# Each combination of settings has its own folder, the variant, under $(BUILD):
#   release (default), debug (MODE=debug), asan, tsan, ubsan (SAN=address|thread|undefined), fuzz (SAN=fuzzer), msan
#   (SAN=memory, for `secrets` only), keylog (KEYLOG=1: release plus FZ_KEYLOG, for tests only), windows (OS=windows);
#   "-clang" or "-gcc" is appended when CC is not the variant's usual compiler. WERROR=1 makes warnings errors. V=1 shows
#   the commands.

BUILD  ?= build
DEPS   ?= build/deps
MODE   ?= release
SAN    ?=
KEYLOG ?=
OS     ?= linux
WERROR ?=
V      ?=
CFLAGS ?= $(if $(filter memory,$(SAN)),-O0,$(if $(SAN),-O1,$(if $(filter debug,$(MODE)),-Og,-O2))) -g
LDFLAGS ?=
FUZZ_SECONDS ?= 5
MINGW  ?= x86_64-w64-mingw32-gcc
CLANG  ?= $(firstword $(notdir $(shell command -v clang-14 clang)) clang)
FORMAT ?= $(firstword $(notdir $(shell command -v clang-format-14 clang-format)) clang-format)
TIDY   ?= $(firstword $(notdir $(shell command -v clang-tidy-14 clang-tidy)) clang-tidy)

# ---- the variant ----
san_address := asan
san_thread := tsan
san_undefined := ubsan
san_fuzzer := fuzz
san_memory := msan
$(if $(SAN),$(if $(san_$(SAN)),,$(error SAN must be address, thread, undefined, fuzzer or memory, not '$(SAN)')))
$(if $(filter release debug,$(MODE)),,$(error MODE must be release or debug, not '$(MODE)'))
$(if $(filter linux windows,$(OS)),,$(error OS must be linux or windows, not '$(OS)'))
usual_cc := $(if $(filter windows,$(OS)),$(MINGW),$(if $(SAN),$(CLANG),gcc))
ifeq ($(origin CC),default)
CC := $(usual_cc)
endif
family := $(if $(findstring clang,$(CC)),clang,gcc)
suffix := $(if $(filter $(family),$(if $(findstring clang,$(usual_cc)),clang,gcc)),,-$(family))
variant := $(or $(san_$(SAN)),$(if $(KEYLOG),keylog),$(filter windows,$(OS)),$(MODE))$(suffix)
override BUILD := $(abspath $(BUILD))
override DEPS := $(abspath $(DEPS))
export BUILD DEPS
O := $(BUILD)/$(variant)

# ---- the sources ----
base_src     := $(wildcard platform/base/*.c)
platform_src := $(wildcard platform/$(OS)/*.c platform/*.c)
engine_src   := $(wildcard engine/*.c engine/wire/*.c)
control_src  := $(filter-out control/main.c control/gateway_main.c,$(wildcard control/*.c control/*/*.c))
headers      := $(wildcard platform/*.h platform/base/*.h platform/linux/*.h platform/windows/*.h engine/*.h engine/*/*.h control/*.h \
                  control/*/*.h tests/*.h tests/support/*.h tools/*/*.h bench/*.h)
own_c        := $(wildcard platform/*.[ch] platform/*/*.[ch] engine/*.[ch] engine/*/*.[ch] control/*.[ch] \
                  control/*/*.[ch] tests/*.[ch] tests/support/*.[ch] tools/*/*.[ch] bench/*.[ch])

# PORTABLE sources compile for every system; their tests run under Wine too. PURE ones also touch no clock, socket,
# thread, file, allocator or random source, which `make pure` proves. New files in platform/base, engine/wire, control/wg,
# control/portal and control/p2p are in both unless they are named as an exception; engine/, control/ and control/dns have them by name.
engine_portable := allowed checksum coalesce cookie_gate counters crypt crypt_avx512 filter grants icmp nat nat_packet policy rate_limit replay route segment source_cache
dns_portable := l3_message l3_packet l3_udp pattern question rebinding sentinels
control_portable := allowed config config_dns device dmi duration hosts index inner_message key_text log_cleanup name_gate options options_command options_engine \
  options_help options_program options_value sign_url token_text uapi $(dns_portable:%=dns/%)
not_pure := control/device.c platform/base/err.c platform/base/log.c platform/base/mem.c platform/base/role.c platform/base/snapshot.c platform/base/stream.c control/dns/sentinels.c \
  engine/source_cache.c engine/route.c engine/policy.c engine/grants.c control/allowed.c control/config.c control/index.c \
  control/uapi.c
PORTABLE := $(wildcard platform/base/*.c engine/wire/*.c control/wg/*.c control/portal/*.c control/p2p/*.c $(engine_portable:%=engine/%.c) \
  $(control_portable:%=control/%.c))
PURE := $(filter-out $(not_pure),$(PORTABLE)) platform/linux/lan.c platform/linux/net_event.c \
  $(wildcard tools/fzlink/impair.c tools/fzlink/settings.c tools/fzlink/value.c)

# ---- flags ----
WARN := -Wall -Wextra -Wshadow -Wcast-qual -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla \
  -Wformat=2 $(if $(SAN),,-Wframe-larger-than=4096) $(if $(filter clang,$(family)),-Wthread-safety) \
  $(if $(WERROR),-Werror)
san_flags := $(if $(filter address fuzzer,$(SAN)),-fsanitize=address -fsanitize=undefined) \
  $(if $(filter thread undefined memory,$(SAN)),-fsanitize=$(SAN)) \
  $(if $(filter address undefined fuzzer,$(SAN)),-fno-sanitize-recover=all)
fuzz_lib  := $(if $(filter fuzzer,$(SAN)),-fsanitize=fuzzer-no-link)
fuzz_link := $(if $(filter fuzzer,$(SAN)),-fsanitize=fuzzer)
prefix := $(DEPS)/$(if $(filter windows,$(OS)),mingw,native)
ALL_CPPFLAGS := -I. -isystem $(prefix)/include -D_GNU_SOURCE= $(if $(KEYLOG),-DFZ_KEYLOG) \
  $(if $(SAN)$(filter debug,$(MODE)),-DFZ_DEBUG) $(if $(filter windows,$(OS)),-D__USE_MINGW_ANSI_STDIO=1) $(CPPFLAGS)
# Where gcc 12 makes an address's base part of its index it sees an access through a null pointer, takes the rest of the
# function for unreachable, and removes calls of it if nothing before has an effect.
ALL_CFLAGS := -std=gnu11 -fno-omit-frame-pointer $(WARN) $(CFLAGS) $(san_flags) $(fuzz_lib) \
  $(if $(filter gcc,$(family)),-fno-delete-null-pointer-checks) $(if $(filter memory,$(SAN)),-mllvm -msan-handle-icmp-exact=1)
ifeq ($(OS),windows)
EXE := .exe
LIBS := $(prefix)/lib/libcrypto.a $(prefix)/lib/libck.a $(prefix)/lib/libjansson.a -liphlpapi -lole32 -lws2_32 -lbcrypt -lpthread -static
CMOCKA := $(prefix)/lib/libcmocka.a
else
LIBS := $(prefix)/lib/liblwip.a $(prefix)/lib/libcares.a $(prefix)/lib/libwebsockets.a $(prefix)/lib/libssl.a $(prefix)/lib/libcrypto.a $(prefix)/lib/liburing.a -lck -lmnl -ljansson -lsystemd $(if $(SAN),,-ljemalloc) -pthread
CMOCKA := -lcmocka
endif

comma := ,
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')
obj = $(patsubst %.c,$(O)/obj/%.o,$(1))

# ---- what is built ----
archives := $(if $(filter windows,$(OS)),$(O)/libplatform.a $(O)/libportable.a,$(O)/libcontrol.a $(O)/libengine.a $(O)/libplatform.a $(O)/libbase.a)
# A tool is a folder under tools/ with a main.c; all else of it is also linked into its tests, unit_TOOL_*. tools/ctl is for all of them.
tools := $(patsubst tools/%/main.c,%,$(wildcard tools/*/main.c))
tool_lib = $(filter-out tools/$(1)/main.c,$(wildcard tools/$(1)/*.c))
# The tools of which another one uses parts.
uses_fzrelay := fzportal
tool_uses = $(patsubst %,$(O)/lib%.a,$(uses_$(1)) ctl)
# Other tests that use parts of a tool.
tests_fzrelay := sim_p2p_node sim_p2p_peer
bench_src := $(wildcard bench/*.c)
PRODUCTS := firezone-headless-client firezone-gateway
PROGRAMS := $(PRODUCTS) $(if $(wildcard bench/fzbench.c),fzbench) $(tools)
# Test programs: unit_*, diff_* and sim_* (simulations) run alone; each tests/support/*.c is a helper program of the net tests.
# unit_windows_* test what is Windows' only, but not the calls into it; unit_wine_* those, and run there alone.
wine_names := $(patsubst tests/%.c,%,$(wildcard tests/unit_wine_*.c))
unit_names := $(filter-out $(wine_names),$(patsubst tests/%.c,%,$(wildcard tests/unit_*.c tests/diff_*.c tests/sim_*.c)))
fuzz_names := $(patsubst tests/%.c,%,$(wildcard tests/fuzz_*.c))
bench_tests := $(patsubst %,$(O)/tests/%$(EXE),$(filter unit_bench_% fuzz_bench_%,$(unit_names) $(fuzz_names)))
support_names := $(filter-out fuzz_replay $(if $(shell pkg-config --modversion nice 2>/dev/null),,nice_peer),$(patsubst tests/support/%.c,%,$(wildcard tests/support/*.c)))
# One thread and no shared state: nothing for ThreadSanitizer to see.
NOT_TSAN ?= diff_% sim_% $(addprefix unit_,access access_internet access_names addr bench_% blake2s bus checksum clients coalesce config cookie_gate crypt crypt_% device dmi clients_model \
              dns_control dns_doh dns_etc_resolv_conf dns_systemd_resolved duration err filter dns_pattern dns_sentinels dns_service dns_l3_% dns_message dns_question dns_rebinding dns_stub \
              fzlink_cli fzlink_command fzlink_impair fzlink_settings fzportal_admission fzportal_channel fzportal_cli fzportal_client \
              fzportal_config fzportal_control fzportal_derive fzportal_flow fzportal_grants fzportal_parts fzportal_peers fzportal_policies fzportal_relays \
              fzrelay_command_line fzrelay_data fzrelay_orders fzrelay_parts fzrelay_requests fzrelay_turn handshake hosts icmp inner_message ip lan log_cleanup gateway_nat grants nat nat_packet \
              log_filter log_line net_event net_seen netwatch nm_watch noise options options_% p2p_% peers peers_mail portal_% rate_limit relays replay resolv_file_faults resolv_text resolved_servers resolvers resources segment \
              source_cache_million source_rank source_seen sign_url timers token_text tunnel_gateway tunnel_p2p tunnel_policy uapi way_out windows_default_way windows_host_route windows_network_filter windows_source)
NOT_WINDOWS ?= unit_log_file_% unit_access_%
unit_run := $(if $(filter thread,$(SAN)),$(filter-out $(NOT_TSAN),$(unit_names)),$(unit_names))
# A portable module `folder/x.c` has the tests unit_x, unit_x_*, unit_folder_x (diff_ and fuzz_ alike).
portable_stems := $(sort $(basename $(notdir $(PORTABLE) $(wildcard platform/base/*.h engine/wire/*.h))) shared $(subst /,_,$(patsubst control/%,%,$(patsubst \
  engine/%,%,$(basename $(PORTABLE))))))
other_stems := $(basename $(notdir $(filter-out $(PORTABLE),$(platform_src) $(engine_src) $(control_src))))
portable_tests := $(wine_names) $(filter unit_windows_% fuzz_windows_%,$(unit_names) $(fuzz_names)) $(filter-out $(NOT_WINDOWS) $(other_stems:%=unit_%) $(other_stems:%=diff_%),$(filter $(foreach s,$(portable_stems),unit_$(s) unit_$(s)_% diff_$(s) diff_$(s)_% fuzz_$(s) fuzz_$(s)_%),$(unit_names) $(fuzz_names)))

.PHONY: all programs products support unit-build fuzz-build help unit unit-asan unit-tsan secrets secrets-run fuzz fuzz-run \
  fuzz-replay net windows-check windows-run headers layers pure keylog-check format format-check lint demo check bench-gate \
  clean distclean deps-check FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: programs ## build the programs into $(BUILD)/ (the default)
	$(Q)$(foreach p,$(PROGRAMS),ln -f $(O)/$(p)$(EXE) $(BUILD)/$(p)$(EXE) &&) true

help: ## list the targets
	@echo 'Usage: make [TARGET] [VARIABLE=VALUE]'
	@sed -nE 's/^([a-z-]+):.* ## (.*)/  \1\t\2/p' Makefile | expand -t 18
	@echo 'Variables: BUILD MODE=release|debug CC=gcc|clang SAN=address|thread|undefined OS=windows KEYLOG=1 WERROR=1 V=1'

programs: $(PROGRAMS:%=$(O)/%$(EXE))
products: $(PRODUCTS:%=$(O)/%$(EXE))
support: $(support_names:%=$(O)/support/%$(EXE)) ## build the helper programs of the net tests
unit-build: $(unit_run:%=$(O)/tests/%$(EXE))
fuzz-build: $(fuzz_names:%=$(O)/tests/%$(EXE))

$(DEPS)/ready-%: tools/deps.sh $(wildcard tools/deps/* tools/deps/*/*)
	@DEPS='$(DEPS)' tools/deps.sh $*
deps-check: $(DEPS)/ready-check

$(O)/obj/engine/wire/%.o: ALL_CFLAGS += -Wconversion
# Vectors of 64 bytes live on its stack, which mingw's gcc does not align. Tests include it.
$(O)/obj/engine/crypt_avx512.o: ALL_CFLAGS += $(if $(SAN),,-Wframe-larger-than=9216)
$(O)/obj/engine/crypt_avx512.o $(O)/obj/tests/unit_crypt_%.o: ALL_CFLAGS += $(if $(filter windows,$(OS)),-Wa$(comma)-muse-unaligned-vector-move)
# Its unrolled vector code takes clang 40 s with all checks in line; what is left out concerns single accesses, which
# AddressSanitizer sees as well.
$(O)/obj/engine/crypt_avx512.o $(O)/obj/tests/unit_crypt_%.o: ALL_CFLAGS += $(if $(filter address fuzzer,$(SAN)),-mllvm -asan-instrumentation-with-call-threshold=0 \
  -fno-sanitize=alignment$(comma)null$(comma)pointer-overflow$(comma)object-size)
$(O)/obj/bench/result.o: ALL_CPPFLAGS += -DFZ_REVISION='"$(revision)"'
$(O)/obj/bench/result.o: $(O)/revision
$(O)/obj/tests/%.o: ALL_CFLAGS += -Wno-missing-prototypes -Wno-frame-larger-than
$(O)/obj/%.o: %.c Makefile $(O)/deps
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# Which pinned dependencies an object was compiled with: their headers are no prerequisites that the compiler names.
$(O)/deps: FORCE | $(DEPS)/ready-build
	$(Q)mkdir -p $(@D) && cat $(DEPS)/stamp/$(notdir $(prefix))-* | cmp -s - $@ || cat $(DEPS)/stamp/$(notdir $(prefix))-* >$@

# What results say they were measured with; empty outside git. The file changes only when the text does.
revision = $(if $(wildcard .git),$(shell git describe --always --dirty 2>/dev/null))
$(O)/revision: FORCE
	$(Q)mkdir -p $(@D) && echo '$(revision)' | cmp -s - $@ || echo '$(revision)' >$@

define archive # NAME SOURCES
$(O)/lib$(1).a: $(call obj,$(2))
	$$(call say,AR,$$@)
	$(Q)mkdir -p $$(@D) && rm -f $$@ && $(if $(filter windows,$(OS)),$(MINGW:gcc=ar),ar) rcs $$@ $$(filter %.o,$$^)
endef
$(eval $(call archive,base,$(base_src)))
$(eval $(call archive,platform,$(platform_src)))
$(eval $(call archive,engine,$(engine_src)))
$(eval $(call archive,control,$(control_src)))
$(eval $(call archive,portable,$(PORTABLE)))
$(eval $(call archive,ctl,$(wildcard tools/ctl/*.c)))
$(eval $(call archive,bench,$(filter-out bench/fzbench.c,$(bench_src))))

define link # EXTRA: then the archives in any order, then the libraries
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(san_flags) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(archives) -Wl,--end-group $(1) $(LIBS)
endef
$(O)/firezone-headless-client$(EXE): $(O)/obj/control/main.o $(archives)
	$(call link)
$(O)/firezone-gateway$(EXE): $(O)/obj/control/gateway_main.o $(archives)
	$(call link)
$(O)/fzbench$(EXE): $(call obj,$(bench_src)) $(archives) $(O)/libfzlink.a
	$(call link,-lm)
define tool # NAME
$(call archive,$(1),$(call tool_lib,$(1)))
$(O)/$(1)$(EXE): $(O)/obj/tools/$(1)/main.o $(O)/lib$(1).a $(call tool_uses,$(1)) $(archives)
	$$(call link)
tool_tests := $$(patsubst %,$(O)/tests/%$(EXE),$$(filter unit_$(1)_% fuzz_$(1) fuzz_$(1)_% $(tests_$(1)),$$(unit_names) $$(fuzz_names)))
$(O)/$(1)$(EXE) $$(tool_tests): archives += $(O)/lib$(1).a $(call tool_uses,$(1))
$(O)/$(1)$(EXE) $$(tool_tests): LIBS += -linih
$$(tool_tests): $(O)/lib$(1).a $(call tool_uses,$(1))
endef
$(foreach t,$(tools),$(eval $(call tool,$(t))))
$(O)/support/%$(EXE): $(O)/obj/tests/support/%.o $(archives)
	$(call link)
# The client with two of the engine's functions replaced, those that keep its rules.
$(O)/support/hostile_client$(EXE): $(O)/obj/control/main.o
$(O)/support/hostile_client$(EXE): LDFLAGS += -Wl,--wrap=client_frame -Wl,--wrap=client_accepts
# libnice's end of net_nice. It shares nothing with us, the allocator neither.
$(O)/obj/tests/support/nice_peer.o: ALL_CPPFLAGS += $(patsubst -I%,-isystem %,$(shell pkg-config --cflags nice))
$(O)/support/nice_peer: $(O)/obj/tests/support/nice_peer.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(san_flags) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs nice)
$(bench_tests): $(O)/libbench.a $(O)/libfzlink.a
$(bench_tests): archives += $(O)/libbench.a
$(O)/fzbench$(EXE) $(bench_tests): archives += $(O)/libfzlink.a
$(bench_tests): LIBS += -lm
$(O)/tests/fuzz_%$(EXE): $(O)/obj/tests/fuzz_%.o $(if $(fuzz_link),,$(O)/obj/tests/support/fuzz_replay.o) $(archives)
	$(call link,$(fuzz_link))
# Nothing that MemorySanitizer has not compiled is linked.
$(O)/tests/secrets_%: $(O)/obj/tests/secrets_%.o $(O)/obj/platform/base/err.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(san_flags) $(LDFLAGS) -o $@ $^
$(O)/tests/%$(EXE): $(O)/obj/tests/%.o $(archives) | $(DEPS)/ready-check
	$(call link,$(CMOCKA))

# ---- tests; tools/run-tests.sh takes command lines, BUILD and DEPS are for the net tests ----
RUN = tools/run-tests.sh -l $(O)/log
# Some wait nearly all the while.
JOBS ?= $(shell expr $$(nproc) + 1)
export ASAN_OPTIONS ?= detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS ?= suppressions=$(abspath tests/tsan.supp):second_deadlock_stack=1
# ThreadSanitizer and MemorySanitizer of clang 14 cannot place their shadows where the kernel randomises by more bits.
no_aslr := $(if $(filter thread memory,$(SAN)),$(shell [ "$$(cat /proc/sys/vm/mmap_rnd_bits)" -le 28 ] || echo setarch -R))

unit: unit-build ## unit and differential tests, simulations
	$(Q)$(RUN) -j $(JOBS) -s unit-$(variant) $(foreach t,$(unit_run),'$(no_aslr) $(O)/tests/$(t)')
unit-asan: ## the same with AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) --no-print-directory SAN=address unit
unit-tsan: ## the same with ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory SAN=thread unit
secrets: | $(DEPS)/ready-check ## the AEAD's branches and addresses depend on no secret, with MemorySanitizer
	$(Q)$(MAKE) --no-print-directory SAN=memory CC=$(CLANG) secrets-run
secrets-run: $(O)/tests/secrets_crypt
	$(Q)$(RUN) -s secrets '$(no_aslr) $(O)/tests/secrets_crypt'
fuzz: ## a short run of each fuzzer (FUZZ_SECONDS each), and a replay of the corpus with gcc
	$(Q)$(MAKE) --no-print-directory SAN=fuzzer CC=$(CLANG) fuzz-run
	$(Q)$(MAKE) --no-print-directory MODE=debug CC=gcc fuzz-replay
corpus = $(wildcard tests/corpus/$(1))
fuzz-run: fuzz-build
	$(Q)mkdir -p $(fuzz_names:fuzz_%=$(O)/corpus/%) $(O)/log
	$(Q)$(RUN) -j $(JOBS) -s fuzz $(foreach f,$(fuzz_names:fuzz_%=%),'$(O)/tests/fuzz_$(f) -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -error_exitcode=1 -timeout_exitcode=1 -artifact_prefix=$(O)/log/$(f)- $(O)/corpus/$(f) $(call corpus,$(f))')
fuzz-replay: fuzz-build
	$(Q)$(RUN) -j $(JOBS) -s fuzz-replay $(foreach f,$(fuzz_names:fuzz_%=%),'$(O)/tests/fuzz_$(f) $(call corpus,$(f))')
# They wait for real time nearly all the while, so they run beside the others, two at a time; the longest begin.
net_long := $(wildcard $(patsubst %,tests/net_%.sh,p2p_roam uplinks rekey p2p_faults portal_long names_hostile dns_peers cookie nice \
  idle coturn roam p2p_coturn portal restart dns_control gateway nat resolved))
net: all support | $(DEPS)/ready-check ## tests over real TUN devices and sockets, in network namespaces (root)
	$(Q)$(MAKE) --no-print-directory KEYLOG=1 products
	$(Q)$(RUN) -j 2 -s net-long -t 420 $(net_long) & long=$$!; \
	    $(RUN) -s net -t 420 $(filter-out $(net_long),$(wildcard tests/net_*.sh)); status=$$?; \
	    wait $$long && exit $$status
windows-check: | $(DEPS)/ready-check ## compile the portable modules with mingw, run their tests under Wine
	$(Q)$(MAKE) --no-print-directory OS=windows CC=$(MINGW) windows-run
windows-run: $(archives) $(portable_tests:%=$(O)/tests/%$(EXE))
	$(Q)tools/check-wine.sh $(O)/wine $(RUN) -s windows $(foreach t,$(portable_tests),'tools/wine.sh $(O)/tests/$(t)$(EXE)$(if $(filter fuzz_%,$(t)), $(call corpus,$(t:fuzz_%=%)))') 'tests/wine_ways.sh $(O)'

# ---- checks of the sources ----
headers: | $(DEPS)/ready-build ## each header compiles alone
	$(Q)tools/check-headers.sh '$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS)' $(headers)
layers: ## nothing includes what lies above it
	$(Q)tools/check-layers.sh
pure: $(call obj,$(PURE)) ## the sans-IO modules use no clock, socket, thread, file, allocator or random source
	$(Q)tools/check-pure.sh $^
keylog-check: programs ## the shipped binaries have no key log
	$(Q)$(MAKE) --no-print-directory KEYLOG=1 products
	$(Q)for p in $(PRODUCTS); do \
	    tools/check-keylog.sh $(O)/$$p $(BUILD)/keylog$(suffix)/$$p || exit 1; done
format: ## lay out all sources
	$(Q)$(FORMAT) -i $(own_c)
format-check: ## fail if `make format` would change anything
	$(Q)$(FORMAT) --dry-run --Werror $(own_c)
lint: | $(DEPS)/ready-check ## clang-tidy, cppcheck and gcc -fanalyzer
	$(Q)TIDY='$(TIDY)' tools/check-lint.sh '$(ALL_CPPFLAGS) -std=gnu11' '$(PURE)' $(filter-out platform/windows/% tests/%,$(filter %.c,$(own_c)))
demo: | $(DEPS)/ready-demo ## build, then show the client with a portal, through NATs, resources by name, the tunnel against wireguard-go, and as default route (root)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tools/demo-portal.sh
	$(Q)tools/demo-nat.sh
	$(Q)tools/demo-names.sh
	$(Q)tools/demo.sh
	$(Q)tools/demo-route.sh
check: | $(DEPS)/ready-check ## everything above but lint and demo
	$(Q)CLANG='$(CLANG)' tools/check-all.sh
bench-gate: | $(DEPS)/ready-check ## what a packet costs, against the commit before: instructions, system calls, allocations
	$(Q)tools/bench-gate.sh
clean: ## remove everything built but the dependencies
	$(Q)[ ! -d '$(BUILD)' ] || find '$(BUILD)' -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +
distclean: clean ## remove the dependencies, too
	$(Q)rm -rf '$(DEPS)'

-include $(shell [ ! -d '$(O)/obj' ] || find '$(O)/obj' -name '*.d')
