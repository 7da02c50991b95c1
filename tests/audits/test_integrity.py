"""The integrity audit passes on a sound verifier, and fails on one that accepts too much."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from safetensors.torch import save_file

from seedpack.assemble import open_base
from seedpack.audits import PROFILES, Spec, Status
from seedpack.audits.gates import conclude
from seedpack.audits.integrity import Integrity
from seedpack.audits.mutations import verify_fully
from seedpack.audits.results import Severity
from seedpack.audits.work import open_context
from seedpack.errors import IntegrityError, TrustError
from seedpack.extract import extract, extract_delta
from seedpack.seed.opening import open_unverified
from seedpack.trust.store import encode_trust_store
from tests.audits import small_network
from tests.builders import make_key, trusting

if TYPE_CHECKING:
    from seedpack.audits import AuditResult
    from seedpack.audits.integrity import Check

QUICK = PROFILES["quick"]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    folder = tmp_path_factory.mktemp("tampered")
    model, seed = folder / "model.safetensors", folder / "a.seed"
    save_file(small_network.make().state_dict(), model)
    extract(model, seed, name="a/b", codec="q8", parity_percent=50, key=make_key())
    with open_unverified(seed) as contents:
        return Spec(model=str(model), seed=str(seed), seed_id=contents.id)


def run(spec: Spec, folder: Path, check: Check = verify_fully) -> AuditResult:
    with open_context(spec, QUICK, folder) as context:
        return conclude(Integrity(check).run(context))


def lenient(path: Path, store: object, base: object = None) -> None:
    """Accept whatever has its right signature, and never look at the payload."""
    del store, base
    open_unverified(path, damaged=True).close()


@pytest.mark.spec("AUD-INT-1")
@pytest.mark.parametrize("given", [True, False])
def test_a_sound_verifier_passes_with_and_without_a_trust_store(
    spec: Spec, tmp_path: Path, given: bool
) -> None:
    if given:
        store = encode_trust_store(trusting(make_key())).decode()
        spec = msgspec.structs.replace(spec, store=store)
    result = run(spec, tmp_path)
    assert result.status is Status.PASS
    assert result.figures[0].n == QUICK.ntrials
    assert result.figures[0].value == 1.0
    assert result.findings[0].severity is Severity.INFO
    assert sum(row[1] for row in result.tables[0].rows) == QUICK.ntrials
    assert ("trust store" in result.searched) == given


@pytest.mark.spec("AUD-INT-1")
def test_a_verifier_that_accepts_too_much_fails(spec: Spec, tmp_path: Path) -> None:
    result = run(spec, tmp_path, lenient)
    assert result.status is Status.FAIL
    assert result.findings[0].severity is Severity.CRITICAL
    assert result.figures[0].value is not None
    assert 0 < result.figures[0].value < 1


@pytest.mark.spec("AUD-INT-3")
def test_a_verifier_that_refuses_everything_decides_nothing(spec: Spec, tmp_path: Path) -> None:
    def closed(path: Path, store: object, base: object = None) -> None:
        raise TrustError("no", rule="TRU-2", where="here")

    result = run(spec, tmp_path, closed)
    assert result.status is Status.UNDECIDED
    assert "unchanged copy is refused" in result.reason


@pytest.mark.spec("AUD-INT-3")
def test_a_verifier_that_refuses_the_unchanged_copy_at_the_end_decides_nothing(
    spec: Spec, tmp_path: Path
) -> None:
    calls = []

    def tiring(path: Path, store: object, base: object = None) -> None:
        calls.append(path)
        if len(calls) > 1:
            raise TrustError("tired", rule="TRU-2", where="here")

    result = run(spec, tmp_path, tiring)
    assert result.status is Status.UNDECIDED
    assert "not restored" in result.reason


def test_another_seed_is_not_audited(spec: Spec, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="AUD-5"):
        run(msgspec.structs.replace(spec, seed_id="0" * 64), tmp_path)


def test_a_store_that_does_not_know_the_signer_is_refused(spec: Spec, tmp_path: Path) -> None:
    store = encode_trust_store(trusting(make_key(5))).decode()
    with pytest.raises(TrustError, match="TRU-2"):
        run(msgspec.structs.replace(spec, store=store), tmp_path)


def test_the_report_says_what_was_done(spec: Spec, tmp_path: Path) -> None:
    result = run(spec, tmp_path)
    assert f"{QUICK.ntrials} changed copies" in result.searched
    assert "1.5 %" in result.findings[0].evidence  # 3 / 200
    assert [gate.name for gate in result.gates] == ["tampering-refused"]
    assert not list(tmp_path.glob("scratch-*"))


@pytest.mark.parametrize("given", [True, False])
def test_a_delta_seed_is_judged_over_its_base(spec: Spec, tmp_path: Path, given: bool) -> None:
    tuned = small_network.make().state_dict()
    tuned["3.bias"] = tuned["3.bias"] + 1
    model, delta = tmp_path / "tuned.safetensors", tmp_path / "delta.seed"
    save_file(tuned, model)
    base = Path(spec.seed if given else spec.model)
    with open_base(base, open_unverified) as opened:
        extract_delta(model, delta, base=opened, name="a/delta", key=make_key())
    with open_unverified(delta) as contents:
        about = Spec(model=str(model), seed=str(delta), seed_id=contents.id, base=str(base))
    if given:
        about = msgspec.structs.replace(
            about, store=encode_trust_store(trusting(make_key())).decode()
        )
    assert run(about, tmp_path / "work").status is Status.PASS
    other = msgspec.structs.replace(about, base=str(model))
    result = run(other, tmp_path / "work")
    assert result.status is Status.UNDECIDED
    assert "BAS-2" in result.reason
