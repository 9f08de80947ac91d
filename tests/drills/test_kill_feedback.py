"""A smoke of `make drill`: writers and publishers of the feedback store, killed a few times."""

import pytest

from drills.kill_feedback import drill
from tests.postgres import postgres  # noqa: F401 - a fixture


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_writers_and_publishers_killed_lose_nothing_and_publish_nothing_twice(request, tmp_path, kind):
    url = f"sqlite:///{tmp_path}/f.sqlite" if kind == "sqlite" else request.getfixturevalue("postgres")
    found = drill(url, tmp_path / "batches", n_events=400, kills=10)
    assert found["events"] == 400 and found["killed_writers"] and found["killed_claimers"]
