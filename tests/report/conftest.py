"""A seed, whoever signs, and the report of the seed."""

from __future__ import annotations

import msgspec
import pytest

from seedpack.seed.opening import open_seed
from tests.builders import make_key, make_seed, trusting
from tests.report.samples import CREATED, sample_report

NOW = CREATED + 3600


@pytest.fixture
def open_made(tmp_path):
    """Open seeds signed by key 1, of that name and version."""
    opened = []

    def open_it(name="acme/digits", version=3, created=CREATED - 86_400):
        path = tmp_path / f"{len(opened)}.seed"
        make_seed(path, name=name, version=version, created=created)
        opened.append(open_seed(path, store=trusting(make_key()), now=NOW))
        return opened[-1]

    yield open_it
    for seed in opened:
        seed.close()


@pytest.fixture
def seed(open_made):
    return open_made()


@pytest.fixture
def report_of():
    """Return the sample report as if it were about ``seed``."""

    def make(seed, **changes):
        report = sample_report(**changes)
        subject = msgspec.structs.replace(
            report.subject,
            seed_id=seed.id,
            name=seed.manifest.name,
            version=seed.manifest.version,
        )
        return msgspec.structs.replace(report, subject=subject)

    return make
