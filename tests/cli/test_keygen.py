"""`shoal keygen --identity`."""

import stat
from pathlib import Path

from click.testing import CliRunner

from shoal.cli.root import shoal
from shoal.wire.identity import IdentityKey, PublicKey


def test_an_identity_goes_to_a_file_that_only_the_user_can_read(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    result = CliRunner().invoke(shoal, ["keygen", "--identity", "-o", str(path)])
    key = IdentityKey.parse(path.read_text())
    assert result.exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.text not in result.output
    assert PublicKey.parse(Path(f"{path}.pub").read_text()) == key.public == PublicKey.parse(result.stdout)


def test_an_identity_is_never_printed() -> None:
    result = CliRunner().invoke(shoal, ["keygen", "--identity"])
    assert result.exit_code == 1
    assert "-o FILE" in result.output


def test_an_identity_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    path.write_text("mine")
    assert CliRunner().invoke(shoal, ["keygen", "--identity", "-o", str(path)]).exit_code == 1
    assert path.read_text() == "mine"
