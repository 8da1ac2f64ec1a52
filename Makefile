# Two commands do everything: `make study` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The tests use all backends; the study only needs NumPy.
READY_TEST := $(VENV)/.ready-test
# The benchmarks also run other libraries.
READY_BENCHMARK := $(VENV)/.ready-benchmark
# The site is made by Sphinx.
READY_SITE := $(VENV)/.ready-site
# As in Snakemake's own jobs, a pipe fails if one of its commands fails.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
# pip's output goes to a file; a terminal only shows the package that is being looked up.
define NEWS
2>&1 | tee $(VENV)/pip.log | awk -v live="$$(test -t 2 && echo 1)" ' \
	/^ *Collecting / { n++; if (live) printf "\r\033[Kmckl:   package %d: %s", n, $$2; fflush() } \
	/^Installing collected/ { if (live) printf "\r\033[K"; printf "mckl:   unpacking %d packages\n", n; fflush() } \
	END { if (live) printf "\r\033[K" }'
endef
# Snakemake starts the programs that it finds on PATH. Numbers have a decimal point.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export LC_NUMERIC := C

RESULTS ?= results
# The figures in README and docs: of the default study, and those that are the same for every config.
STUDY_FIGURES := overview error-vs-samples estimators samplers samples-needed factors \
	notebook-samples notebook-trace notebook-joint notebook-squared-error
CONSTANT_FIGURES := tails sequence-length libraries training
# The studies that `make results` runs and publishes, and what is asked of those that are not whole.
PUBLISHED := default families policies intervals plane plane-measured
TARGETS_plane := settings theory
TARGETS_intervals := intervals

.DEFAULT_GOAL := help
.PHONY: help setup study verify-results test browser benchmark docs readme-figures lint format lock audit clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the pinned dependencies

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "mckl: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1 || true): set PYTHON=..." >&2; exit 1; }
	@echo "mckl: setting up $(VENV) (once, about two minutes): NumPy, SciPy, pandas, Matplotlib, Snakemake, linters, pytest"
	@$(PYTHON) -m venv $(VENV) || { echo "mckl: $(PYTHON) has no venv: install it (Debian: python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[study,dev]' $(NEWS) \
		|| { tail -n 3 $(VENV)/pip.log >&2; echo "mckl: the packages could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }
	@touch $@

study: $(READY) ## run the default study: results/tables, results/figures, results/report.html
	@snakemake --cores all
	@test -s results/report.html || { echo "mckl: the report is missing: run snakemake --report results/report.html --report-stylesheet workflow/report/report.css" >&2; exit 1; }

results: $(PUBLISHED:%=run-%) ## run the published studies, and pack their tables into build/results-VERSION
	@python docs/results.py $(PUBLISHED)
	cp build/docs/figures/plane.png docs/figures/

# Paths in configs are relative to a folder beside that of the studies.
.PHONY: results $(PUBLISHED:%=run-%)
$(PUBLISHED:%=run-%): run-%: $(READY)
	@mkdir -p build && ln -sfn ../studies build/studies
	@echo "mckl: the study $*"
	@snakemake --cores all $(TARGETS_$*) --directory build/$* $(if $(filter-out default,$*),--configfile studies/$*.yaml)

verify-results: $(READY) ## check a results folder (RESULTS=dir) against its manifest.json
	@mckl verify "$(RESULTS)"

$(READY_TEST): $(READY)
	@echo "mckl: adding the tests' packages to $(VENV) (once, about two minutes): TensorFlow (1.5 GB), S3, SLURM's plugin"
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[tensorflow,s3]' $(NEWS) \
		|| { tail -n 3 $(VENV)/pip.log >&2; echo "mckl: the tests' packages could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }
