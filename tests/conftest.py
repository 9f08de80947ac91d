"""What several tests share: one MLflow store for all of them, since making one takes seconds."""

import pytest


@pytest.fixture(scope="session")
def _store(tmp_path_factory) -> str:
    from memozy import tracking

    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    tracking.prepare(uri)
    return uri


@pytest.fixture
def mlflow_store(_store, monkeypatch) -> str:
    """The URI of a real SQLite store, which MLFLOW_TRACKING_URI names; no run is going on."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _store)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return _store
