"""A verified seed becomes a model again: step 9 of the verification (spec: ASM).

    Seed ──manifest──> names, shapes, architecture ──frameworks──> ASM-1, ASM-2, ASM-4
                                                       │ refused: nothing was written
         ──seed.tensors──> decoded, digests hold ──────┤
                                                       ├─> OUT.safetensors
         ──attachments───> digests hold ───────────────┴─> OUT/ config.json
                                                                model.safetensors
                                                                tokenizer.json ...
Everything goes to a temporary place first; OUT appears whole or not at all.
"""

from __future__ import annotations

from seedpack.assemble.assembly import AssemblyReport, assemble
from seedpack.assemble.bases import open_base
from seedpack.assemble.batch import Outcome, assemble_many

__all__ = ["AssemblyReport", "Outcome", "assemble", "assemble_many", "open_base"]
