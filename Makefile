# make demo: the main job from end to end.  make test: everything that must hold.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: demo demo-live test mlflow environment programs sbom
environment: $(READY)

# torch first and by its exact version, so that the CPU build is taken where one is offered.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,serve,kafka,spark,dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/python train.py experiment=demo out=out/demo

# Broker, simulator, scorer, Prometheus and Alertmanager on loopback, and an attack that is caught; ends with Ctrl-C.
demo-live: $(READY)
	test -f out/demo/bundle.onnx || $(MAKE) demo
	$(BIN)/python serving/demo/run.py $(LIVE)

test: $(READY)
	$(BIN)/ruff check src tests experiments serving train.py
	$(BIN)/ruff format --check src tests experiments serving train.py
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Debian's builds of the programs that some tests run against; without them those tests are skipped and say so.
programs:
	apt-get update -qq
	apt-get install -qq -y --no-install-recommends prometheus prometheus-alertmanager influxdb influxdb-client nginx-light chromium

mlflow: $(READY)
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlruns.db --host 127.0.0.1 --port 5000 --workers 1

# What the scorer's image holds beyond its base, as CycloneDX: out/sbom/scorer.cdx.json.
sbom:
	rm -rf out/sbom
	$(PYTHON) -m venv --without-pip out/sbom/image
	$(PYTHON) -m venv out/sbom/tool
	out/sbom/tool/bin/python -m pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7.5'
	out/sbom/tool/bin/python -m pip --python out/sbom/image/bin/python install --quiet --disable-pip-version-check --only-binary :all: -c constraints.txt '.[serve,kafka]'
	out/sbom/tool/bin/cyclonedx-py environment --validate --output-reproducible --pyproject pyproject.toml --of JSON -o out/sbom/scorer.cdx.json out/sbom/image/bin/python
	rm -rf out/sbom/image out/sbom/tool
