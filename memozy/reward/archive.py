"""Files of fitted estimators, by skops: no pickle, nothing loaded but trusted types, equal content gives equal bytes."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memozy.records import InputError


def write(file: Path, content: Any) -> None:
    """Write dicts, lists, numbers, texts, arrays and scikit-learn estimators."""
    import skops.io

    _write_numbered(skops.io.dumps(content), file)


def read(file: Path, trusted: Sequence[str]) -> Any:
    """What `write` wrote.

    Raises InputError for a missing or damaged file, one that needs other libraries, or one that holds a type not trusted.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    if not file.is_file():
        raise InputError("no such file", file=file, remedy="Train a reward model first")
    try:
        return skops.io.load(file, trusted=list(trusted))
    except UntrustedTypesFoundException as error:
        raise InputError(f"is not a reward model of ours: {error}", file=file,
                         remedy="Load only models that train_reward wrote") from None  # fmt: skip
    except (ImportError, AttributeError) as error:  # a class that has moved
        raise InputError(f"was written by another version ({error})", file=file,
                         remedy="Train it again with this version") from None  # fmt: skip
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"is damaged ({error})", file=file, remedy="Train it again or fetch it anew") from None


def _write_numbered(archive: bytes, file: Path) -> None:
    """Write a skops archive compressed, without what differs between equal models.

    skops names parts by memory address and stamps them with the time; here they are numbered, undated.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        schema = old.read("schema.json").decode()
        address = re.compile(r'(?<="__id__": )\d+|(?<="file": ")\d+(?=\.np)')
        numbers = {a: str(i) for i, a in enumerate(dict.fromkeys(address.findall(schema)))}
        parts = {numbers[n.split(".")[0]] + Path(n).suffix: old.read(n) for n in old.namelist() if n != "schema.json"}
        parts["schema.json"] = address.sub(lambda match: numbers[match[0]], schema).encode()
        for name in sorted(parts):
            new.writestr(zipfile.ZipInfo(name), parts[name], zipfile.ZIP_DEFLATED)
