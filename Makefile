# Two commands do everything: `make study` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The tests use all backends; the study only needs NumPy.
READY_TEST := $(VENV)/.ready-test
# The benchmarks also run other libraries.
READY_BENCHMARK := $(VENV)/.ready-benchmark
# Some tests deploy the workflow as its users do.
READY_DEPLOY := $(VENV)/.ready-deploy
# The site is made by Sphinx.
READY_SITE := $(VENV)/.ready-site
# uv finds versions, the newest or the oldest.
UV := $(VENV)/uv/bin/uv
PLAIN := --quiet --no-header --no-annotate
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
PIP = $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
# Snakemake starts the programs that it finds on PATH. Numbers have a decimal point.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export LC_NUMERIC := C

RESULTS ?= results
# The figures in README and docs: of the default study, and those that are the same for every config.
STUDY_FIGURES := overview error-vs-samples estimators samplers samples-needed factors \
	notebook-samples notebook-trace notebook-joint notebook-squared-error
CONSTANT_FIGURES := tails sequence-length off-policy libraries training
# The studies that `make results` runs and publishes, and what is asked of those that are not whole.
PUBLISHED := default families policies intervals pairs plane plane-measured
TARGETS_plane := settings theory
TARGETS_intervals := intervals

.DEFAULT_GOAL := help
.PHONY: help setup study verify-results test browser deploy benchmark docs readme-figures lint format lock audit clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the pinned dependencies

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "mckl: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1 || true): set PYTHON=..." >&2; exit 1; }
	@echo "mckl: setting up $(VENV) (once, about two minutes): NumPy, SciPy, pandas, Matplotlib, Snakemake, linters, pytest"
	@$(PYTHON) -m venv $(VENV) || { echo "mckl: $(PYTHON) has no venv: install it (Debian: python3-venv)" >&2; exit 1; }
