"""What a model is shown of a photo, and what is no photo."""

import struct
import zlib

import pytest
from PIL import Image

from components.generate_diaries import photos
from components.generate_diaries.photos import Unreadable
from memozy.records import InputError

GREEN, BLUE, WHITE = (0, 200, 0), (0, 0, 220), (255, 255, 255)


def near(pixel, colour) -> bool:
    return all(abs(a - b) <= 12 for a, b in zip(pixel, colour, strict=True))  # JPEG is not exact


def halves(mode="RGB", size=(1200, 800)) -> Image.Image:
    """Green on the left, blue on the right."""
    image = Image.new(mode, size, GREEN)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def taken_sideways() -> Image.Exif:
    """Orientation 6: the camera's left is the picture's top; and where and by what it was taken."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "SecretCamera"
    exif[0x8825] = {1: "N", 2: (37.0, 33.0, 58.0), 3: "E", 4: (126.0, 58.0, 40.0)}
    return exif


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp"])
def test_a_photo_is_made_small_turned_upright_and_loses_what_the_camera_noted(tmp_path, name):
    halves().save(tmp_path / name, exif=taken_sideways(), comment=b"SecretCamera", dpi=(300, 300))
    assert b"SecretCamera" in (tmp_path / name).read_bytes()
    small = photos.shrink(tmp_path / name, tmp_path / "small", 300)
    assert b"SecretCamera" not in small.read_bytes() and b"Exif" not in small.read_bytes()
    with Image.open(small) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (200, 300))  # 1200 × 800, turned
        assert not image.getexif() and set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert near(image.getpixel((100, 20)), GREEN) and near(image.getpixel((100, 280)), BLUE)


def test_a_small_photo_is_not_blown_up_and_what_is_transparent_is_white(tmp_path):
    image = Image.new("RGBA", (40, 20), (*GREEN, 255))
    image.paste((0, 0, 0, 0), (20, 0, 40, 20))
    image.save(tmp_path / "a.png")
    image.convert("P").save(tmp_path / "b.gif", transparency=image.convert("P").getpixel((30, 10)))
    for name in ("a.png", "b.gif"):
        with Image.open(photos.shrink(tmp_path / name, tmp_path, 300)) as small:
            assert small.size == (40, 20)
            assert near(small.getpixel((34, 10)), WHITE)
    Image.new("CMYK", (40, 20)).save(tmp_path / "c.jpg")
    Image.new("L", (40, 20), 90).save(tmp_path / "d.jpg")
    blue = Image.new("RGB", (40, 20), BLUE)
    blue.save(tmp_path / "e.jpg", "MPO", save_all=True, append_images=[blue])  # two pictures in one, as phones write it
    for name, colour in (("c.jpg", WHITE), ("d.jpg", (90, 90, 90)), ("e.jpg", BLUE)):
        with Image.open(photos.shrink(tmp_path / name, tmp_path, 300)) as small:
            assert near(small.getpixel((20, 10)), colour)


def bomb() -> bytes:
    """A PNG that says it has 10,000 × 10,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 10_000, 10_000, 1, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(10))
    chunks = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_what_cannot_be_opened_is_said_with_its_reason(tmp_path):
    halves().save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    Image.new("I;16", (40, 20)).save(tmp_path / "deep.png")
    deep = (tmp_path / "deep.png").read_bytes()
    for content, said in ((whole[: len(whole) // 2], "truncated"), (b"", "cannot identify"), (b"%!PS-Adobe", "cannot identify"),
                          (bomb(), "exceeds limit"), (deep, "more than 8 bits")):  # fmt: skip
        (tmp_path / "broken.jpg").write_bytes(content)
        with pytest.raises(Unreadable, match=said) as error:
            photos.shrink(tmp_path / "broken.jpg", tmp_path / "small", 300)
        assert "\n" not in str(error.value)
    (tmp_path / "broken.jpg").rename(tmp_path / "broken.HEIC")
    with pytest.raises(Unreadable, match="^HEIC is not read; export it as JPEG$"):
        photos.shrink(tmp_path / "broken.HEIC", tmp_path / "small", 300)
    with pytest.raises(Unreadable, match="cannot be read: No such file"):
        photos.shrink(tmp_path / "nowhere.jpg", tmp_path / "small", 300)
    assert not (tmp_path / "small").exists()


def test_a_folder_without_photos_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no photo", encoding="utf-8")
    (tmp_path / "._1.jpg").write_bytes(b"")  # what some computers leave beside a photo
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails/1.jpg").write_bytes(b"")
    (tmp_path / "trip.jpg").mkdir()
    with pytest.raises(InputError, match="holds no photo"):
        photos.find(tmp_path)
    (tmp_path / "B.JPG").write_bytes(b"")
    (tmp_path / "a.heic").write_bytes(b"")
    (tmp_path / "trip.jpg/c.png").write_bytes(b"")
    assert [p.name for p in photos.find(tmp_path)] == ["B.JPG", "a.heic", "c.png"]
    with pytest.raises(InputError, match="field 'photos': is not a folder"):
        photos.find(tmp_path / "notes.txt")
