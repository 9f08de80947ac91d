import json
import zipfile
from concurrent.futures import ProcessPoolExecutor
from hashlib import md5
from multiprocessing import get_context

import polars as pl
import pytest

from memozy import storage
from memozy.records import InputError

SHEET = """<?xml version="1.0" encoding="UTF-8"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"""
XLSX_PARTS = {
    "[Content_Types].xml": """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>""",
    "_rels/.rels": """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Target="xl/workbook.xml"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>""",
    "xl/workbook.xml": """<?xml version="1.0" encoding="UTF-8"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>""",
    "xl/_rels/workbook.xml.rels": """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Target="worksheets/sheet1.xml"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/></Relationships>""",
}


def write_xlsx(path, rows):
    """A workbook as a spreadsheet program writes it: text in inline strings, numbers as numbers."""

    def cell(value):
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    sheet = SHEET.format(rows="".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows))
    with zipfile.ZipFile(path, "w") as file:
        for name, text in {**XLSX_PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            file.writestr(name, text)


def rows_of(path):
    return [(r["diary_id"], r["rater_id"], r["rating"]) for r in storage.read_ratings(path)]


def test_every_format_gives_the_same_ratings(tmp_path):
    rows = [{"diary_id": "007", "rater_id": "NA", "rating": "0.5"}, {"diary_id": "d2", "rater_id": "", "rating": "-1"}]
    (tmp_path / "a.csv").write_bytes("\ufeffdiary_id,rater_id,rating\r\n007,NA,0.5\r\n\r\nd2,,-1\r\n".encode())
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8-sig")
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    write_xlsx(tmp_path / "a.xlsx", [["diary_id", "rater_id", "rating"], ["007", "NA", 0.5], ["d2", "", -1]])
    for suffix in storage.FORMATS:
        assert rows_of(tmp_path / f"a{suffix}") == [("007", "NA", "0.5"), ("d2", "rater-1", "-1")], suffix


def test_an_image_is_a_context(tmp_path):
    (tmp_path / "a.csv").write_text("diary_id,image_id,rating\nd1,001.jpg,1\n", encoding="utf-8")
    assert storage.read_ratings(tmp_path / "a.csv")[0]["context_id"] == "001.jpg"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "holds no rows"),
        ("a.csv", b"diary_id,rating\n", "holds no rows"),
        ("a.csv", b"diary_id,score\nd1,1\n", "field 'rating': column is missing. The file has: diary_id, score"),
        ("a.csv", b"diary_id,rating\nd1,1\nd2,0,5\n", "row 2, value ['5']: has more fields than the header"),
        ("a.csv", b'diary_id,rating\nd1,"1\n', "row 1: is not CSV"),
        ("a.csv", "diary_id,rating\n가,1\n".encode("cp949"), "is not UTF-8 (byte 16)"),
        ("a.jsonl", b'{"diary_id": 1}\n\n{oops\n', "row 2, value '{oops': is not JSON"),
        ("a.jsonl", b"[1]\n", "row 1, value [1]: is not an object"),
        ("a.json", b'{"diary_id": 1}', "is not a list"),
        ("a.json", b"[1,", "is not JSON"),
        ("a.xlsx", b"hello", "cannot be read"),
        ("a.parquet", b"hello", "cannot be read"),
        ("a.txt", b"hello", "is of an unknown format"),
    ],
)  # fmt: skip
def test_an_unreadable_file_is_named_in_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        storage.read_ratings(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        storage.read_ratings(tmp_path / "nowhere.csv")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "set"
    (made / "deep").mkdir(parents=True)
    (made / "a.txt").write_text("일기", encoding="utf-8")
    (made / "deep" / "b.bin").write_bytes(bytes(range(256)))
    return made


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def dvc_version(folder):
    """DVC's address of a folder, from its description: the MD5 of the sorted list of MD5s and names, as JSON."""
    entries = [{"md5": md5(data).hexdigest(), "relpath": name} for name, data in sorted(tree(folder).items())]
    return md5(json.dumps(entries).encode()).hexdigest() + ".dir"


def test_a_version_is_the_content(folder, tmp_path):
    before = tree(folder)
    assert storage.publish(folder, "") == dvc_version(folder)
    assert tree(folder) == before
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "of another name"
    folder.rename(copy)
    assert storage.publish(copy, "") == dvc_version(copy)
    (copy / "a.txt").write_text("일지", encoding="utf-8")
    changed = storage.publish(copy, "")
    assert changed == dvc_version(copy)
    assert len(changed) == 36


def test_what_was_published_comes_back(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    version = storage.publish(folder, "remote")  # a relative path is the caller's, not the scratch repository's
    assert (tmp_path / "remote").is_dir()
    target = tmp_path / "new" / "back"
    storage.pull(version, "remote", target)
    assert tree(target) == tree(folder)
    (target / "stale.txt").write_text("from before")
    storage.pull(version, str(tmp_path / "remote"), target)
    assert tree(target) == tree(folder)


def test_an_unknown_version_leaves_the_folder_alone(folder, tmp_path):
    remote = str(tmp_path / "remote")
    storage.publish(folder, remote)
    before = tree(folder)
    with pytest.raises(InputError, match="does not hold version"):
        storage.pull("0" * 32 + ".dir", remote, folder)
    assert tree(folder) == before


def test_a_version_with_a_lost_file_is_not_half_fetched(folder, tmp_path):
    remote = tmp_path / "remote"
    version = storage.publish(folder, str(remote))
    lost = md5((folder / "a.txt").read_bytes()).hexdigest()
    (remote / "files" / "md5" / lost[:2] / lost[2:]).unlink()
    with pytest.raises(InputError, match="does not hold version"):
        storage.pull(version, str(remote), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_remote_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "remote").write_text("a file stands here")
    with pytest.raises(InputError, match="cannot be written"):
        storage.publish(folder, str(tmp_path / "remote"))


def test_runs_side_by_side_do_not_meet(folder, tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(storage.publish, folder, str(tmp_path / "remote")) for _ in range(4)]
        assert {job.result() for job in jobs} == {dvc_version(folder)}
    storage.pull(dvc_version(folder), str(tmp_path / "remote"), tmp_path / "back")
    assert tree(tmp_path / "back") == tree(folder)


@pytest.fixture
def s3(monkeypatch):
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import botocore.session

    botocore.session.get_session().create_client("s3").create_bucket(Bucket="bucket")
    yield "s3://bucket/data"
    server.stop()


def test_s3_is_a_remote(folder, tmp_path, s3):
    version = storage.publish(folder, s3)
    assert version == dvc_version(folder)
    storage.pull(version, s3, tmp_path / "back")
    assert tree(tmp_path / "back") == tree(folder)
    with pytest.raises(InputError, match="cannot be written"):
        storage.publish(folder, "s3://no-such-bucket/data")
