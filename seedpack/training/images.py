"""One image file as an array, of bounded size (spec: TRN-2, TRN-9)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.errors import TrainingError
from seedpack.training.examples import MAX_PIXELS
from seedpack.training.packages import import_package

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Whatever an ending says, Pillow goes by content; for others (EPS) it starts programs.
_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


def read_image(path: Path, *, width: int, height: int) -> NDArray[np.float32]:
    """Return an image as (3, height, width), from 0 to 1.

    Raises:
        TrainingError: TRN-2, too many pixels; TRN-9, not an image; TRN-12, no Pillow.
    """
    image_module = import_package("PIL.Image", extra="images")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs; the size is checked here
            with image_module.open(path, formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise TrainingError(
                        f"{image.width} x {image.height} pixels", rule="TRN-2", where=str(path)
                    )
                resized = image.convert("RGB").resize((width, height))
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
        raise TrainingError("not an image", rule="TRN-9", where=str(path)) from error
    return np.asarray(resized, np.float32).transpose(2, 0, 1) / np.float32(255)  # (3, h, w)
