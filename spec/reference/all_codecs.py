"""All codecs of the independent reader: a new one is a file of its own and a line or two here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spec.reference.seed_codecs import CODECS as FIRST
    from spec.reference.seed_codecs import Map
    from spec.reference.seed_delta import decode_delta
    from spec.reference.seed_family import FAMILY
    from spec.reference.seed_fastfood import decode_fastfood
    from spec.reference.seed_hash import decode_hash
    from spec.reference.seed_scatter import decode_scatter
    from spec.reference.seed_tcq import decode_tcq
else:  # found however this file is loaded: as a part of a program, a module, or by its path
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from seed_codecs import CODECS as FIRST
    from seed_codecs import Map
    from seed_delta import decode_delta
    from seed_family import FAMILY
    from seed_fastfood import decode_fastfood
    from seed_hash import decode_hash
    from seed_scatter import decode_scatter
    from seed_tcq import decode_tcq

CODECS: Map = {**FIRST, **FAMILY, "delta": decode_delta, "hash": decode_hash}
CODECS |= {"fastfood": decode_fastfood, "scatter": decode_scatter, "tcq": decode_tcq}
