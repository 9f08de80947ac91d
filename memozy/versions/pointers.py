"""Pointer files: what git keeps of a version, `<name>.dvc`, and by which `dvc pull` fetches the folder `<name>` beside it."""

from __future__ import annotations

import os
from pathlib import Path

from memozy import versions
from memozy.records import InputError
from memozy.stages import read_yaml


def check(path: Path) -> None:
    """Raise InputError where `write` could not: a pointer that is none stands there, or a .gitignore that isn't text."""
    if path.exists():
        read(path)
    _lines(path.with_name(".gitignore"))


def write(path: Path, version: str, folder: Path) -> None:
    """Let `path` point to `version`, the content of `folder`; where it does so already it is left alone.

    In a git repository the folder that `dvc pull` will make is ignored, as `dvc add` does it: rows don't belong in git.
    """
    import yaml

    if any((parent / ".git").exists() for parent in path.absolute().parents):
        _ignore(path.with_name(".gitignore"), f"/{path.stem}")
    if path.exists() and read(path) == version:
        return
    sizes = [p.stat().st_size for p in folder.rglob("*") if p.is_file()]
    out = {"md5": version, "size": sum(sizes), "nfiles": len(sizes), "hash": "md5", "path": path.stem}
    scratch = path.with_name(path.name + ".tmp")
    scratch.write_text(yaml.safe_dump({"outs": [out]}, sort_keys=False, allow_unicode=True), encoding="utf-8")
    os.replace(scratch, path)


def _ignore(file: Path, line: str) -> None:
    known = _lines(file)
    if line not in known:
        file.write_text("\n".join([*known, line, ""]), encoding="utf-8")


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    except (OSError, UnicodeDecodeError):
        raise InputError("is not text in UTF-8", file=file, remedy="Save it as UTF-8, or remove it") from None


def read(path: Path) -> str:
    """The version that a pointer file names. Raises InputError where it is no pointer to one folder."""
    outs = read_yaml(path).get("outs")
    if isinstance(outs, list) and len(outs) == 1 and isinstance(outs[0], dict):
        version = outs[0].get("md5")
        if isinstance(version, str) and versions.VERSION.fullmatch(version):
            return version
    raise InputError("does not point to one folder", file=path, field="outs",
                     remedy="Give a pointer that `memozy data publish` or `dvc add FOLDER` wrote")  # fmt: skip


def default_remote(start: Path) -> str:
    """The place of the default remote of the DVC repository that `start` lies in; "" where it lies in none, or has none."""
    root = next((p for p in (start.absolute(), *start.absolute().parents) if (p / ".dvc" / "config").is_file()), None)
    if root is None:
        return ""
    from dvc.config import Config

    settings = Config(str(root / ".dvc"))  # with config.local, which git doesn't keep
    name = settings["core"].get("remote")
    return settings["remote"].get(name, {}).get("url", "") if name else ""
