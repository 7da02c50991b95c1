"""Optional packages, imported when a report is rendered (extra ``report``)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from seedpack.errors import AuditError


def check_packages() -> None:
    """Refuse to begin what would end in a report that cannot be rendered.

    Raises:
        AuditError: RPT-13.
    """
    for name in ("jinja2", "matplotlib"):
        import_package(name)


def import_package(name: str) -> Any:  # noqa: ANN401 -- a module
    """Return the module ``name``.

    Raises:
        AuditError: RPT-13, its package is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise AuditError(
            f"needs the package {error.name}",
            rule="RPT-13",
            where=name,
            hint="pip install 'seedpack[report]'; checking a report works without it",
        ) from error
