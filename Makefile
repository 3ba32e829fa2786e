# StepCoder's front door. `make help` lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv/bin
NAME ?= smoke
PROFILE ?= deploy/profiles/local.yaml
SEEDS ?= 7
MBPP ?= $(or $(STEPCODER_DATA),../shared/data)/mbpp/mbpp.jsonl
# Two test processes; every Ray test runs in one of them, from the beginning (tests/conftest.py).
PARALLEL := --numprocesses 2 --dist loadgroup --no-loadscope-reorder

.PHONY: help install local-cluster local-cluster-down test test-unit bench-sandbox bench-curriculum bench-fleet bench-learner chaos model-matrix real-model soak ablation gpu-check coverage images monitoring docs docs-serve lint format lock engine engine-down clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

install: ## create .venv with the pinned dependencies (a second run does nothing)
	@deploy/install/install.sh

local-cluster: install ## one-node Ray cluster, the smoke run as a Ray job, its result table
	@exec $(VENV)/python -m deploy local-cluster up --name $(NAME) --config $(PROFILE) $(ARGS)

local-cluster-down: ## stop exactly what local-cluster started
	@if [ -x $(VENV)/python ]; then exec $(VENV)/python -m deploy local-cluster down; else echo "nothing to stop: no .venv here"; fi

test: install ## every test (the Docker ones where an engine answers)
	@exec $(VENV)/python -m pytest $(PARALLEL) $(ARGS)

test-unit: install ## the tests that start no Ray, vLLM, DeepSpeed or Docker
	@exec $(VENV)/python -m pytest $(PARALLEL) -m "not integration and not docker" $(ARGS)

model-matrix: install ## every model family through SFT, RL, export and vLLM: the table of docs/models.md
	@mkdir -p runs/bench && rm -f runs/bench/models.md
	@STEPCODER_MATRIX=$(CURDIR)/runs/bench/models.md $(VENV)/python -m pytest -q -p no:xdist tests/models $(ARGS); \
	 status=$$?; cat runs/bench/models.md; exit $$status

real-model: install ## a pretrained model on MBPP: MBPP=FILE MODEL=FOLDER, by default from STEPCODER_DATA and the hub
	@mkdir -p runs/data
	@$(VENV)/python -m deploy data convert $(MBPP) -o runs/data/mbpp.test.jsonl --numbers 11-510 --skip-bad
	@$(VENV)/python -m deploy data convert $(MBPP) -o runs/data/mbpp.train.jsonl --numbers 601-974 --without runs/data/mbpp.test.jsonl --skip-bad
	@exec $(VENV)/python -m deploy train --config deploy/profiles/real-model.yaml $(if $(MODEL),--model.path $(MODEL)) $(ARGS)

soak: install ## what only endurance shows: chaos, 20,000 programs, nodes that come and go, large property tests (over an hour)
	@HYPOTHESIS_PROFILE=soak $(VENV)/python -m pytest $(PARALLEL) -m hypothesis --timeout 3600
	@$(VENV)/python -m deploy bench sandbox --soak 20000
	@$(VENV)/python -m deploy chaos --config deploy/profiles/chaos.yaml
	@STEPCODER_SOAK=1 $(VENV)/python -m pytest -q -p no:xdist tests/deploy/cluster/test_separate_nodes.py

ablation: install ## does CCCS help, does FGO: five arms and SEEDS=7 seeds, an hour a seed on 2 cores (ARGS="--arms all")
	@exec $(VENV)/python -m deploy ablate --profile deploy/profiles/ablation.yaml --seeds $(SEEDS) $(ARGS)

bench-sandbox: install ## measure the sandbox: one table and runs/bench/sandbox.json (ARGS=--quick for a look)
	@exec $(VENV)/python -m deploy bench sandbox $(ARGS)

bench-curriculum: install ## measure loading, cutting and observing: one table and runs/bench/curriculum.json
	@exec $(VENV)/python -m deploy bench curriculum $(ARGS)

bench-fleet: install ## measure the orchestration: one table and runs/bench/fleet.json
	@exec $(VENV)/python -m deploy bench fleet $(ARGS)

chaos: install ## the smoke profile on simulated nodes while things are killed (ARGS="--every 5 --kill-seed 2")
	@exec $(VENV)/python -m deploy chaos --config deploy/profiles/chaos.yaml $(ARGS)

bench-learner: install ## measure the learner against TRL and full logits: one table and runs/bench/learner.json
	@$(VENV)/python -c 'import trl' 2>/dev/null || deploy/install/install.sh bench
	@exec $(VENV)/python -m deploy bench learner $(ARGS)

gpu-check: install ## whether this machine can run all of it, on its GPUs if it has any: one table, runs/check/check.json
	@exec $(VENV)/python -m deploy check $(ARGS)

coverage: install ## every test, with a line-coverage report of our own code in build/coverage/
	@mkdir -p build/coverage
	@$(VENV)/python -m pytest $(PARALLEL) --cov --cov-report= $(ARGS); status=$$?; \
	 $(VENV)/coverage html -q -d build/coverage/html; $(VENV)/coverage report; exit $$status

images: ## build the images that can be built here (IMAGES="cpu gpu sandbox", BASE=IMAGE)
	@deploy/images/build.sh $(IMAGES)

monitoring: install ## write Prometheus rules and Grafana dashboard from the definitions of the metrics
	@exec $(VENV)/python -m deploy.monitoring

docs: install ## the documentation site in build/site, without warnings
	@NO_MKDOCS_2_WARNING=1 $(VENV)/mkdocs build --strict --quiet && echo "docs: build/site/index.html"

docs-serve: install ## the documentation site on http://127.0.0.1:8000, rebuilt on every change
	@NO_MKDOCS_2_WARNING=1 exec $(VENV)/mkdocs serve --watch README.md --watch CHANGELOG.md $(ARGS)

lint: install ## ruff (lint and format), codespell and pyright
	@$(VENV)/ruff check . && $(VENV)/ruff format --check . && $(VENV)/codespell && $(VENV)/pyright

format: install ## let ruff fix and format
	@$(VENV)/ruff check --fix . && $(VENV)/ruff format .

lock: install ## recompile deploy/install/constraints-*.txt from pyproject.toml
	@deploy/install/lock.sh

engine: ## start a Docker engine for the sandbox (DRY_RUN=1 only tells what it would do)
	@deploy/install/docker_engine.sh start $(if $(DRY_RUN),--dry-run)

engine-down: ## stop the engine that `make engine` started
	@deploy/install/docker_engine.sh stop

clean: ## remove caches (not runs/, not .venv)
	@rm -rf .pytest_cache .ruff_cache .hypothesis *.egg-info && find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