# The pip that comes with Python 3.11 does not know dependency groups.
	@{ $(PIP) --quiet pip && $(PIP) -e '.[study]' --group dev; } $(NEWS) \
		|| { tail -n 3 $(VENV)/pip.log >&2; echo "mckl: the packages could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }
	@touch $@

study: $(READY) ## run the default study: results/tables, results/figures, results/report.html
	@snakemake --cores all
	@test -s results/report.html || { echo "mckl: the report is missing: run snakemake --report results/report.html --report-stylesheet workflow/report/report.css" >&2; exit 1; }

results: $(PUBLISHED:%=run-%) ## run the published studies, and pack their tables into build/results-VERSION
	@python docs/results.py $(PUBLISHED)

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
	@$(PIP) -e '.[tensorflow,s3]' $(NEWS) \
		|| { tail -n 3 $(VENV)/pip.log >&2; echo "mckl: the tests' packages could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }
# In a separate folder, since with SLURM's plugin every start of Snakemake takes half a second more.
	@$(PIP) --quiet --no-deps --upgrade \
		--target $(VENV)/cluster snakemake-executor-plugin-slurm snakemake-executor-plugin-slurm-jobstep 2> $(VENV)/pip.log \
		|| { tail -n 3 $(VENV)/pip.log >&2; echo "mckl: SLURM's plugin could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }
	@touch $@

test: $(READY_TEST) ## run every test that needs neither a browser nor a deployment
	@echo "mckl: running the tests on all cores"
	@pytest -n auto --ignore=tests/browser --ignore=tests/deploy

# Each in an environment of its own. What such an environment lacks is skipped, in CI too.
.PHONY: test-python lowest
test-python: ## make test with PYTHON=python3.13, in an environment of its own
	@env -u CI $(MAKE) test VENV=$(VENV)/$(notdir $(PYTHON))

TESTS ?= tests
LOWEST := $(VENV)/lowest
lowest: $(LOWEST)/.ready ## run the tests (or TESTS=...) with the oldest versions that pyproject.toml admits
	@echo "mckl: running $(TESTS) with the oldest versions"
	@env -u CI $(LOWEST)/bin/python -m pytest -n auto --ignore=tests/browser --ignore=tests/deploy $(TESTS)

# Only what pyproject.toml names is old; the packages that these need, and pytest, are pinned.
$(LOWEST)/.ready: $(UV) pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "mckl: the oldest versions are those of Python 3.11, $(PYTHON) is $$($(PYTHON) --version): set PYTHON=..." >&2; exit 1; }
	@echo "mckl: setting up $(LOWEST) (once, half a minute): the study with the oldest versions, and pytest"
	@$(PYTHON) -m venv --clear --without-pip $(LOWEST)
	@$(UV) pip compile pyproject.toml --extra study --no-deps --resolution lowest-direct $(PLAIN) > $(LOWEST)/oldest.txt
	@sed 's/^/^/; s/==.*/==/' $(LOWEST)/oldest.txt | grep -ivf - constraints.txt > $(LOWEST)/constraints.txt
	@$(UV) pip install --quiet --python $(LOWEST) --resolution lowest-direct -c $(LOWEST)/constraints.txt -e '.[study]' --group test
	@touch $@
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

$(READY_DEPLOY): $(READY)
	@echo "mckl: adding the packages of a deployment to $(VENV) (once, some seconds): snakedeploy, hatchling"
	@$(PIP) --group deploy $(NEWS) \
		|| { tail -n 3 $(VENV)/pip.log >&2; echo "mckl: snakedeploy could not be installed: is the network reachable? ($(VENV)/pip.log)" >&2; exit 1; }
	@touch $@

deploy: $(READY_DEPLOY) $(CRATE) ## run the study as a module from git and by snakedeploy, with nothing else on disk
	@pytest -n 2 --dist load tests/deploy

$(READY_BENCHMARK): $(READY_TEST)
	@echo "mckl: adding the benchmarks' package to $(VENV) (once, about a minute): PyTorch"
	@$(PIP) --group benchmark $(NEWS) \
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
.PHONY: constant site deploy
constant: $(READY)
	@mkdir -p build/docs docs/figures
	@python docs/build.py build/docs

docs: constant ## renew tables, figures and quoted output in README and docs
	cp build/docs/libraries.md docs/explanation/
	@python docs/decision.py README.md docs/explanation/what-wins.md
	@python docs/families.py docs/reference/families.md
	@python docs/commands.py README.md docs/*/*.md
	cp $(CONSTANT_FIGURES:%=build/docs/figures/%.png) docs/figures/
	@if command -v dot tred > /dev/null; then snakemake --rulegraph 2> /dev/null | tred | dot -Tsvg > docs/figures/rules.svg; \
	else echo "mckl: docs/figures/rules.svg is as before: Graphviz, which draws it, is not installed"; fi

$(READY_SITE): $(READY)
	@echo "mckl: adding the site's packages to $(VENV) (once, some seconds): Sphinx, MyST, a theme"
	@$(PIP) --group site $(NEWS) \
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
	codespell
	snakefmt --check Snakefile workflow
	snakemake --lint

format: $(READY) ## format the code
	ruff check --fix --quiet . || true
	ruff format .
	snakefmt Snakefile workflow

$(UV): constraints.txt
	@$(PYTHON) -m venv --clear $(VENV)/uv && $(VENV)/uv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv \
		|| { echo "mckl: uv could not be installed: is the network reachable?" >&2; exit 1; }
	@touch $@

# Constraints with hashes would fail `pip install .`, because a folder has no hash; so there are two files.
COMPILE = $(UV) pip compile pyproject.toml $(PLAIN) $(addprefix --no-emit-package ,setuptools wheel)
define HASHES
# What a study needs and what builds mckl, with the hashes of all files of each release; renewed by `make lock`.
# To install mckl with nothing whose hash is not here:
#   python -m pip install --require-hashes -r requirements.txt
#   python -m pip install --no-deps --no-build-isolation .
endef
export HASHES

lock: $(UV) ## renew constraints.txt, and requirements.txt with hashes, with the current releases
	{ echo "# Current releases, pinned; renewed by 'make lock'."; $(COMPILE) --all-extras $(addprefix --group ,dev benchmark site tools); } > $(VENV)/constraints.txt
	{ echo "$$HASHES"; $(COMPILE) --extra study --group build --universal --generate-hashes -c $(VENV)/constraints.txt; } \
		> $(VENV)/requirements.txt
	mv $(VENV)/constraints.txt $(VENV)/requirements.txt .
	sed -i "s/hatchling==[^\"]*/$$(grep ^hatchling== constraints.txt)/" pyproject.toml
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

# The tools have their own environment, since they are not among the packages that mckl is tested with.
.PHONY: dist release release-check
dist: $(READY) ## build the packages in build/dist; check them, their types, and .github
	@test -x $(VENV)/dist/bin/zizmor || { echo "mckl: setting up $(VENV)/dist (once, some seconds): build, twine, pyright, zizmor" >&2 \
		&& $(PYTHON) -m venv $(VENV)/dist && $(VENV)/dist/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		build check-jsonschema check-wheel-contents 'pyright[nodejs]' twine 'validate-pyproject[all]' zizmor; }
	rm -rf build/dist
	$(VENV)/dist/bin/python -m build --outdir build/dist . > $(VENV)/dist.log 2>&1 || { tail -n 5 $(VENV)/dist.log >&2; exit 1; }
	$(VENV)/dist/bin/twine check --strict build/dist/*
	$(VENV)/dist/bin/check-wheel-contents build/dist/*.whl
	$(VENV)/dist/bin/validate-pyproject pyproject.toml
	$(VENV)/dist/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*
	$(VENV)/dist/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/dist/bin/zizmor --offline --quiet .github
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/dist/bin/pyright --verifytypes mckl --ignoreexternal --outputjson > build/types.json || true
	@$(PYTHON) -c 'import json, sys; score = json.load(open("build/types.json"))["typeCompleteness"]["completenessScore"]; \
		print(f"mckl: {score:.1%} of the public names have known types (at least 97 % are expected)"); sys.exit(score < 0.97)'

release: ## prepare a release: VERSION=1.2.3, and REPOSITORY=https://... the first time
	@$(PYTHON) .ci/release.py "$(VERSION)" --repository "$(REPOSITORY)"

release-check: ## say what keeps TAG=v1.2.3 from being released
	@$(PYTHON) .ci/release.py --check "$(TAG)"

.PHONY: paper
paper: study ## renew paper/paper.md and its figure from the default study
	@python paper/render.py results

clean: ## remove the results and the environment
	rm -rf build site results/tables results/traces results/figures results/logs results/benchmarks \
		results/cost results/screenshots \
		results/*.html results/*.json results/*.rst results/*.txt .snakemake $(VENV)
