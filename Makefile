# One command for each thing one does here. Needs git, make and Python 3.11 or 3.12; everything else is fetched.
#   make testnet ARGS="--validators 7"      make test PYTHON=3.12      make sim SEED=7

PYTHON ?=
ARGS ?=
SEED ?=
UV_VERSION := 0.13.8
UV := $(shell command -v uv 2>/dev/null || echo .cache/uv-venv/bin/uv)
BIN := .venv/bin
PEERS := lightmatchingengine==2019.1.4
STAMP := .venv/.synced$(subst /,_,$(PYTHON))

.DEFAULT_GOAL := help
.PHONY: help testnet test check fuzz determinism bench bench-engine bench-gas bench-submit bench-agreement bench-history bench-net bench-consensus \
	sim sim-forks sim-court sim-epochs mutants crash-test exhaustive docs clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

testnet: $(STAMP)  ## four validators, a settlement chain, traders and a live table; Ctrl-C ends it
	@$(BIN)/hansa testnet up $(ARGS)

test: $(STAMP)  ## the whole test suite, files side by side on all processors: JOBS=0 for one after the other
	$(BIN)/python -m pytest -n $(or $(JOBS),auto) --dist loadfile $(ARGS)

check: $(STAMP)  ## lint, format, types, architecture, freshness of generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy engine consensus contracts net validator testnet
	$(BIN)/python -m pytest tests/test_tidy.py
	$(BIN)/python -m contracts.compile --check
	$(BIN)/python -m net.gateway.reference | diff docs/api.md -
	$(BIN)/python -m net.gateway.reference errors | diff docs/errors.md -
	$(BIN)/python -m net.gateway.reference deribit | diff docs/deribit.md -
	$(BIN)/python -m net.gateway.reference llms | diff docs/llms.txt -
	$(BIN)/python -m net.gateway.reference openapi | cmp docs/openapi.json -
	$(BIN)/python -m net.gateway.reference asyncapi | cmp docs/asyncapi.json -
	$(BIN)/python -m validator.log_events | diff docs/logs.md -
	$(BIN)/python -m validator.metric_reference | diff docs/metrics.md -
	$(BIN)/python -m testnet.worked_session --check
	$(BIN)/python -m testnet.scenario.reference | cmp docs/scenarios.md -

sim: $(STAMP)  ## the node under faults: 200 seeds and 300 Twins cases, each twice; SEED=7 replays one
	$(BIN)/python -m testnet.simulate $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: sim-long
sim-long: $(STAMP)  ## seeds of full length on all processors for HOURS=1
	$(BIN)/python -m testnet.simulate --long $(or $(HOURS),1) $(ARGS)

sim-forks: $(STAMP)  ## more than f liars force forks; at least f+1 of them must be named: ARGS="--forks 400"
	$(BIN)/python -m testnet.sim.fork_campaign $(if $(SEED),--seed $(SEED)) $(ARGS)

sim-court: $(STAMP)  ## the same forks with real signatures, tried by the court on a development chain: ARGS="--forks 400"
	$(BIN)/python -m testnet.sim.fork_court $(ARGS)

sim-epochs: $(STAMP)  ## committees follow each other under faults and one liar: ARGS="--seeds 500"
	$(BIN)/python -m testnet.sim.rotation $(if $(SEED),--seed $(SEED)) $(ARGS)

crash-test: $(STAMP)  ## kill -9 at random points of a running network, everything audited: KILLS=1000
	$(BIN)/python -m testnet.crash_test --kills $(or $(KILLS),1000) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: drill-rotation
drill-rotation: $(STAMP)  ## a committee of four becomes one of seven while it trades, and no block waits for it
	$(BIN)/python -m testnet.drill_rotation $(ARGS)

.PHONY: drill-join
drill-join: $(STAMP)  ## a fifth validator joins four with 100,000 accounts, votes and leaves, by the commands of docs/operate.md
	$(BIN)/python -m testnet.drill_join $(ARGS)

.PHONY: drill-escape
drill-escape: $(STAMP)  ## a trading network loses its whole committee, and everybody gets out without it; SEED=7 decides when
	$(BIN)/python -m testnet.drill_escape $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: drill-docker
drill-docker: $(STAMP)  ## four validators in containers, one of them cut off and healed; needs a Docker engine: ARGS="--cut 30"
	$(BIN)/python -m testnet.containers.drill $(ARGS)

.PHONY: newcomer
newcomer: $(STAMP)  ## from git clone to the first certified root on chain, timed: processes, then containers; ARGS="--only processes"
	$(BIN)/python -m testnet.newcomer $(ARGS)

.PHONY: wheelhouse
wheelhouse: $(STAMP)  ## all wheels of the image, so that docker build --build-arg PIP_NO_INDEX=1 asks no package index
	@mkdir -p build
	$(UV) export -q --frozen --extra node --no-dev --no-emit-project --no-hashes -o build/required.txt
	$(UV) tool run --python 3.11 --from pip pip wheel -q -w wheelhouse -r build/required.txt uv==$(UV_VERSION)