# In a separate folder, since with SLURM's plugin every start of Snakemake takes half a second more.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps --upgrade \
		--target $(VENV)/cluster snakemake-executor-plugin-slurm snakemake-executor-plugin-slurm-jobstep 2> $(VENV)/pip.log \
		|| { tail -n 3 $(VENV)/pip.log >&2; echo "mckl: SLURM's plugin could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }
	@touch $@

test: $(READY_TEST) ## run every test that needs no browser
	@echo "mckl: running the tests on all cores"
	@pytest -n auto --ignore=tests/browser --ignore=tests/deploy

# The validator has its own environment; rocrate is there for its copy of a JSON-LD context.
CRATE := $(VENV)/crate/bin/python
$(CRATE): $(READY)
	@$(PYTHON) -m venv $(VENV)/crate
	@$(CRATE) -m pip install --quiet --disable-pip-version-check roc-validator==0.13.0 2> $(VENV)/pip.log \
		&& $(CRATE) -m pip install --quiet --disable-pip-version-check --no-deps rocrate==0.14.0 2>> $(VENV)/pip.log \
		|| { rm -rf $(VENV)/crate; tail -n 3 $(VENV)/pip.log >&2; echo "mckl: roc-validator could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }

.PHONY: crate
crate: $(CRATE) ## validate the metadata of published results as an RO-Crate
	@pytest tests/deploy/test_crate.py

browser: $(READY_TEST) ## click through the report and the explorer in Chromium
	@pytest -n 2 tests/browser

$(READY_BENCHMARK): $(READY_TEST)
	@echo "mckl: adding the benchmarks' package to $(VENV) (once, about a minute): PyTorch"
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[benchmark]' $(NEWS) \
		|| { tail -n 3 $(VENV)/pip.log >&2; echo "mckl: PyTorch could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }
	@touch $@

benchmark: $(READY_BENCHMARK) ## measure times, coverage and approximations, and renew their pages in docs
	@python benchmarks/side_by_side.py
	@python benchmarks/policies.py
	@python benchmarks/scaling.py
	@python benchmarks/coverage.py
	@python benchmarks/leading_order.py
	@python benchmarks/negative.py
	@python benchmarks/adversarial.py

# Tables, captions and figures in build/docs, and the page on libraries.
.PHONY: constant site
constant: $(READY)
	@mkdir -p build/docs docs/figures
	@python docs/build.py build/docs

docs: constant ## renew tables, figures and quoted output in README and docs
	cp build/docs/libraries.md docs/explanation/
	@python docs/decision.py README.md docs/explanation/what-wins.md
	@python docs/commands.py README.md docs/*/*.md
	cp $(CONSTANT_FIGURES:%=build/docs/figures/%.png) docs/figures/

$(READY_SITE): $(READY)
	@echo "mckl: adding the site's packages to $(VENV) (once, some seconds): Sphinx, MyST, a theme"
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[site]' $(NEWS) \
		|| { tail -n 3 $(VENV)/pip.log >&2; echo "mckl: the site's packages could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }
	@touch $@

site: $(READY_SITE) study constant ## build the website in site/: docs, reference, figures and pages of the default study
	@python docs/site/assemble.py build/site results
	@rm -rf site
	@sphinx-build --quiet --nitpicky --fail-on-warning --keep-going -d build/doctrees build/site site
	@echo "mckl: open site/index.html"

readme-figures: study ## renew the README's figures of the default study
	@mkdir -p docs/figures
	cp $(STUDY_FIGURES:%=results/figures/%.png) docs/figures/

lint: $(READY) ## check style, types, the Snakefiles' format and Snakemake's linter
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint

format: $(READY) ## format the code
	ruff check --fix --quiet . || true
	ruff format .
	snakefmt Snakefile workflow

# Constraints with hashes would fail `pip install .`, because a folder has no hash; so there are two files.
COMPILE = $(VENV)/lock/bin/uv pip compile pyproject.toml --quiet --no-header --no-annotate $(addprefix --no-emit-package ,pip setuptools wheel)
define HASHES
# What a study needs and what builds mckl, with the hashes of all files of each release; renewed by `make lock`.
# To install mckl with nothing whose hash is not here:
#   python -m pip install --require-hashes -r requirements.txt
#   python -m pip install --no-deps --no-build-isolation .
endef
export HASHES

lock: ## renew constraints.txt, and requirements.txt with hashes, with the current releases
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	{ echo "# Current releases, pinned; renewed by 'make lock'."; $(COMPILE) --all-extras --group tools; } > $(VENV)/lock/constraints.txt
	{ echo "$$HASHES"; $(COMPILE) --extra study --group build --universal --generate-hashes -c $(VENV)/lock/constraints.txt; } \
		> $(VENV)/lock/requirements.txt
	mv $(VENV)/lock/constraints.txt $(VENV)/lock/requirements.txt .
	sed -i "s/hatchling==[^\"]*/$$(grep ^hatchling== constraints.txt)/" pyproject.toml
	rm -rf $(VENV)/lock
	@echo "mckl: constraints.txt is for 'pip install -c', requirements.txt for 'pip install --require-hashes': its first lines say how"

# pip-audit has its own environment, since it is not one of the packages to be audited.
audit: ## look the pinned packages up among known vulnerabilities
	@test -x $(VENV)/audit/bin/pip-audit \
		|| { $(PYTHON) -m venv $(VENV)/audit \
		&& $(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 -c constraints.txt pip-audit; } > $(VENV)/audit.log 2>&1 \
		|| { echo "mckl: not audited: pip-audit could not be installed ($(VENV)/audit.log)"; exit 0; }; \
	if $(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt > $(VENV)/audit.log 2>&1; \
	then echo "mckl: no vulnerability of the packages in constraints.txt is known"; \
	elif grep '^Found' $(VENV)/audit.log; then grep -v '^Found' $(VENV)/audit.log; exit 1; \
	else echo "mckl: not audited: $$(tail -n 1 $(VENV)/audit.log)"; fi

clean: ## remove the results and the environment
	rm -rf build site results/tables results/traces results/figures results/logs results/benchmarks \
		results/cost results/screenshots \
		results/*.html results/*.json results/*.rst results/*.txt .snakemake $(VENV)
