"""What seedpack is measured against, each in an environment of its own.

model_signing   OpenSSF model signing with a P-256 key; SHA-256
minisign        Ed25519 over BLAKE2b, from the system (Debian: minisign)
zipnn           lossless compression of weights

The environments stand in the user's cache folder and are made once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.measure import Command

_MODEL_SIGNING = ("model-signing==1.1.1", "pyopenssl")  # it forgets to ask for the second
_ZIPNN = ("zipnn==0.5.4", "safetensors")
_ROOT = Path(__file__).resolve().parent.parent


def _environment_python(name: str, requirements: tuple[str, ...]) -> Path | None:
    """Return the interpreter of a cached environment; None where it cannot be made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "seedpack-bench" / name
    python = folder / "bin" / "python"
    made = folder / "made"
    if made.exists() and made.read_text(encoding="utf-8") == " ".join(requirements):
        return python
    print(f"making an environment for {name} ...", file=sys.stderr)
    install = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([*install, *requirements], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        print(f"{name} cannot be installed: {error}", file=sys.stderr)
        return None
    made.write_text(" ".join(requirements), encoding="utf-8")
    return python


def model_signing_verify(
    files: list[Path], folder: Path, environment: Mapping[str, str]
) -> list[Command] | None:
    """Sign each file and return the commands that verify; None without model_signing."""
    python = _environment_python("model-signing", _MODEL_SIGNING)
    if python is None:
        return None
    private, public = folder / "p256.key", folder / "p256.pub"
    _write_p256_pair(private, public)
    program = str(python.with_name("model_signing"))
    commands = []
    for file in files:
        signature = f"{folder / file.name}.model_signing"
        ending = ["--signature", signature, str(file)]
        run([program, "sign", "key", "--private_key", str(private), *ending], environment)
        commands.append([program, "verify", "key", "--public_key", str(public), *ending])
    return commands


def _write_p256_pair(private: Path, public: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    private.write_bytes(
        key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    )


def minisign_verify(file: Path, folder: Path, environment: Mapping[str, str]) -> Command | None:
    """Sign ``file`` and return the command that verifies; None without minisign."""
    program = shutil.which("minisign")
    if program is None:
        return None
    public, private = str(folder / "minisign.pub"), str(folder / "minisign.key")
    ending = ["-m", str(file), "-x", f"{folder / file.name}.minisig"]
    run([program, "-G", "-W", "-p", public, "-s", private], environment)
    run([program, "-S", "-s", private, *ending], environment)
    return [program, "-V", "-q", "-p", public, *ending]


def zipnn_python() -> Path | None:
    """Return an interpreter that has zipnn, or None."""
    return _environment_python("zipnn", (_pinned("torch"), *_ZIPNN))


def _pinned(package: str) -> str:
    # Named exactly, or pip takes a build of torch that is gigabytes larger.
    for line in (_ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{package}=="):
            return line
    raise SystemExit(f"constraints.txt has no {package}")
