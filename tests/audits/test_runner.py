"""Audits run alone or together, go on where they were stopped, and never pass unmeasured."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from seedpack.audits import PROFILES, AuditResult, Spec, Status, Subject
from seedpack.audits.arms import Arm, Arms
from seedpack.audits.base import Audit, Context
from seedpack.audits.gates import decide
from seedpack.audits.kept import check_writable
from seedpack.audits.registry import AUDITS, choose_audits, get_audit
from seedpack.audits.runner import run_audits
from seedpack.audits.work import open_context, open_split, run_audit
from seedpack.errors import AuditError, IntegrityError, TrainingError
from seedpack.extract import extract
from seedpack.limits import MAX_REPORT_NBYTES
from tests.audits import small_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.audits.results import AuditReport

QUICK = PROFILES["quick"]
FACTORY = f"{Path(small_network.__file__)}:make"


class Probe(Audit):
    """Counts its runs; passes if accuracy is above chance."""

    id, title, needs = "probe", "a probe", frozenset({"data"})
    runs = 0

    def run(self, context: Context) -> AuditResult:
        assert context.arms is not None
        type(self).runs += 1
        scores = context.arms.scores(Arm(samples=40, seed=context.seeds[0]))
        gate = decide("g", "s", value=1.0, interval=(1.0, 1.0), at_least=scores[0].chance)
        return AuditResult(audit=self.id, title=self.title, status=Status.PASS, gates=(gate,))


class Unwritable(Probe):
    """Has a figure that JSON cannot hold."""

    id = "unwritable"

    def run(self, context: Context) -> AuditResult:
        result = super().run(context)
        gate = decide("g", "s", value=float("inf"), interval=(1.0, 1.0), at_least=0.0)
        return msgspec.structs.replace(result, gates=(gate,))


class Failing(Probe):
    """Cannot be done."""

    id = "failing"

    def run(self, context: Context) -> AuditResult:
        del context
        raise TrainingError("the loss is nan", rule="TRN-13", where="step 3")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    folder = tmp_path_factory.mktemp("audited")
    digits = load_digits()
    x, y = (digits.images / 16).astype(np.float32), digits.target
    np.savez(folder / "train.npz", x=x[:300], y=y[:300])
    np.savez(folder / "eval.npz", x=x[300:500], y=y[300:500])
    np.savez(folder / "tiny.npz", x=x[300:350], y=y[300:350])
    save_file(small_network.make().state_dict(), folder / "model.safetensors")
    return Spec(
        model=str(folder / "model.safetensors"),
        task="generic",
        train=str(folder / "train.npz"),
        evaluation=str(folder / "eval.npz"),
        factory=FACTORY,
    )


@pytest.fixture(autouse=True)
def probes(monkeypatch: pytest.MonkeyPatch) -> None:
    Probe.runs = 0
    for audit in (Probe, Unwritable, Failing):
        monkeypatch.setitem(AUDITS, audit.id, f"{__name__}:{audit.__name__}")


def run(spec: Spec, folder: Path, *names: str) -> AuditReport:
    subject = Subject(seed_id="", name="n", version=1)
    return run_audits(spec, subject, names, QUICK, folder, tool="test", processes=1)


@pytest.mark.spec("AUD-1")
def test_an_unknown_audit_is_refused_with_those_there_are() -> None:
    with pytest.raises(AuditError, match="AUD-1") as refused:
        choose_audits(["nonsense"])
    assert "probe" in refused.value.hint
    assert choose_audits([]) == tuple(AUDITS)
    assert choose_audits(["failing", "probe"]) == ("probe", "failing")


@pytest.mark.spec("AUD-12")
def test_what_a_profile_leaves_out_is_run_where_it_is_named_and_listed_where_not(
    spec: Spec, tmp_path: Path
) -> None:
    short = msgspec.structs.replace(QUICK, leaves_out=("failing",))
    assert "failing" not in choose_audits([], short.leaves_out)
    assert choose_audits(["failing"], short.leaves_out) == ("failing",)

    def skipped(*names: str, asked: tuple[str, ...] = (), of: Spec = spec) -> dict[str, str]:
        subject = Subject(seed_id="", name="n", version=1)
        report = run_audits(
            of, subject, names, short, tmp_path, tool="test", asked=asked, processes=1
        )
        return dict(report.skipped)

    assert "--audit quick,all" in skipped("probe")["failing"]
    assert "--task" in skipped("probe", of=msgspec.structs.replace(spec, task=""))["failing"]
    assert skipped("probe", asked=("probe",)) == {}
    assert skipped("probe", "failing") == {}


@pytest.mark.spec("AUD-12")
def test_only_the_quick_profile_leaves_anything_out() -> None:
    left_out = {name: profile.leaves_out for name, profile in PROFILES.items()}
    assert left_out == {"quick": ("reactivation",), "standard": (), "deep": ()}


@pytest.mark.spec("AUD-1")
def test_every_audit_has_its_page_and_its_name() -> None:
    pages = Path(__file__).parents[2] / "spec" / "audits"
    for name in set(AUDITS) - {"probe", "unwritable", "failing"}:
        assert (pages / f"{name}.md").exists(), name
        audit = get_audit(name)
        assert audit.id == name
        assert audit.title


@pytest.mark.spec("AUD-8")
def test_a_finished_audit_is_not_run_again(spec: Spec, tmp_path: Path) -> None:
    first = run(spec, tmp_path, "probe")
    second = run(spec, tmp_path, "probe")
    assert Probe.runs == 1
    assert first.results == second.results
    run(msgspec.structs.replace(spec, random_seed=7), tmp_path, "probe")
    assert Probe.runs == 2


@pytest.mark.spec("AUD-8")
def test_a_result_that_was_cut_short_is_done_anew(spec: Spec, tmp_path: Path) -> None:
    run(spec, tmp_path, "probe")
    (path,) = (tmp_path / "results").iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    assert run(spec, tmp_path, "probe").status is Status.PASS
    assert Probe.runs == 2


@pytest.mark.spec("AUD-6")
def test_what_cannot_be_done_is_undecided_with_its_reason(spec: Spec, tmp_path: Path) -> None:
    report = run(spec, tmp_path, "probe", "failing")
    assert [result.status for result in report.results] == [Status.PASS, Status.UNDECIDED]
    assert "the loss is nan" in report.results[1].reason
    assert report.status is Status.UNDECIDED


@pytest.mark.spec("AUD-6")
def test_a_tiny_evaluation_decides_nothing(spec: Spec, tmp_path: Path) -> None:
    tiny = msgspec.structs.replace(
        spec, evaluation=str(Path(spec.evaluation).with_name("tiny.npz"))
    )
    result = run_audit(tiny, "probe", QUICK, tmp_path)
    assert result.status is Status.UNDECIDED
    assert "50 evaluation examples" in result.reason


@pytest.mark.spec("AUD-6")
def test_without_data_what_needs_them_is_listed_as_not_run(spec: Spec, tmp_path: Path) -> None:
    report = run(Spec(model=spec.model), tmp_path, "probe")
    assert report.results == ()
    assert report.status is Status.UNDECIDED
    assert report.skipped[0][0] == "probe"
    assert "--train" in report.skipped[0][1]


@pytest.mark.spec("AUD-6")
def test_what_was_asked_for_by_name_and_cannot_be_run_is_undecided(
    spec: Spec, tmp_path: Path
) -> None:
    bare, subject = Spec(model=spec.model), Subject(seed_id="", name="n", version=1)
    report = run_audits(
        bare, subject, ("probe", "failing"), QUICK, tmp_path, tool="test", asked=("probe",)
    )
    assert [result.status for result in report.results] == [Status.UNDECIDED]
    assert "--train" in report.results[0].reason
    assert [name for name, _ in report.skipped] == ["failing"]


@pytest.mark.spec("AUD-7")
def test_a_result_with_infinity_is_refused_and_takes_no_other_with_it(
    spec: Spec, tmp_path: Path
) -> None:
    report = run(spec, tmp_path, "unwritable", "probe")
    assert [result.status for result in report.results] == [Status.UNDECIDED, Status.PASS]
    assert "AUD-7" in report.results[0].reason
    with pytest.raises(AuditError, match="AUD-7"):
        check_writable(Unwritable().run(open_arms(spec, tmp_path)))


@pytest.mark.spec("AUD-9")
def test_a_folder_that_others_can_write_is_refused(spec: Spec, tmp_path: Path) -> None:
    for part in ("", "arms", "results"):
        folder = tmp_path / f"of-{part}" / part
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        with pytest.raises(AuditError, match="AUD-9"):
            run(spec, tmp_path / f"of-{part}", "probe")
    assert Probe.runs == 0


def put(field: str, value: object) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        found = msgspec.json.decode(data)
        holder = found["gates"][0] if field.startswith("gate ") else found
        holder[field.removeprefix("gate ")] = value
        return msgspec.json.encode(found)

    return change


@pytest.mark.spec("AUD-9")
@pytest.mark.parametrize(
    "change",
    [
        put("audit", "failing"),
        put("gates", []),
        put("reason", "something was wrong"),
        put("status", "fail"),
        put("gate interval", [0.0, 0.05]),
        put("gate side", "about"),
        lambda data: data + b" " * MAX_REPORT_NBYTES,
        lambda _: b"\xff\xfe",
    ],
    ids=["audit", "no gate", "reason", "status", "interval", "side", "too long", "no text"],
)
def test_a_kept_result_that_contradicts_itself_is_done_anew(
    spec: Spec, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    first = run(spec, tmp_path, "probe")
    (path,) = (tmp_path / "results").iterdir()
    path.write_bytes(change(path.read_bytes()))
    again = run(spec, tmp_path, "probe")
    assert Probe.runs == 2
    assert again.results[0].gates == first.results[0].gates


@pytest.mark.spec("AUD-9")
@pytest.mark.parametrize("content", [b"", b"no arm", b"PK\x03\x04" + bytes(40)])
def test_kept_arms_that_are_none_are_trained_anew(
    spec: Spec, tmp_path: Path, content: bytes
) -> None:
    arm = Arm(samples=40, seed=3)
    context = open_arms(spec, tmp_path)
    assert context.arms is not None
    first = context.arms.scores(arm)[0].value
    for path in (tmp_path / "arms").iterdir():
        path.write_bytes(content)
    assert context.arms.scores(arm)[0].value == first
    for path in (tmp_path / "arms").glob("*.safetensors"):
        path.write_bytes(content)
    anew = context.arms.adapter(arm).model.state_dict()
    kept = context.arms.adapter(arm).model.state_dict()
    assert all(value.equal(kept[name]) for name, value in anew.items())


def open_arms(spec: Spec, folder: Path) -> Context:
    with open_context(spec, QUICK, folder) as context:
        return context


@pytest.mark.spec("AUD-3")
def test_an_arm_is_trained_once_and_is_the_same_when_read(spec: Spec, tmp_path: Path) -> None:
    arm = Arm(samples=40, seed=3)
    with open_context(spec, QUICK, tmp_path) as context:
        assert context.arms is not None
        first = context.arms.scores(arm)
        files = sorted((tmp_path / "arms").glob("*.npz"))
        again = context.arms.scores(arm)
        assert [s.value for s in first] == [s.value for s in again]
        assert sorted((tmp_path / "arms").glob("*.npz")) == files
        adapter = context.arms.adapter(arm)
    shutil.rmtree(tmp_path / "arms")
    with open_context(spec, QUICK, tmp_path) as context:
        assert context.arms is not None
        anew = context.arms.adapter(arm)
    for name, value in adapter.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), anew.model.state_dict()[name].numpy())


@pytest.mark.spec("AUD-3")
@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"samples": 60}, {"robust": True}, {"thorough": True}, {"model": "assembled"}],
)
def test_another_arm_has_another_key(spec: Spec, tmp_path: Path, change: dict[str, object]) -> None:
    split = open_split(spec)
    assert split is not None
    arms = Arms(spec, split, tmp_path)
    arm = Arm(samples=40, seed=3)
    if "model" in change:
        change = {"model": spec.model}
    assert arms._key(arm) != arms._key(msgspec.structs.replace(arm, **change))


@pytest.mark.spec("AUD-3")
def test_clean_twins_are_the_same_for_every_audited_model_of_a_factory(
    spec: Spec, tmp_path: Path
) -> None:
    split = open_split(spec)
    assert split is not None
    save_file(small_network.make().state_dict(), tmp_path / "other.safetensors")
    other = msgspec.structs.replace(spec, model=str(tmp_path / "other.safetensors"))
    arms = [Arms(one, split, tmp_path) for one in (spec, other)]
    first, second = (a._key(Arm(thorough=True)) for a in arms)
    assert first == second
    first, second = (a._key(Arm(model=a.spec.model)) for a in arms)
    assert first != second
    # Without a factory the audited model is where random weights get their architecture.
    first, second = (
        Arms(msgspec.structs.replace(a.spec, factory=""), split, tmp_path)._key(Arm()) for a in arms
    )
    assert first != second


@pytest.mark.spec("AUD-3")
def test_changed_training_data_have_another_key(spec: Spec, tmp_path: Path) -> None:
    split = open_split(spec)
    assert split is not None
    before = Arms(spec, split, tmp_path)._key(Arm())
    copy = tmp_path / "train.npz"
    np.savez(copy, x=np.zeros((20, 8, 8), np.float32), y=np.arange(20) % 10)
    after = Arms(msgspec.structs.replace(spec, train=str(copy)), split, tmp_path)._key(Arm())
    assert before != after


def test_an_alteration_has_a_name(spec: Spec, tmp_path: Path) -> None:
    with open_context(spec, QUICK, tmp_path) as context:
        assert context.arms is not None
        with pytest.raises(ValueError, match="name"):
            context.arms.scores(Arm(samples=40), lambda examples: examples)


def test_a_module_is_judged_as_it_is_and_a_new_head_is_not(spec: Spec, tmp_path: Path) -> None:
    with open_context(spec, QUICK, tmp_path) as context:
        assert context.arms is not None
        scores = context.arms.zero_shot(spec.model)
    assert scores is not None
    assert scores[0].n == 200


@pytest.mark.spec("AUD-5")
def test_another_seed_under_the_same_path_is_refused(spec: Spec, tmp_path: Path) -> None:
    seed = tmp_path / "a.seed"
    extract(Path(spec.model), seed, name="a/b", version=1, created=0)
    about = msgspec.structs.replace(spec, seed=str(seed), seed_id="0" * 64)
    with (
        open_context(about, QUICK, tmp_path / "work") as context,
        pytest.raises(IntegrityError, match="AUD-5"),
    ):
        context.open_seed()


@pytest.mark.spec("AUD-4")
def test_seeds_are_declared_by_the_profile(spec: Spec, tmp_path: Path) -> None:
    with open_context(msgspec.structs.replace(spec, random_seed=5), QUICK, tmp_path) as context:
        assert context.seeds == tuple(range(5, 5 + QUICK.nseeds))
