import subprocess
import sys
from pathlib import Path

import pytest

from shoal.study.__main__ import main
from tests.agent.processes import PATIENCE, environment

WITHOUT_NUMPY = "import sys; sys.modules['numpy'] = None; from shoal.study.__main__ import main; main()"


@pytest.mark.parametrize(
    ("path", "said"), [("file/runs.jsonl", "Not a directory|File exists"), (".", "Is a directory")]
)
def test_a_cache_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SystemExit, match=rf"^error: --cache: cannot write .*: ({said})$"):
        main(["kills", "--cache", str(tmp_path / path)])


def test_the_model_without_numpy_is_told_in_one_line_before_anything_runs(tmp_path: Path) -> None:
    cache = tmp_path / "runs.jsonl"
    command = [sys.executable, "-c", WITHOUT_NUMPY, "model", "--cache", str(cache)]

    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=PATIENCE, check=False)

    assert done.returncode == 1
    assert done.stderr == "error: the vectorised model needs the extra 'sim': pip install 'shoal[sim]'\n"
    assert not cache.exists()
