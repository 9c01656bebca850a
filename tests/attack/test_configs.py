"""``configs/attack``: every attack has its yaml, and Hydra builds the injector from them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

import seqdetect.attack
from seqdetect import incidents
from seqdetect.attack.inject import Injector

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
KINDS = incidents.ATTACK_KINDS + incidents.BENIGN_KINDS


def built(*overrides: str) -> Any:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return instantiate(compose(overrides=list(overrides)).attack)


def test_all_holds_every_attack() -> None:
    injector = built("+attack=all")
    assert isinstance(injector, Injector)
    assert sorted(injector.attacks) == sorted(KINDS)
    assert all(attack.kind == name for name, attack in injector.attacks.items())


def test_all_lists_every_yaml() -> None:
    listed = {entry.split("@")[0] for entry in _defaults() if entry != "_self_"}
    there = {path.stem for path in (CONFIGS / "attack").glob("*.yaml")} - {"all", "none"}
    assert listed == there, "configs/attack/all.yaml must name every attack's yaml, and only those"


def _defaults() -> list[str]:
    config = OmegaConf.to_container(OmegaConf.load(CONFIGS / "attack" / "all.yaml"))
    assert isinstance(config, dict)
    return [str(entry) for entry in config["defaults"]]


def test_every_attack_has_a_yaml() -> None:
    folder = Path(seqdetect.attack.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if "owasp: ClassVar" in path.read_text()} - {
        "__init__"
    }
    assert modules == {path.stem for path in (CONFIGS / "attack").glob("*.yaml")} - {"all", "none"}


@pytest.mark.parametrize("kind", KINDS)
def test_yaml_says_what_the_class_does(kind: str) -> None:
    attack = built(f"+attack={kind}")
    fields = {field.name: field.default for field in dataclasses.fields(attack)}
    config = OmegaConf.load(CONFIGS / "attack" / f"{kind}.yaml")
    assert set(config) - {"_target_"} == set(fields), (
        "the yaml names every parameter, so that each can be set"
    )
    for name, default in fields.items():
        value = getattr(attack, name)
        if isinstance(default, tuple) and not isinstance(default[0], str):
            np.testing.assert_allclose(list(value), default, rtol=1e-3)
        else:
            assert value == default or list(value) == list(default)


def test_parameters_can_be_set_from_the_command_line() -> None:
    injector = built("+attack=all", "attack.attacks.flood.hours=[1.0,2.0]", "attack.per_user_day=0.5")
    assert injector.attacks["flood"].hours == [1.0, 2.0]
    assert injector.per_user_day == 0.5


def test_kinds_can_be_left_out() -> None:
    injector = built("+attack=all", "~attack.attacks.flood", "~attack.attacks.drip")
    assert sorted(injector.attacks) == sorted(set(KINDS) - {"flood", "drip"})


def test_none_holds_nothing_and_single_ones_can_be_put_in() -> None:
    assert built("+attack=none").attacks == {}
    assert list(built("+attack=none", "+attack@attack.attacks.flood=flood").attacks) == ["flood"]
