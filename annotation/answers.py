"""What was answered: a file of JSON lines, each on disk before anyone is told that it is saved."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

from memozy.records import InputError

_REMEDY = "It is no file of this page: give another --out"
_BEGINNINGS = tuple(f'{{"{key}"'.encode() for key in ("context_id", "image_id", "diary_id", "rater_id"))  # of our lines


class Answers:
    """The lines of a file, `rows`. A process killed at any moment loses no line whose `add` has returned.

    A line that a kill cut short was never told to be saved, so it is dropped at the next start; a line is taken back by
    writing the others anew beside the file and putting them in its place. One process at a time writes a file.
    """

    def __init__(self, path: Path, check: Callable[[dict], str | None]) -> None:
        """check: what is wrong with a line's object, or None. Raises InputError for a file with a line that is none of ours."""
        self.path = path = path.resolve()  # a link stays one when a line is taken back
        self.rows: list[dict] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._open(path)
            _sync_folder(path)
            self._read(check)
        except BlockingIOError:
            raise InputError(
                "another page is writing to it", file=path, remedy="Rate there, or give another --out"
            ) from None
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", file=path, remedy="Give another --out") from None

    def add(self, row: dict) -> None:
        """Append a row; it is on disk when this returns. Raises OSError, and then the file is as it was."""
        whole = os.fstat(self._file).st_size
        try:
            _write(self._file, _line(row))
        except OSError:
            os.ftruncate(self._file, whole)
            raise
        self.rows.append(row)

    def take_back(self, row: dict) -> None:
        """Remove a row. Raises OSError, and then the file is as it was."""
        lines = self.path.read_bytes().split(b"\n")
        kept = [line for line in lines if not line.strip() or json.loads(line) != row]
        beside = self.path.with_name(f".{self.path.name}.new")
        beside.unlink(missing_ok=True)
        new = self._open(beside)
        try:
            os.fchmod(new, stat.S_IMODE(os.fstat(self._file).st_mode))
            _write(new, b"\n".join(kept))
            os.replace(beside, self.path)
        except OSError:
            os.close(new)
            beside.unlink(missing_ok=True)
            raise
        _sync_folder(self.path)
        os.close(self._file)
        self._file = new
        self.rows.remove(row)

    def close(self) -> None:
        """Let another process write the file."""
        os.close(self._file)

    @staticmethod
    def _open(path: Path) -> int:
        """The file, open and locked. Raises BlockingIOError where another process holds it."""
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise
        return file

    def _read(self, check: Callable[[dict], str | None]) -> None:
        """Take in the lines, and only where all are ours, mend the last one: a file of someone else is left as it is."""
        *whole, tail = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(whole, start=1):
            if line.strip():
                self.rows.append(self._row(line, number, check))
        if any(beginning.startswith(tail[: len(beginning)]) for beginning in _BEGINNINGS) and not _is_json(tail):
            os.ftruncate(self._file, os.fstat(self._file).st_size - len(tail))
        elif tail.strip():
            self.rows.append(self._row(tail, len(whole) + 1, check))
            _write(self._file, b"\n")

    def _row(self, line: bytes, number: int, check: Callable[[dict], str | None]) -> dict:
        row = json.loads(line.decode()) if _is_json(line) else None
        fault = check(row) if isinstance(row, dict) else "is no JSON object"
        if fault:
            raise InputError(fault, file=self.path, row=number, remedy=_REMEDY)
        return row


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line.decode())
    except ValueError:  # UnicodeDecodeError is one
        return False
    return True


def _line(row: dict) -> bytes:
    return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
    os.fsync(file)


def _sync_folder(path: Path) -> None:
    """Have the file's name on disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
