# make run, live, test: each works alone, on a machine with Python 3.11 or newer and nothing else.

PYTHON ?= python3
BIN := .venv/bin
# Exist once all that run and live need is installed, and all that the tests need.
RUNS := .venv/runs
READY := .venv/ready
ROOMS := api aggregator transforms io fetcher pipeline runner_configs

# Of what pip prints: large downloads, builds and errors; all of it goes to a log.
define SHOW_PIP
import sys
with open(".venv/setup.log", "w") as log:
    for line in sys.stdin:
        log.write(line)
        words = line.split()
        if words[:1] == ["Downloading"] and words[-1] == "MB)" and float(words[-2][1:]) >= 5:
            print("  downloading", words[1].split("/")[-1].split("-")[0], *words[2:], flush=True)
        elif words[:2] == ["Building", "wheel"]:
            print("  building", words[3], flush=True)
        elif words[:2] == ["Installing", "collected"]:
            print("  installing", len(words) - 3, "packages", flush=True)
        elif line.startswith("ERROR"):
            print(line, end="", flush=True)
endef
export SHOW_PIP

KAFKA_TESTS := $(wildcard tests/services/test_kafka_*.py) tests/services/test_sales.py

.PHONY: run live test test-kafka test-services test-rest lint types bench clean

run: $(RUNS)
	@rm -f features.db features.db-wal features.db-shm
	@$(BIN)/chronon-beam run \
	    --group_by examples/ice_cream/group_by.py \
	    --source file:examples/ice_cream/events.jsonl \
	    --store sqlite:features.db \
	    --dead_letters file:dead_letters.jsonl
	@echo
	@echo "The features five minutes into the example, read back from features.db:"
	@for customer in Alice Bob; do \
	    printf '  %-6s' $$customer; \
	    $(BIN)/chronon-beam fetch --group_by examples/ice_cream/group_by.py \
	        --store sqlite:features.db --key customer_id=$$customer --at 300000 || exit 1; \
	done
	@echo
	@echo "Next, a file of your own (JSON lines, CSV, Avro, Parquet); this writes a GroupBy for it:"
	@echo "  $(BIN)/chronon-beam init YOUR_FILE"
	@echo "README.md goes on from there."

# make live DEMO="--rate=500 --seconds=60" gives it flags.
live: $(RUNS)
	@$(BIN)/chronon-beam demo $(DEMO)

# Three processes: the tests with services wait more than they compute. Each session has services of its
# own; its report comes when it has ended, so that no two are mixed.
test: $(READY)
	@echo "Tests with services (Kafka, Flink, Bigtable) run beside all others; their reports come at the end"
	@$(MAKE) --no-print-directory -j3 test-rest test-kafka test-services

test-rest: $(READY)
	@$(BIN)/python -m pytest --ignore=tests/services

test-kafka: $(READY)
	$(call REPORTED,test-kafka,$(KAFKA_TESTS))

test-services: $(READY)
	$(call REPORTED,test-services,tests/services $(KAFKA_TESTS:%=--ignore=%))

# A report of $(1) that is printed once it is whole.
define REPORTED
	@mkdir -p build
	@$(BIN)/python -m pytest $(2) > build/$(1).log 2>&1; \
	    status=$$?; cat build/$(1).log; exit $$status
endef

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest tests/test_layers.py tests/test_style.py

# The folders are one package, chronon_beam: the checker finds it by links.
types: $(READY)
	@mkdir -p build/types/chronon_beam
	@for room in $(ROOMS); do ln -sfn ../../../$$room build/types/chronon_beam/$$room; done
	$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: $(READY)
	$(BIN)/python benchmarks/pipeline.py

clean:
	rm -rf .venv build *.egg-info

# Wheels built from source are used once, here: to pack them takes longer than all else about them.
# Python compiles a module when it is first imported, which most are not.
define SET_UP
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up .venv (once; a minute or two, most of it PySpark's 400 MB)"
	@began=$$(date +%s); $(PYTHON) -m venv .venv && rm -f $@ && \
	printf '[bdist_wheel]\ncompression = stored\n' > .venv/build.cfg; \
	export DIST_EXTRA_CONFIG="$(CURDIR)/.venv/build.cfg"; \
	{ $(BIN)/python -m pip install --disable-pip-version-check --no-compile -e '.[$(1)]' 2>&1 \
	    && touch $(2); } | $(BIN)/python -c "$$SHOW_PIP"; \
	test -e $@ || { echo "Set-up has failed: .venv/setup.log has all that pip says"; exit 1; }; \
	echo "Set up in $$(($$(date +%s) - began)) s"
endef

$(RUNS): setup.py
	$(call SET_UP,kafka,$(RUNS))

$(READY): setup.py
	$(call SET_UP,test,$(RUNS) $(READY))
