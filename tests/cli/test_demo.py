"""``seedpack demo``, as somebody runs it who has never heard of seeds."""

import re

import pytest


@pytest.mark.slow
def test_the_demo_tells_the_whole_story(shell):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    done = shell("demo", "--keep", "kept")
    assert done.status == 0, done.stderr
    refusals = re.findall(r"REFUSED (SP\d+): .*\[([A-Z]+-\d+),", done.stdout)
    assert refusals == [
        ("SP300", "CHK-2"),
        ("SP100", "PRE-9"),
        ("SP300", "CHK-2"),
        ("SP201", "TRU-2"),
        ("SP207", "TRU-9"),
        ("SP400", "ZST-2"),
    ]
    assert "REPAIRED, equal to the published file bit for bit" in done.stdout
    assert "Every answer of the lossless seeds is the original's" in done.stdout
    accuracy = {
        arm: float(value)
        for arm, value in re.findall(r"   (original|control: random) +([\d.]+) %", done.stdout)
    }
    assert accuracy["original"] > 90
    assert accuracy["control: random"] < 25
    trained = {
        arm: float(value)
        for arm, value in re.findall(
            r"   (trained seed|control: student|control: random) +([\d.]+) %.* bytes", done.stdout
        )
    }
    assert trained["trained seed"] > 0.97 * accuracy["original"]
    assert trained["trained seed"] >= trained["control: student"]
    assert trained["control: random"] < 25
    (ratio,) = re.findall(r"a seed, signed: (\d+)x", done.stdout)
    assert int(ratio) >= 100
    kept = {path.name for path in (shell.folder / "kept").iterdir()}
    assert {"digits.seed", "damaged.seed", "fixed.seed", "trust.json", "publisher.pub"} <= kept
    key = shell.folder / "kept" / "publisher.pub"
    assert shell("verify", shell.folder / "kept" / "fixed.seed", "--key", key).status == 0


def test_the_demo_never_writes_into_an_existing_folder(shell):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    (shell.folder / "kept").mkdir()
    assert shell("demo", "--keep", "kept").status == 2
