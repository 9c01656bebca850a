"""A YAML file as checked Structs: an error names the file, the key and what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml
from msgspec import inspect

from seqdetect.secret import Secret, reveal

T = TypeVar("T")
STANDARD: Final = Path("-")
"""Standard input or output, where a file may be that."""

_SECRET_NAMES: Final = re.compile(r"password|secret|key\.pem|token\.value", re.IGNORECASE)
"""Names of a client's settings whose values nobody should find in a file that is shared."""
_WORDS: Final = {
    "`object`": "keys and values",
    "`array`": "a list",
    "`str`": "text",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
    "`null`": "nothing",
}


@dataclass(frozen=True)
class Document:
    """A file and what stands at one place of it; ``at`` is that place's key path, as in ``models[0].bundle``."""

    file: Path
    value: Any
    at: str = ""

    def error(self, what: str, key: str = "") -> ValueError:
        """An error about ``key`` here, or about this place itself."""
        at = ".".join(part for part in (self.at, key) if part)
        return ValueError(f"{self.file}: {at}: {what}" if at else f"{self.file}: {what}")

    def inside(self, key: str, value: Any) -> Document:
        """The place ``key`` (``name``, or ``name[0].name``) of this one, which holds ``value``."""
        return Document(self.file, value, f"{self.at}.{key}" if self.at else key)

    def read(self, wanted: type[T]) -> T:
        """The value as a ``wanted`` Struct; paths in it are relative to the file's folder, and secrets looked up.

        Raises ``ValueError`` for the first key that is unknown, missing or of the wrong type.
        """
        value = self._checked(self.value, inspect.type_info(wanted))
        try:
            return msgspec.convert(value, wanted, dec_hook=self._made)
        except msgspec.ValidationError as error:
            raise self._explained(str(error)) from None

    def _made(self, wanted: type, value: Any) -> Any:
        if isinstance(value, wanted):
            return value
        if wanted is not Path or not isinstance(value, str):
            raise TypeError(f"expected a path, got {type(value).__name__}")
        return STANDARD if value == str(STANDARD) else self.file.parent / Path(value).expanduser()

    def _checked(self, value: Any, wanted: inspect.Type) -> Any:
        """The value with secrets looked up, where no key is unknown and every number is one.

        msgspec itself would name an unknown key without a hint.
        """
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(f"{value} is not a finite number")
        optional = isinstance(wanted, inspect.UnionType)
        if isinstance(wanted, inspect.UnionType):
            wanted = next((one for one in wanted.types if not isinstance(one, inspect.NoneType)), wanted)
        if isinstance(wanted, inspect.LiteralType) and value not in wanted.values:
            raise self.error(f"must be one of {', '.join(str(one) for one in wanted.values)}")
        if isinstance(wanted, inspect.CustomType) and wanted.cls is Secret:
            return self._secret(value)
        if isinstance(wanted, inspect.ListType) and isinstance(value, list):
            return [
                Document(self.file, item, f"{self.at}[{place}]")._checked(item, wanted.item_type)
                for place, item in enumerate(value)
            ]
        if isinstance(wanted, inspect.DictType) and isinstance(value, dict):
            return {
                key: self.inside(key, item)._client_setting(key, item, wanted) for key, item in value.items()
            }
        if isinstance(wanted, inspect.StructType) and value is None and not optional:
            return {}  # a section with everything commented out
        if isinstance(wanted, inspect.StructType) and isinstance(value, dict):
            known = {field.encode_name: field.type for field in wanted.fields}
            for key in value:
                if key not in known:
                    raise self.error(f"there is no such setting{hint(key, known)}", str(key))
            return {key: self.inside(key, item)._checked(item, known[key]) for key, item in value.items()}
        return value

    def _client_setting(self, key: str, value: Any, wanted: inspect.DictType) -> Any:
        """A value under a name that is not ours, as a client library's settings are."""
        if isinstance(wanted.value_type, inspect.UnionType) and _SECRET_NAMES.search(str(key)):
            raise self.error(
                "a secret is not written here: name its place under secrets, {env: NAME} or {file: PATH}"
            )
        return self._checked(value, wanted.value_type)

    def _secret(self, value: Any) -> Secret:
        items = list(value.items()) if isinstance(value, dict) else []
        if len(items) != 1 or items[0][0] not in ("env", "file") or not isinstance(items[0][1], str):
            raise self.error("a secret is not written here: name its place, {env: NAME} or {file: PATH}")
        ((place, name),) = items
        try:
            found = reveal(name, None) if place == "env" else reveal(None, self._made(Path, name))
        except ValueError as error:
            raise self.error(str(error)) from None
        assert found is not None
        return found

    def _explained(self, message: str) -> ValueError:
        what, _, where = message.partition(" - at `")
        at = where.rstrip("`").removeprefix("$").removeprefix(".").removeprefix("$.")
        here = self.inside(at, None) if at else self
        absent = re.fullmatch(r"Object missing required field `(.+)`", what)
        if absent:
            return here.error("is missing and has no default", absent[1])
        for ours, plain in _WORDS.items():
            what = what.replace(ours, plain)
        return here.error(what[:1].lower() + what[1:])


def hint(name: Any, known: Mapping[str, Any] | set[str]) -> str:
    """What ``name`` may have been meant for, and all that would do."""
    close = get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else f"; there are {', '.join(sorted(known))}"


def load(path: str | Path) -> Document:
    """The YAML file at ``path``. Raises ``FileNotFoundError``, or ``ValueError`` for what is not YAML."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration at {path}")
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, ValueError) as error:  # a date that there is not is a ValueError
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        if not isinstance(error, yaml.YAMLError | UnicodeDecodeError):
            problem = str(error)
        line = f" line {mark.line + 1}" if mark else ""
        # the whole message would show the lines around, and with them what may be secret
        raise ValueError(f"{path}{line}: this is not YAML: {problem or 'not UTF-8 text'}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: the file must hold keys and values; see serving/scorer.yaml")
    return Document(path, value)


class _Loader(yaml.SafeLoader):
    """Plain data only; a key that stands twice is an error rather than a setting that silently wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
