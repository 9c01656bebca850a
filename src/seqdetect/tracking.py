"""MLflow: every run with its configuration, data hash, revision, measures, artifacts and bundle."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING", "false")

import mlflow
import mlflow.onnx
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from seqdetect.sequence.features import FEATURES
from seqdetect.sequence.population import NAMES as POPULATION

PARENT: Final = "SEQDETECT_PARENT_RUN"
"""Environment variable that names the run a sweep's jobs are nested under."""
MODEL: Final = "seqdetect"
CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
"""Alias of the champion before the present one: where a rollback goes."""
BEFORE: Final = "seqdetect.replaced"
"""Tag of a version that was promoted: the champion that it replaced."""
LIBRARIES: Final = ("seqdetect", "torch", "lightning", "pyod", "scikit-learn", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Tracker:
    """Where runs are kept: a tracking store (``sqlite:///FILE``) and a folder for artifacts."""

    uri: str = "sqlite:///mlruns.db"
    artifacts: str = "mlruns"
    experiment: str = "seqdetect"

    def start(self) -> None:
        """Open the store, making it where it does not exist."""
        mlflow.set_tracking_uri(self.uri)
        if mlflow.get_experiment_by_name(self.experiment) is None:
            mlflow.create_experiment(
                self.experiment, artifact_location=Path(self.artifacts).absolute().as_uri()
            )
        mlflow.set_experiment(self.experiment)

    @contextmanager
    def run(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[str]:
        """One run, nested under the sweep it belongs to; gives its id."""
        self.start()
        parent = os.environ.get(PARENT)
        with mlflow.start_run(
            run_name=name, parent_run_id=parent, nested=parent is not None, tags=dict(tags)
        ) as run:
            mlflow.log_params({key: str(value)[:500] for key, value in flatten(parameters).items()})
            yield str(run.info.run_id)

    @contextmanager
    def resumed(self, run_id: str) -> Iterator[None]:
        """An earlier run, opened again."""
        self.start()
        with mlflow.start_run(run_id=run_id):
            yield

    def tags(self, tags: Mapping[str, str]) -> None:
        """Tag the open run."""
        mlflow.set_tags(dict(tags))

    def metrics(self, values: Mapping[str, Any], history: list[dict[str, float]]) -> None:
        """Log all numbers of a nested mapping under the open run, and a training history step by step."""
        numbers = {
            k: float(v) for k, v in flatten(values).items() if isinstance(v, int | float) and v is not None
        }
        mlflow.log_metrics({key: value for key, value in numbers.items() if np.isfinite(value)})
        for step, losses in enumerate(history):
            mlflow.log_metrics(losses, step=step)

    def artifact(self, path: Path) -> None:
        """Keep a file with the open run."""
        mlflow.log_artifact(str(path))

    def bundle(self, path: Path) -> str:
        """Log a bundle as an ONNX model with signature and input example; gives the model's address."""
        model = onnx.load(str(path))
        width = model.graph.input[2].type.tensor_type.shape.dim[1].dim_value
        shapes = {"features": (-1, len(FEATURES)), "population": (len(POPULATION),), "state_in": (-1, width)}
        example = {name: np.zeros([abs(n) for n in shape], np.float32) for name, shape in shapes.items()}
        inputs = Schema([TensorSpec(np.dtype("float32"), shape, name) for name, shape in shapes.items()])
        outputs = Schema(
            [
                TensorSpec(np.dtype("float32"), (-1, one.type.tensor_type.shape.dim[1].dim_value), one.name)
                for one in model.graph.output
            ]
        )
        logged = mlflow.onnx.log_model(
            model,
            name="bundle",
            signature=ModelSignature(inputs=inputs, outputs=outputs),
            input_example=example,
            save_as_external_data=False,
            pip_requirements=[f"onnxruntime=={version('onnxruntime')}", f"numpy=={version('numpy')}"],
        )
        return str(logged.model_uri)

    def crown(self, model_uri: str) -> int:
        """Register a logged bundle and point the alias ``champion`` at it; gives the registered version."""
        self.start()
        registered = mlflow.register_model(model_uri, MODEL)
        self.promote(int(registered.version))
        return int(registered.version)

    def champion(self) -> int | None:
        """The registered version that is champion; None where there is none."""
        self.start()
        return self._aliased(CHAMPION)

    def promote(self, version: int) -> None:
        """Make a registered version champion; it keeps in a tag which one it replaced. ``ValueError`` for others."""
        self.start()
        client = mlflow.MlflowClient()
        self._exists(version)
        before = self._aliased(CHAMPION)
        if before == version:
            return
        if before is None:
            client.delete_model_version_tag(MODEL, str(version), BEFORE)
        else:
            client.set_model_version_tag(MODEL, str(version), BEFORE, str(before))
        self._point(version, before)

    def rollback(self) -> tuple[int, int]:
        """Make the champion's predecessor champion again: the version left and the one gone back to.

        Once more goes back one further. Raises ``ValueError`` where there is nothing to go back to.
        """
        self.start()
        left = self._aliased(CHAMPION)
        if left is None:
            raise ValueError(f"no version of {MODEL} is champion in {self.uri}")
        back = self._before(left)
        if back is None:
            raise ValueError(f"version {left} is the first champion: there is none to go back to")
        self._exists(back)
        self._point(back, self._before(back))
        return left, back

    def versions(self) -> list[dict[str, Any]]:
        """Every registered version, newest first: number, run, aliases and the champion that it replaced."""
        self.start()
        # what a search gives knows no aliases
        names = {self._aliased(name): name for name in (PREVIOUS, CHAMPION)}
        found = mlflow.MlflowClient().search_model_versions(f"name = '{MODEL}'")
        rows = [
            {
                "version": int(one.version),
                "run_id": one.run_id,
                "alias": names.get(int(one.version)),
                "replaced": one.tags.get(BEFORE),
            }
            for one in found
        ]
        return sorted(rows, key=lambda row: -int(row["version"]))

    def fetch(self, version: int, path: Path) -> None:
        """Write a registered version's bundle to ``path``, which a service may be reading: whole or not at all."""
        self.start()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetching-") as folder:
            mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{MODEL}/{version}", dst_path=folder)
            (model,) = Path(folder).rglob("*.onnx")
            model.replace(path)

    def _point(self, champion: int, previous: int | None) -> None:
        client = mlflow.MlflowClient()
        client.set_registered_model_alias(MODEL, CHAMPION, str(champion))
        if previous is None:
            client.delete_registered_model_alias(MODEL, PREVIOUS)
        else:
            client.set_registered_model_alias(MODEL, PREVIOUS, str(previous))

    def _before(self, version: int) -> int | None:
        before = mlflow.MlflowClient().get_model_version(MODEL, str(version)).tags.get(BEFORE)
        return None if before is None else int(before)

    def _aliased(self, alias: str) -> int | None:
        try:
            found = mlflow.MlflowClient().get_model_version_by_alias(MODEL, alias)
        except mlflow.MlflowException:
            return None
        return int(found.version)

    def _exists(self, version: int) -> None:
        try:
            mlflow.MlflowClient().get_model_version(MODEL, str(version))
        except mlflow.MlflowException:
            raise ValueError(f"there is no version {version} of {MODEL} in {self.uri}") from None


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level with dotted names; lists are left as they are."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        out |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return out


def provenance(data_hash: str, seed: int) -> dict[str, Any]:
    """What a result depends on beside its configuration."""
    return {
        "git_revision": revision(),
        "data_hash": data_hash,
        "seed": seed,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def revision() -> str:
    """The checkout's commit, marked ``+`` where files were changed since; ``unknown`` outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True
        )
        if commit.returncode:
            return "unknown"
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")
