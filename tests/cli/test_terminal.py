"""What only a terminal, a closed pipe or a defect brings out."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from seedpack_cli import app, output
from seedpack_cli.demo import figures
from tests.cli.conftest import save_model
from tests.conftest import PROGRAM

# The first terminal that the leader of a session opens becomes that session's own.
TAKE_TERMINAL = "import os; os.close(os.open(os.ttyname(0), os.O_RDWR)); "


class Terminal:
    """A command whose standard error, input and questions go to a terminal."""

    def __init__(self, shell, *words, **env):
        self.master, slave = pty.openpty()

        plain = {key: value for key, value in shell.env.items() if key != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL + PROGRAM, *map(str, words)],
            cwd=shell.folder,
            env={**plain, **env},
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.shown = b""

    def wait_for(self, text):
        """Read until the terminal shows ``text``."""
        while text not in self.shown:
            self.shown += os.read(self.master, 4096)

    def type(self, text):
        os.write(self.master, text)

    def finish(self):
        """Return status, standard output, and all that the terminal showed."""
        out, _ = self.process.communicate(timeout=60)
        try:
            while more := os.read(self.master, 4096):
                self.shown += more
        except OSError:  # the other end is closed: nothing more to read
            pass
        os.close(self.master)
        return self.process.returncode, out.decode(), self.shown.decode()


def test_progress_is_drawn_on_a_terminal_and_cleared(shell):
    save_model(shell.folder / "model.safetensors")
    status, out, shown = Terminal(shell, "extract", "model.safetensors", "-o", "a.seed").finish()
    assert status == 0
    assert out.startswith("a.seed: 3 layers")
    assert "extracting model.safetensors [########################] 100 %\r\x1b[K" in shown


def test_quiet_draws_nothing(shell):
    save_model(shell.folder / "model.safetensors")
    words = ("--quiet", "extract", "model.safetensors", "-o", "a.seed")
    assert Terminal(shell, *words).finish()[2] == ""


@pytest.mark.parametrize("env, painted", [({}, True), ({"NO_COLOR": "1"}, False)])
def test_errors_are_coloured_on_a_terminal_unless_told_not_to(shell, env, painted):
    status, _, shown = Terminal(shell, "inspect", "absent.seed", **env).finish()
    assert status == 1
    assert ("\x1b[1;31m" in shown) is painted
    assert "error[SP700]:" in shown


def test_a_passphrase_is_asked_for_twice_and_not_shown(shell):
    for again, status in ((b"other\n", 1), (b"secret\n", 0)):
        terminal = Terminal(shell, "keygen", "me")
        terminal.wait_for(b"Passphrase of me.key: ")
        terminal.type(b"secret\n")
        terminal.wait_for(b"Again: ")
        terminal.type(again)
        done, _, shown = terminal.finish()
        assert done == status
        assert "secret" not in shown
    assert "the passphrases differ" not in shown
    assert (shell.folder / "me.key").exists()


def test_an_interrupt_is_status_130(shell):
    terminal = Terminal(shell, "keygen", "me")
    terminal.wait_for(b"Passphrase of me.key: ")
    os.killpg(terminal.process.pid, signal.SIGINT)
    status, _, shown = terminal.finish()
    assert (status, "Traceback" in shown) == (130, False)
    assert not (shell.folder / "me.key").exists()


def test_a_reader_that_leaves_ends_the_program_quietly(shell, published):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "inspect", published / "good.seed"],
        env=shell.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


@pytest.mark.parametrize("verbose", [False, True])
def test_a_defect_is_told_in_one_line_unless_verbose(monkeypatch, capsys, verbose):
    def broken():
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(app, "make_app", lambda _: lambda *_, **__: broken())
    monkeypatch.setattr(output.settings, "verbose", verbose)
    with pytest.raises(SystemExit) as caught:
        app.main()
    err = capsys.readouterr().err
    assert caught.value.code == 1
    assert "error[SP000]: ZeroDivisionError: a defect" in err
    assert ("Traceback" in err) is verbose
    assert ("this is a bug" in err) is not verbose


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 40, "5120.0 GiB"),
    ],
)
def test_sizes_are_shown_as_people_read_them(nbytes, text):
    assert output.format_nbytes(nbytes) == text


def test_nothing_that_is_printed_obeys_to_a_hostile_name(capsys):
    """Names of files, columns and labels are others'; a new line of a report is ours."""
    name = "evil\x1b]0;owned\x07\r.seed"
    output.print_data({}, f"a\n{name}")
    output.print_note(name)
    output.print_warning(name)
    shown = "".join(capsys.readouterr())
    assert "a\nevil" in shown
    assert not {"\x1b", "\x07", "\r"} & set(shown)


def test_retention_of_an_original_at_chance_is_undefined():
    import numpy as np

    guess = np.arange(100)[None] < 10
    assert figures.retention(guess, guess, chance=0.1) is None
    assert figures.show(None) == "undefined (the original is not above chance)"


def test_intervals_are_those_of_wilson():
    import numpy as np

    half = figures.rate(np.arange(100)[None] < 50)
    assert figures.rate(np.stack([np.arange(100) < 50] * 3)) == half  # three say it: one image
    assert half.value == 0.5
    assert half.low == pytest.approx(0.40383, abs=1e-5)
    assert half.high == pytest.approx(0.59617, abs=1e-5)
    certain = figures.rate(np.ones((1, 20), bool))
    assert (certain.value, certain.high) == (1.0, 1.0)
    assert certain.low == pytest.approx(0.83887, abs=1e-5)


def test_retention_is_the_share_above_chance_that_is_kept():
    import numpy as np

    original = np.stack([np.arange(200) < 190, np.arange(200) < 180])
    kept = figures.retention(original, original, chance=0.1)
    assert kept == (1.0, 1.0, 1.0)
    rebuilt = np.stack([np.arange(200) < 110, np.arange(200) < 100])
    half = figures.retention(original, rebuilt, chance=0.1)
    assert half.value == pytest.approx((0.525 - 0.1) / (0.925 - 0.1))
    assert half.low < half.value < half.high
    assert half.high - half.low < 0.2
