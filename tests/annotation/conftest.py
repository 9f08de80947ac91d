import json

import pytest

from tests.browser import _browser, browser  # noqa: F401


@pytest.fixture
def table(tmp_path):
    """Writes rows as JSON lines and gives the path."""

    def write(rows, name="diaries.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return write
