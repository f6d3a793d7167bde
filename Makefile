# make demo        fit a classifier to a small data set, and write a report
# make test        run all checks and tests
# make fuzz        test about 9,000 random inputs (15 minutes)
# make portable    run numerical tests with other kernels and numbers of threads, and
#                  without numba (20 minutes)
# make mutants     check whether tests detect changes to the code (two hours)
# make oldest      run all tests with the lower bounds in pyproject.toml
# make newest      run all tests with the newest releases of all dependencies
# make audit       check the pinned packages for known vulnerabilities (online)
# make benchmark   compare with other classifiers on six small data sets (minutes)
# make results     compute missing results of the benchmarks with the data sets in
#                  SKTEXT_VQ_DATA (hours)
# make docs        build the documentation in build/docs
# make clean       remove environments and temporary files
#
# PYTHON sets the interpreter. TORCH_INDEX_URL sets the index for torch; the build from
# https://download.pytorch.org/whl/cpu is much smaller than the build with CUDA.

PYTHON ?= python3
TORCH_INDEX_URL ?=

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check \
	--constraint constraints.txt

.PHONY: demo test fuzz portable mutants oldest newest audit benchmark results docs clean

demo: .venv/demo.stamp
	$(BIN)/python -m sktext_vq demo

test: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy sktext_vq
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations=25

portable: .venv/test.stamp
	$(BIN)/python tests/portable.py

fuzz: .venv/test.stamp
	$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile fuzz \
		tests/test_fuzzing.py tests/test_fuzzing_of_models.py \
		tests/test_fuzzing_of_faces.py tests/test_persistence.py

# The tests of a module are sufficient, and faster than all tests.
mutants: .venv/test.stamp
	$(INSTALL) mutmut
	for tests in codebook panel persistence verbalizer; do \
		rm -rf mutants; \
		export PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1; \
		PYTEST_ADDOPTS="-k test_$$tests" mutmut run; \
		mutmut results | sed -n /survived/p; \
	done

oldest newest: %: .venv-%/stamp
	.venv-$@/bin/python -m pytest -n 2 --dist worksteal

audit: $(BIN)/python
	$(INSTALL) pip-audit
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

benchmark: .venv/benchmark.stamp
	$(BIN)/python -m benchmarks run suite --seeds 0 --results build/benchmark \
		--sets BasicMotions ArrowHead GunPoint ItalyPowerDemand JapaneseVowels OSULeaf \
		--only estimator minirocket multirocket catch22 tsf dtw closed-form classifier

results: .venv/benchmark.stamp .venv-aeon/stamp
	$(BIN)/python -m benchmarks run suite --sets small --seeds 0 1 2 3 4 \
		--only estimator closed-form classifier-closed minirocket
	$(BIN)/python -m benchmarks run suite --sets small --seeds 0 --only estimator \
		classifier minirocket-calibrated multirocket weasel catch22 tsf dtw
	$(BIN)/python -m benchmarks run suite --sets large --seeds 0 --processes 1 \
		--only estimator closed-form classifier-closed classifier-named minirocket \
		minirocket-calibrated
	PYTHONPATH=. .venv-aeon/bin/python -m benchmarks run suite-aeon --sets small --seeds 0
	for name in choices training crossmodal ablation zero_shot search faithfulness naming shift drift \
		gaps pretrain segment groups regression wearables cost memory export cluster; do \
		$(BIN)/python -m benchmarks run $$name || exit; \
	done
	$(BIN)/python -m benchmarks report
	$(BIN)/python -m benchmarks documents

docs: .venv/docs.stamp
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env -q \
		-b html docs build/docs
	@echo "Open build/docs/index.html in a browser."

clean:
	rm -rf .venv .venv-* mutants .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf build dist sktext_vq.egg-info docs/auto_examples docs/generated
	find sktext_vq tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv .venv

# torch is installed first and separately, so that its build can be chosen.
.venv/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into .venv, which takes some minutes."
	$(INSTALL) $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) torch
	$(INSTALL) --editable '.[all]'
	touch $@

.venv/test.stamp: .venv/demo.stamp
	$(INSTALL) --editable '.[benchmark,test]'
	touch $@

# aeon does not support the versions of numba and numpy in constraints.txt.
.venv-aeon/stamp: benchmarks/constraints-aeon.txt
	$(PYTHON) -m venv .venv-aeon
	.venv-aeon/bin/python -m pip install --quiet \
		--constraint benchmarks/constraints-aeon.txt aeon sktime torch
	touch $@

.venv-oldest/stamp: pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet uv
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest/bin/python \
		--resolution lowest-direct --editable '.[benchmark,test]'
	touch $@

.venv-newest/stamp: pyproject.toml
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --editable '.[benchmark,test]'
	touch $@

.venv/docs.stamp: .venv/demo.stamp
	$(INSTALL) --editable '.[docs]'
	touch $@

.venv/benchmark.stamp: .venv/demo.stamp
	$(INSTALL) --editable '.[benchmark]'
	touch $@
