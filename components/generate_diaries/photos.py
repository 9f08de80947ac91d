"""Photos as a model may see them: small, upright, and without what the camera noted beside the picture."""

import os
import warnings
from pathlib import Path

from components.generate_diaries.config import PHOTO_SUFFIXES
from memozy.records import InputError, photo_id

UNREAD = (".heic", ".heif", ".avif")  # photos too, but not for us
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # no other decoder ever touches a file
QUALITY = 85  # of the JPEG, from 1 to 95


class Unreadable(Exception):
    """A photo that cannot be had; its text is the reason."""


def find(folder: Path) -> list[Path]:
    """The photos in a folder and below it, by path: those of an UNREAD format too, so that nobody misses them in silence.

    What has no photo's suffix, or is hidden, is passed over. Raises InputError where there is none.
    """
    if not folder.is_dir():
        raise InputError("is not a folder", file=folder, field="photos", remedy="Name the folder that holds the photos")
    found = sorted(
        p for p in folder.rglob("*")
        if p.suffix.lower() in PHOTO_SUFFIXES + UNREAD and p.is_file()
        and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )  # fmt: skip
    if not found:
        raise InputError("holds no photo", file=folder, field="photos", remedy=f"Known are {', '.join(PHOTO_SUFFIXES)}")
    return found


def check_format(photo: Path) -> None:
    """Raise Unreadable for a format that is not read."""
    if photo.suffix.lower() in UNREAD:
        raise Unreadable(f"{photo.suffix[1:].upper()} is not read; export it as JPEG")


def content_id(photo: Path) -> str:
    """An id of the file's bytes, whatever its name. Raises Unreadable."""
    try:
        return photo_id(photo)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None


def shrink(photo: Path, folder: Path, side: int) -> Path:
    """A JPEG of the photo in `folder`, of at most `side` × `side` pixels, named by the photo's content.

    Turned as its EXIF orientation says, transparency on white, and with no metadata at all: where and when it was taken
    is not sent to anyone. Raises Unreadable for what is no photo or of an UNREAD format, is damaged or has more
    pixels than Pillow's limit.
    """
    from PIL import Image

    check_format(photo)
    small = folder / f"{content_id(photo)}.jpg"
    if small.exists():
        return small
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(photo, formats=FORMATS) as image:
                picture = _plain(image, side)
    except Exception as error:  # decoders meet damage with whatever they trip over
        raise Unreadable(f"cannot be opened as a photo: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    scratch = small.with_suffix(".part")
    picture.save(scratch, "JPEG", quality=QUALITY)
    os.replace(scratch, small)
    return small


def _plain(image, side: int):
    """The pixels alone, on white, in RGB."""
    from PIL import Image, ImageOps

    if image.mode[0] in "IF":
        raise ValueError(f"its grey values have more than 8 bits, mode {image.mode}")
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGBA")
    image.thumbnail((side, side))  # first: a JPEG is then decoded no larger than need be
    image = ImageOps.exif_transpose(image)
    plain = Image.new("RGB", image.size, "white")
    plain.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    return plain
