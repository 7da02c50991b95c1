"""The families by name, and where their models and data are.

Zoo (cache folder, folder of texts, encoder) ──family(name)──> Family ──model(member)──> ZooModel
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from seedpack.lab.zoo.encoder_family import EncoderFamily
from seedpack.lab.zoo.images import IMAGE_FAMILIES, ImageFamily
from seedpack.lab.zoo.store import get_model
from seedpack.lab.zoo.text_family import TextFamily

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.lab.zoo.families import Family
    from seedpack.lab.zoo.members import Member
    from seedpack.lab.zoo.store import ZooModel

TEXT: Final = "text"
ENCODER: Final = "encoder"
FAMILIES: Final = (*IMAGE_FAMILIES, TEXT, ENCODER)


@dataclass(frozen=True)
class Zoo:
    """Where everything is.

    Attributes:
        folder: Models and results.
        texts: Folder with ``train.tsv`` and ``dev.tsv``; None: no texts.
        encoder: Folder of a pretrained text model; None: none.
    """

    folder: Path
    texts: Path | None = None
    encoder: Path | None = None

    def family(self, name: str) -> Family:
        """Return a family.

        Raises:
            ValueError: There is none of that name, or its data are not there.
        """
        return _family(name, self.texts, self.encoder)

    def model(self, member: Member) -> ZooModel:
        """Return a model, trained now if need be.

        Raises:
            StoreError: OUT-1, OUT-2, ZOO-2, the folder cannot be used.
        """
        return get_model(self.folder, self.family(member.family), member)


@cache
def _family(name: str, texts: Path | None, encoder: Path | None) -> Family:
    if name not in FAMILIES:
        raise ValueError(f"no family {name[:40]!a}; one of {', '.join(FAMILIES)}")
    if name in IMAGE_FAMILIES:
        return ImageFamily(name)
    if texts is None:
        raise ValueError(f"the family {name} needs a folder of texts: --texts")
    if name == TEXT:
        return TextFamily(texts)
    if encoder is None:
        raise ValueError("the family encoder needs a pretrained model: --encoder")
    return EncoderFamily(texts, encoder)
