"""What several tests share: one MLflow store for all of them, since making one takes seconds."""

import pytest


@pytest.fixture(autouse=True)
def own_ledger():
    """What one test asked and paid is nothing to another."""
    from memozy.ledger import IN_MEMORY, open_ledger

    with open_ledger(IN_MEMORY) as book:
        yield book


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


@pytest.fixture(scope="session")
def data(request):
    """The sample data of this checkout; tests that need it are skipped where it was not pulled."""
    folder = request.config.rootpath / "data"
    if not (folder / "models/writer").is_dir():
        pytest.skip("data/ is not here: `make pull` fetches it")
    return folder


@pytest.fixture(scope="session")
def reward(tmp_path_factory):
    """A small, real reward model of the micro-world's diaries, in its folder."""
    import random

    import polars as pl

    from components.train_reward.config import Config
    from components.train_reward.stage import run
    from memozy.records import OVERSAMPLED, write
    from microworld.contexts import sample_contexts
    from microworld.instructions import sample_instructions
    from microworld.raters import true_rating
    from microworld.writer import write_diary

    rng = random.Random(0)
    contexts = sample_contexts(240, 5)
    texts = [write_diary(sample_instructions(rng, 0.5, 0.15), c, rng) for c in contexts]
    rows = pl.DataFrame([
        {"diary_id": f"d{n}", "group_id": c["context_id"], "context_id": c["context_id"], "text": t,
         "rating": true_rating(t, c), "n_raters": 1, "split": "test" if n % 6 == 0 else "train", "copies": 1}
        for n, (t, c) in enumerate(zip(texts, contexts, strict=True))
    ])  # fmt: skip
    folder = tmp_path_factory.mktemp("reward")
    write(rows, folder / "oversampled", OVERSAMPLED)
    (folder / "work").mkdir()
    config = Config(candidates=("constant", "ensemble"), folds=3, repeats=1, bootstrap=200)
    run(config, oversampled=folder / "oversampled", reward=folder / "reward", gold=folder / "gold",
        reward_report=folder / "report.html", work=folder / "work")  # fmt: skip
    return folder / "reward"


@pytest.fixture(scope="session")
def gold(reward):
    """The gold model that was made beside `reward`, in its folder."""
    return reward.parent / "gold"
