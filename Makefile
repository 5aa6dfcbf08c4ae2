# The commands of a developer: make run, test, bench, lint, dev, clean.
# Everything they make lies in .venv and .build, both ignored by git.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
PORT   ?= 8000
BIN     = $(VENV)/bin
# Packages that do without the operating system.
PORTABLE = ./gocore/internal/conf/... ./gocore/internal/expr/... \
	./gocore/internal/httpd/... ./gocore/internal/http1/... ./gocore/internal/mod/... ./gocore/internal/hop
# Python packages that the build needs when pip does not isolate it (fast rebuilds).
BUILD_REQUIRES = "setuptools>=77" "PyBindGen>=0.22.1"

.DEFAULT_GOAL := help
.PHONY: help dev ext run test test-go cross test-front test-python test-pythons proof soak asan bench lint wheel clean

help: ## Shows this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Go and a C compiler come from PyPI where the machine has none, as pip would do it.
$(VENV)/.ready: pyproject.toml setup.py tests/requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(BUILD_REQUIRES)
	PATH="$(abspath $(BIN)):$$PATH"; export PATH; \
	missing=$$($(BIN)/python -c 'import sys; sys.path.insert(0, "build"); import toolchain; print(*toolchain.missing_requirements())'); \
	test -z "$$missing" || $(BIN)/python -m pip install -q $$missing; \
	$(BIN)/python -m pip install -q --no-build-isolation -e . -r tests/requirements.txt
	@touch $@

dev: $(VENV)/.ready ext ## Editable install in .venv; after that, a rebuild of the library when sources changed

ext: $(VENV)/.ready
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python build/binding.py

run: dev ## Serves examples/hello.wsgi on http://localhost:$(PORT)/
	@echo "Serving http://localhost:$(PORT)/ (Ctrl-C stops)"
	@# In a container the developer is root: fine for the example, and only for it.
	$(if $(filter 0,$(shell id -u)),MOD_WSGI_ALLOW_ROOT=1) $(BIN)/mod_wsgi-express start-server examples/hello.wsgi --port $(PORT)

test: ## Everything: installs what is missing, builds, vets, runs Go and Python tests
	@.ci/packages
	@$(MAKE) --no-print-directory dev
	@$(MAKE) --no-print-directory test-go
	@$(MAKE) --no-print-directory test-front
	@$(MAKE) --no-print-directory test-python

test-go: $(VENV)/.ready ## go vet and go test
	@eval "$$(PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python build/binding.py --env)" && \
	PATH="$$PATH:$(abspath $(BIN))" && go vet ./... && go test ./...
	@PATH="$$PATH:$(abspath $(BIN))"; $(MAKE) --no-print-directory cross

# Compiles only. What needs Python's headers is left out: those here are this system's.
cross: ## Vets what other systems compile: macOS, FreeBSD, Windows (configuration only), the build tag netconn
	@echo "go vet for darwin, freebsd and windows, and with the tag netconn"
	@CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go vet $(PORTABLE) ./gocore/internal/listen ./gocore/internal/process
	@CGO_ENABLED=0 GOOS=freebsd GOARCH=amd64 go vet $(PORTABLE) ./gocore/internal/listen ./gocore/internal/process
	@CGO_ENABLED=0 GOOS=windows go build $(PORTABLE)
	@CGO_ENABLED=0 go vet -tags netconn ./gocore/internal/listen

# What requests, responses and errors look like must not depend on who accepts them.
FRONT_TESTS = environ response input errors filewrapper error_documents http_protocol headers status tls http2

test-front: dev ## The tests of requests and responses, behind a front process
	@PATH="$(abspath $(BIN)):$$PATH" MODWSGI_TEST_FRONT=1 $(BIN)/python -m pytest $(FRONT_TESTS:%=tests/test_%.py)

# Last, so that pytest's summary line ends the output.
test-python: dev ## pytest against the installed package
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest tests

# What differs between Pythons: interpreters, GILs, the C API. Those that are not here are left out.
PYTHONS ?= python3.10 python3.12 python3.13 python3.13t python3.14 python3.14t python3.15 python3.15t
PYTHON_TESTS = modes interpreters free_threading outstayed leak input response environ events
test-pythons: ## The tests of what differs between Pythons, with each of PYTHONS that is installed
	@for python in $(PYTHONS); do \
		"$$python" -c 'import sys' 2>/dev/null || { echo "$$python is not here"; continue; }; \
		$(MAKE) --no-print-directory dev PYTHON="$$python" VENV=".venv-$${python##*/}" && \
		".venv-$${python##*/}/bin/python" -m pytest -q $(PYTHON_TESTS:%=tests/test_%.py) || exit 1; \
	done

proof: dev ## Restarts, edits, kills and reconfigurations under load, a hundred of each: no request is lost (10 minutes)
	@MODWSGI_PROOF=1 $(BIN)/python -m pytest -s tests/test_proof.py

soak: dev ## 200,000 mixed requests: does memory, or anything else, grow? (SOAK="--requests 50000 --events" changes it)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/soak.py $(SOAK)

# Part of the suite on a library whose C code is instrumented. Python's own memory is malloc's then, so that
# AddressSanitizer sees objects that are used after their end; what Python never frees is no finding.
ASAN_TESTS ?= tests/test_environ.py tests/test_input.py tests/test_response.py tests/test_errors.py tests/test_filewrapper.py \
	tests/test_events.py tests/test_logs.py tests/test_dispatch.py tests/test_module_reload.py tests/test_auth.py tests/test_auth_scripts.py tests/test_fork.py \
	tests/test_telemetry.py tests/test_outstayed.py
asan: dev ## Part of the tests with the C code under AddressSanitizer (needs gcc or clang with libasan)
	@folder=$$(PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python build/binding.py --asan) && rm -f $$folder/report.* && \
	PYTHONPATH=$$folder PYTHONMALLOC=malloc MODWSGI_TEST_PRELOAD=$$($${CC:-cc} -print-file-name=libasan.so) \
	ASAN_OPTIONS=detect_leaks=0:handle_segv=0:handle_abort=0:allocator_may_return_null=1:log_path=$$folder/report \
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest -q $(ASAN_TESTS); failed=$$?; \
	if ls $$folder/report.* >/dev/null 2>&1; then cat $$folder/report.*; exit 1; fi; exit $$failed

bench: dev ## Side by side with other servers (needs wrk)
	@.ci/packages
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.bench

lint: dev ## gofmt, go vet, golangci-lint when installed, ruff, mypy
	@$(BIN)/python -m pip install -q "ruff>=0.9" "mypy>=1.14"
	@bad=$$(gofmt -l gocore); test -z "$$bad" || { echo "gofmt -l:"; echo "$$bad"; exit 1; }
	@eval "$$($(BIN)/python build/binding.py --env)" && go vet ./... && \
	if command -v golangci-lint >/dev/null; then golangci-lint run ./...; else echo "golangci-lint is not installed; skipped"; fi
	$(BIN)/ruff check .
	$(BIN)/mypy

wheel: ## A wheel and a source distribution in dist/
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q build
	$(BIN)/python -m build

clean: ## Removes everything that the build made
	rm -rf .build $(VENV) dist src/modwsgi_go/_gocore src/*.egg-info
