"""Memory as one file: a JSON document and the arrays it tells of, checksummed, no pickle.

Line 1 names the format and its version, line 2 is the document (with the name, type and shape of every array), then
come the arrays' bytes, and at the end the SHA-256 of all before. The file is written aside, synced and then moved
into place, so it is whole or absent; the one before is kept beside it as ``.previous``.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.durable import sync_folder

log = logging.getLogger(__name__)
Arrays = dict[str, NDArray[Any]]
MAGIC: Final = b"seqdetect-checkpoint 3\n"
READABLE: Final = (b"seqdetect-checkpoint 2\n", MAGIC)
"""What a file may begin with: version 2 knew fewer fields of requests and had no crowd, which begins anew."""
_PIECE: Final = 1 << 22
_DIGEST_BYTES: Final = 32


def write(path: str | Path, document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> int:
    """Put the memory at ``path``; bytes written. Needs no second copy of the arrays in memory."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [[name, array.dtype.descr if array.dtype.names else array.dtype.str, list(array.shape)]
              for name, array in arrays.items()]  # fmt: skip
    text = json.dumps({"document": document, "arrays": listed}).encode() + b"\n"
    aside = Path(f"{path}.{os.getpid()}.part")
    digest = hashlib.sha256()
    _clear(path)
    with open(aside, "wb") as file:
        with contextlib.suppress(OSError):  # not every file system has locks, and then nothing is removed
            fcntl.flock(file, fcntl.LOCK_EX)
        pieces: list[bytes | memoryview] = [MAGIC, text, *map(_raw, arrays.values())]
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
        file.write(digest.digest())
        size = file.tell()
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        os.replace(path, previous(path))
    os.replace(aside, path)
    sync_folder(path.parent)
    return size


def read(path: str | Path) -> tuple[dict[str, Any], Arrays]:
    """The memory at ``path`` itself.

    Raises ``FileNotFoundError``, or ``ValueError`` for a foreign, damaged or truncated file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) not in READABLE:
            raise ValueError(f"{path} is not a seqdetect checkpoint of version 2 or 3")
        _check(file, path)
        file.seek(len(MAGIC))
        with _understood(path):
            return _contents(file, path)


def _contents(file: BufferedReader, path: Path) -> tuple[dict[str, Any], Arrays]:
    head = json.loads(file.readline())
    arrays = {}
    for name, kind, shape in head["arrays"]:
        dtype = np.dtype([tuple(one) for one in kind] if isinstance(kind, list) else kind)
        array = np.empty(shape, dtype)
        if array.nbytes and file.readinto(_raw(array)) != array.nbytes:
            raise ValueError(f"{path} is damaged or truncated: it ends within {name}")
        arrays[name] = array
    return head["document"], arrays


@contextlib.contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Whatever is raised at a file that is whole and holds something else than expected becomes ``ValueError``."""
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:
        raise ValueError(f"{path} holds something else than this version writes: {error!r}") from error


def latest(path: str | Path, accept: Callable[[dict[str, Any], Arrays], None]) -> bool:
    """Hand the memory at ``path`` to ``accept``, or, where that file is missing or damaged, the one before it.

    Returns whether there was one. Raises what ``accept`` raises, and ``ValueError`` where files are there and none
    can be read.
    """
    fault: ValueError | None = None
    for candidate in (Path(path), previous(path)):
        try:
            document, arrays = read(candidate)
        except FileNotFoundError:
            continue
        except ValueError as error:
            log.warning("%s; the checkpoint before it is used if there is one", error)
            fault = fault or error
            continue
        with _understood(candidate):
            accept(document, arrays)
        return True
    if fault is not None:
        raise fault
    return False


def previous(path: str | Path) -> Path:
    """Where the checkpoint before the one at ``path`` is kept."""
    return Path(f"{path}.previous")


def _clear(path: Path) -> None:
    """Remove what processes that were killed while they wrote have left aside; nobody holds its lock any more."""
    for left in glob.glob(f"{glob.escape(str(path))}.*.part"):
        with contextlib.suppress(OSError), open(left, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(left)


def _check(file: BinaryIO, path: Path) -> None:
    size = os.fstat(file.fileno()).st_size
    left = size - _DIGEST_BYTES
    digest = hashlib.sha256()
    file.seek(0)
    while left > 0:
        piece = file.read(min(_PIECE, left))
        digest.update(piece)
        left -= len(piece)
    if file.read(_DIGEST_BYTES) != digest.digest():
        raise ValueError(f"{path} is damaged or truncated: its checksum does not match")


def _raw(array: NDArray[Any]) -> memoryview:
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))  # type: ignore[arg-type]
