"""One picture in several sizes and formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from failure import fail

FORMATS = (("JPEG", "jpg", {"quality": 82, "optimize": True, "progressive": True}), ("WEBP", "webp", {"quality": 80, "method": 4}),
           ("AVIF", "avif", {"quality": 60, "speed": 8, "max_threads": 1}))

Image.MAX_IMAGE_PIXELS = 100_000_000


@dataclass
class Version:
    """A written file."""

    format: str
    width: int
    height: int
    path: Path


def load(path: Path) -> Image.Image:
    """The picture, upright, in RGB or RGBA."""
    try:
        with Image.open(path) as found:
            found.load()
            upright = ImageOps.exif_transpose(found)
    except UnidentifiedImageError:
        raise fail("this is not a picture that can be read", "choose a JPEG, PNG, WebP, AVIF, GIF or TIFF file") from None
    except Image.DecompressionBombError:
        raise fail("the picture has more than 200 million points", "make it smaller first") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise fail(f"the picture is damaged: {error}", "save it again in the program that made it") from None
    transparent = upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info
    return upright.convert("RGBA" if transparent else "RGB")


def widths(width: int, sizes: Sequence[int]) -> list[int]:
    """The wanted widths, largest first, never wider than the picture."""
    if not sizes or min(sizes) < 1 or max(sizes) > 10_000 or len(sizes) > 12:
        raise fail("sizes must be 1 to 12 widths between 1 and 10000", "leave sizes out to get 1600, 800, 400 and 160")
    return sorted({min(size, width) for size in sizes}, reverse=True)


def versions(picture: Image.Image, sizes: Sequence[int], folder: Path, stem: str) -> Iterator[Version]:
    """Writes every size in every format."""
    for width in widths(picture.width, sizes):
        height = max(1, round(picture.height * width / picture.width))
        small = picture.resize((width, height), Image.Resampling.LANCZOS) if width < picture.width else picture
        for name, suffix, options in FORMATS:
            path = folder / f"{stem}-{width}.{suffix}"
            flat = small
            if name == "JPEG" and small.mode == "RGBA":
                flat = Image.new("RGB", small.size, "white")
                flat.paste(small, mask=small.getchannel("A"))
            flat.save(path, name, **options)
            yield Version(name, width, height, path)
