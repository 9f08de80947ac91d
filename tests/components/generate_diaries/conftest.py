"""Photos, prompts, and one run of the stage as a pipeline would make it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from memozy import stages
from memozy.records import CONTEXTS, DIARIES, read, write_jsonl
from tests.endpoint import PAID

TEMPLATE = "일기를 써 주세요. 장소는 {place}, 함께한 사람은 {people}, 기분은 {mood}, 사진은 {photo}."


@pytest.fixture
def prompts(tmp_path) -> str:
    rows = [{"prompt_id": p, "template": f"{p}: {TEMPLATE}", "origin": "incumbent"} for p in "AB"]
    write_jsonl(rows, tmp_path / "prompts.jsonl")
    return str(tmp_path / "prompts.jsonl")


@pytest.fixture
def album(tmp_path) -> Path:
    """Eight photos, each of one colour, with the place where it was taken."""
    (tmp_path / "album").mkdir()
    exif = Image.Exif()
    exif[0x010F], exif[0x8825] = "SecretCamera", {1: "N", 2: (37.0, 33.0, 58.0)}
    for n in range(8):
        Image.new("RGB", (1600, 1000), (30 * n, 255 - 30 * n, 128)).save(tmp_path / "album" / f"{n}.jpg", exif=exif)
    return tmp_path / "album"


@pytest.fixture
def generate(tmp_path, prompts, monkeypatch):
    """The stage, run in a run directory; settings of its own, what it wrote in return."""
    monkeypatch.setenv("MEMOZY_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("MEMOZY_LEDGER", f"sqlite:///{tmp_path}/ledger.sqlite")

    def run(name: str = "out", **config) -> SimpleNamespace:
        outs = {artifact: str(tmp_path / name / artifact) for artifact in ("diaries", "contexts", "failures")}
        settings = {"prompts": prompts, "llm": PAID.model_dump(), "per_context": 2, "image_side": 300} | config
        result = stages.execute("generate_diaries", settings, {}, outs)
        failed = [json.loads(line) for line in Path(outs["failures"]).read_text(encoding="utf-8").splitlines()]
        return SimpleNamespace(diaries=read(outs["diaries"], DIARIES), contexts=read(outs["contexts"], CONTEXTS),
                               failures=failed, metrics=result.metrics)  # fmt: skip

    return run
