"""Makes or refreshes `.venv`: the locked tools and dependencies, then shoal itself as an editable install.

Needs nothing but Python 3.11 or newer: `python3 scripts/bootstrap.py`. It does nothing when `.venv` already
matches the files that define it, so it can stand before every command.
"""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
LOCK = ROOT / "requirements" / "dev.lock"
STAMP = VENV / "shoal.stamp"


def main() -> int:
    """Bring `.venv` up to date; returns the process's exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the check is for whoever runs it with an older one
        return fail(f"shoal needs Python 3.11 or newer, this is {sys.version.split()[0]}: {sys.executable}")
    wanted = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted and runs():
        return 0
    STAMP.unlink(missing_ok=True)
    try:
        if not runs():
            print(f"making {VENV}", flush=True)
            venv.create(VENV, clear=True, with_pip=True)
        print(f"installing {LOCK.relative_to(ROOT)}", flush=True)
        pip("--require-hashes", "--no-deps", "-r", str(LOCK))
        pip("--no-deps", "--no-build-isolation", "-e", str(ROOT))
    except subprocess.CalledProcessError as error:
        return fail(f"cannot make {VENV}: {' '.join(map(str, error.cmd))} exited with {error.returncode}")
    STAMP.write_text(wanted)
    return 0


def fingerprint() -> str:
    """A digest of everything that decides what is installed, and where."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in (Path(__file__), ROOT / "pyproject.toml", LOCK):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def runs() -> bool:
    """Whether the environment's interpreter starts, is new enough and has pip."""
    probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([PYTHON, "-c", probe], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def pip(*arguments: str) -> None:
    """Install with the environment's own pip."""
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *arguments], cwd=ROOT, check=True)


def fail(reason: str) -> int:
    """Say why in one line."""
    print(f"bootstrap: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