.PHONY: retry-storm
retry-storm: $(STAMP)  ## a thousand commands, each sent five times to random nodes while one is killed: each executes once; ARGS="--commands 200"
	$(BIN)/python -m testnet.retry_storm $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: drills
drills: $(STAMP)  ## every scenario of testnet/scenarios on real validators, with a report page each; ARGS="--only equivocation"
	$(BIN)/python -m testnet.scenario.drills $(ARGS)

.PHONY: drills-sim
drills-sim: $(STAMP)  ## the same scenarios, and some of hours, in virtual time: seconds each
	$(BIN)/python -m testnet.scenario.drills --backend sim $(ARGS)

.PHONY: drills-seeds
drills-seeds: $(STAMP)  ## each of them on many seeds in virtual time: SEEDS=10
	$(BIN)/python -m testnet.scenario.seeds --count $(or $(SEEDS),10) $(ARGS)

mutants: $(STAMP)  ## planted bugs, each of which the simulator has to find; ARGS="--only guard"
	$(BIN)/python -m testnet.sim.mutants $(ARGS)

exhaustive: $(STAMP)  ## four members, two views, one byzantine: every order of messages; ARGS="--quick", "--without R4-nullify"
	$(BIN)/python -m testnet.exhaustive $(ARGS)

fuzz: $(STAMP)  ## both engines side by side on drawn blocks: SECONDS=600; ARGS="--plant" finds planted bugs
	$(BIN)/python -m tests.engine.fuzz --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: fuzz-wire
fuzz-wire: $(STAMP)  ## every decoder of bytes from peers and clients, on damaged bytes: SECONDS=600
	$(BIN)/python -m tests.net.fuzz_wire --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: fuzz-api
fuzz-api: $(STAMP)  ## schemathesis calls the API as its description allows and forbids, over a real executed chain: CASES=10000
	$(BIN)/python -m tests.validator.fuzz_api --cases $(or $(CASES),10000) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: fuzz-contracts
fuzz-contracts: $(STAMP)  ## forge drives the contracts with random calls, where forge or npm is there: ARGS="--runs 256"
	$(BIN)/python -m tests.foundry.run $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: drill-quorum
drill-quorum: $(STAMP)  ## three of four voting keys are stolen: what the contracts refuse, slash, delay and cap
	$(BIN)/python -m testnet.drill_quorum $(ARGS)

determinism: $(STAMP)  ## the same roots however the engine is compiled: processors, bounds checks, optimisation, Python 3.12
	HANSA_DETERMINISM=all $(BIN)/python -m pytest tests/engine/test_determinism.py

bench: bench-engine bench-gas bench-agreement bench-history bench-links bench-parts bench-ingress bench-client bench-consensus bench-net  ## every benchmark; tables on stdout, numbers in build/results/

bench-engine: $(STAMP)  ## matching, margin, pricing, roots, snapshots, growth; ARGS="--only whole"
	@test -d build/peers || $(UV) pip install -q --no-deps --python $(BIN)/python --target build/peers $(PEERS)
	PYTHONPATH=build/peers $(BIN)/python -m tests.engine.bench $(ARGS)

bench-gas: $(STAMP)  ## what the contracts cost, beside two other ways to do it; goals judged; ARGS="--chain anvil --members 4"
	$(BIN)/python -m contracts.bench_gas $(ARGS)

bench-submit: $(STAMP)  ## from a certified header to a transaction on its way
	$(BIN)/python -m contracts.bench_submit

bench-agreement: $(STAMP)  ## CPU of agreement for a block, by part, four nodes in one process
	$(BIN)/python -m tests.validator.bench_agreement $(ARGS)

bench-history: $(STAMP)  ## what a node's memory of final blocks costs a command
	$(BIN)/python -m tests.validator.bench_history $(ARGS)

bench-net: $(STAMP)  ## orders a second through four validators, beside one node and bare TCP; ARGS="--quick --profile"
	$(BIN)/python -m testnet.bench_net $(ARGS)

.PHONY: bench-parts
bench-parts: $(STAMP)  ## what a command costs one node, part by part, without a network
	$(BIN)/python -m tests.validator.bench_parts

.PHONY: bench-ingress
bench-ingress: $(STAMP)  ## what a node pays to take an order, by JSON and in frames, and to check another node's
	$(BIN)/python -m tests.validator.bench_ingress

.PHONY: bench-signer
bench-signer: $(STAMP)  ## what a vote costs with the key in the node, and with a signer of its own
	$(BIN)/python -m tests.validator.bench_signer

.PHONY: bench-client
bench-client: $(STAMP)  ## what a trader's machine pays: import, signature, order stream
	$(BIN)/python tests/net/bench_client.py

