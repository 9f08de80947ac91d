"""Versions in MLflow's registry: made once, found again by their tags, with the digests of what they hold."""

import hashlib
from collections.abc import Mapping
from pathlib import Path


def manifest(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, by its path in it: what a later download must match."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def existing(client, which: str, tags: Mapping[str, str]) -> str | None:
    """The version with these tags among those that the filter `which` finds: an earlier attempt of the same run got as far."""
    for found in client.search_model_versions(which):
        if tags.items() <= found.tags.items():
            return str(found.version)
    return None


def create(client, name: str, source: str, run_id: str, tags: Mapping[str, str], description: str,
           model_id: str | None = None) -> str:  # fmt: skip
    """A new version of the model `name`, which is created where it is not there yet. source: where its files lie."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(name, source, run_id, dict(tags), description=description, model_id=model_id)
    return str(made.version)
