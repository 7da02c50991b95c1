"""The refusal that says what to fetch; apart, because it is made where no codec is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedpack.errors import AssemblyError

if TYPE_CHECKING:
    from seedpack.container.manifest import Base


def no_base(where: str, named: Base | None = None) -> AssemblyError:
    """Return the refusal of a delta for which no base was given (BAS-1).

    Args:
        where: The place.
        named: What the manifest says, where it is at hand.
    """
    which = f" {named.name[:80]!a} of digest {named.digest.hex()[:16]}" if named else ""
    return AssemblyError(
        f"a delta needs its base{which}, and none was given",
        rule="BAS-1",
        where=where,
        hint="fetch the base and pass it with --base",
    )