.PHONY: check-dashboards
check-dashboards: $(STAMP)  ## alert rules by promtool, and every panel against a Prometheus that watches a network: ARGS="--duration 120"
	$(BIN)/python -m testnet.monitoring $(ARGS)

.PHONY: check-grafana
check-grafana: $(STAMP)  ## the dashboard against the schema that Grafana publishes, where npm is there
	$(BIN)/python -m tests.validator.check_grafana $(ARGS)

.PHONY: show-grafana
show-grafana: $(STAMP)  ## the dashboard with what check-dashboards saw, drawn by Grafana's component library, where npm and Chromium are
	$(BIN)/python -m tests.grafana.draw $(ARGS)

.PHONY: bench-links
bench-links: $(STAMP)  ## what one link between validators carries
	$(BIN)/python -m net.bench_links

.PHONY: bench-api
bench-api: $(STAMP)  ## what 200 clients of the API cost the committee, and one that never reads the others: ARGS="--api inside"
	$(BIN)/python -m testnet.bench_api $(ARGS)

.PHONY: bench-public
bench-public: $(STAMP)  ## what public hosts and followers cost while blocks come: ARGS="--followers 8"
	$(BIN)/python tests/net/bench_public.py $(ARGS)

.PHONY: bench-sim
bench-sim: $(STAMP)  ## agreement in virtual time: message delays, finality, crashes, partitions, catching up; ARGS="--far"
	$(BIN)/python -m testnet.sim.measure $(ARGS)

bench-consensus: $(STAMP)  ## four validators under load: blocks, finality, restart, catching up
	$(BIN)/python -m testnet.bench_consensus $(ARGS)

.PHONY: bench-wan
bench-wan: $(STAMP)  ## committees of 4 and 7 over lines of 50 +- 10 ms with loss, in network namespaces (root): ARGS="--delay-ms 100"
	$(BIN)/python -m testnet.wan $(ARGS)

.PHONY: bench-hostile
bench-hostile: $(STAMP)  ## four validators attacked in a dozen ways for ten minutes: ARGS="--duration 60"
	$(BIN)/python -m testnet.hostile $(ARGS)

.PHONY: soak
soak: $(STAMP)  ## an hour under traders, visitors, pauses and restarts; nothing may grow: ARGS="--duration 120"
	$(BIN)/python -m testnet.soak $(ARGS)

.PHONY: bench-sixteen
bench-sixteen: $(STAMP)  ## sixteen validators on this machine: frames and CPU of a block, kill -9 of five; ARGS="--members 25"
	$(BIN)/python -m testnet.sixteen $(ARGS)

docs: $(STAMP)  ## write the generated pages and contract artefacts anew, and build the site: build/site/index.html
	$(BIN)/python -m net.gateway.reference > docs/api.md
	$(BIN)/python -m net.gateway.reference errors > docs/errors.md
	$(BIN)/python -m net.gateway.reference deribit > docs/deribit.md
	$(BIN)/python -m net.gateway.reference llms > docs/llms.txt
	$(BIN)/python -m net.gateway.reference openapi > docs/openapi.json
	$(BIN)/python -m net.gateway.reference asyncapi > docs/asyncapi.json
	$(BIN)/python -m validator.log_events > docs/logs.md
	$(BIN)/python -m validator.metric_reference > docs/metrics.md
	$(BIN)/python -m testnet.worked_session --write
	$(BIN)/python -m testnet.scenario.reference --write
	$(BIN)/python -m contracts.compile
	$(BIN)/zensical build --strict

clean:  ## remove the environment, caches and local networks
	rm -rf .venv .cache build .hansa-testnet .hansa-drills .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml uv.lock
	@test -x $(UV) || $(MAKE) --no-print-directory $(UV)
	@echo "installing the pinned packages into .venv (under a minute on a fast line)" >&2
	@# Compiled now, because some systems forbid programs to write bytecode, and then every start compiles everything.
	@$(UV) sync --frozen --all-extras --compile-bytecode $(if $(PYTHON),--python $(PYTHON)) >&2
	@$(BIN)/python -m compileall -q -j 0 validator consensus engine contracts net testnet
	@touch $@

# Debian's python3 comes without ensurepip unless python3-venv is installed; then pip's user folder has to do.
.cache/uv-venv/bin/uv:
	@echo "fetching uv $(UV_VERSION), the package installer" >&2
	@mkdir -p .cache
	@rm -rf .cache/uv-venv
	@if python3 -m venv .cache/uv-venv >/dev/null 2>&1; then \
	    .cache/uv-venv/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); \
	elif python3 -m pip install -q --target .cache/uv-pip uv==$(UV_VERSION); then \
	    rm -rf .cache/uv-venv; mkdir -p .cache/uv-venv/bin; ln -s ../../uv-pip/bin/uv .cache/uv-venv/bin/uv; \
	else \
	    rm -rf .cache/uv-venv; \
	    echo "python3 has neither venv nor pip: install python3-venv, or put uv on the PATH" >&2; exit 1; \
	fi
