"""`shoal keygen --identity`."""

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from shoal.cli.root import shoal
from shoal.wire.certificates import Certificate, Right
from shoal.wire.identity_keys import IdentityKey, PublicKey
from shoal.wire.revocations import Revocation
from shoal.wire.tokens import AdmissionToken


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


def test_an_authority_issues_a_certificate_for_one_node(tmp_path: Path) -> None:
    authority, node = tmp_path / "authority", tmp_path / "node"
    for path in (authority, node):
        CliRunner().invoke(shoal, ["keygen", "--identity", "-o", str(path)])
    files = ["--authority", str(authority), "--public-key", f"{node}.pub"]
    result = CliRunner().invoke(shoal, ["keys", "issue", "gpu-1", *files, "--tags", "role", "--allow", "keys"])
    certificate = Certificate.parse(result.stdout)
    assert (certificate.name, certificate.terms.namespaces) == ("gpu-1", ("role",))
    assert certificate.terms.rights == {Right.KEYS}
    assert certificate.is_by(PublicKey.parse(Path(f"{authority}.pub").read_text()), "shoal")
    assert certificate.public_key == PublicKey.parse(Path(f"{node}.pub").read_text())


def test_a_certificate_for_many_names_is_refused(tmp_path: Path) -> None:
    CliRunner().invoke(shoal, ["keygen", "--identity", "-o", str(tmp_path / "node")])
    files = ["--authority", str(tmp_path / "node"), "--public-key", str(tmp_path / "node.pub")]
    result = CliRunner().invoke(shoal, ["keys", "issue", "gpu-*", *files])
    assert result.exit_code == 2
    assert "NAME: a certificate is for one node and one key; `shoal keys token`" in result.stderr


def test_a_public_key_is_no_authority(tmp_path: Path) -> None:
    CliRunner().invoke(shoal, ["keygen", "--identity", "-o", str(tmp_path / "node")])
    public = str(tmp_path / "node.pub")
    result = CliRunner().invoke(shoal, ["keys", "issue", "a", "--authority", public, "--public-key", public])
    assert result.exit_code == 1
    assert "holds no identity key" in result.output


def test_an_authority_issues_a_token_for_nodes_of_some_names(tmp_path: Path) -> None:
    authority, path = tmp_path / "authority", tmp_path / "token"
    CliRunner().invoke(shoal, ["keygen", "--identity", "-o", str(authority)])
    command = ["keys", "token", "gpu-*", "--authority", str(authority), "--tags", "role"]
    for text in (
        CliRunner().invoke(shoal, command).stdout,
        CliRunner().invoke(shoal, [*command, "-o", str(path)]).stdout or path.read_text(),
    ):
        token = AdmissionToken.parse(text)
        assert (token.grant.names, token.terms.namespaces, token.terms.rights) == ("gpu-*", ("role",), frozenset())
        certificate = token.admit("shoal", "gpu-1", IdentityKey(bytes(32)).public)
        assert certificate.is_by(PublicKey.parse(Path(f"{authority}.pub").read_text()), "shoal")
    assert path.stat().st_mode & 0o077 == 0
    assert CliRunner().invoke(shoal, [*command, "-o", str(path)]).exit_code == 1


@pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
def test_an_authority_that_others_can_read_is_warned_of_in_one_line(tmp_path: Path) -> None:
    authority, node = tmp_path / "authority", tmp_path / "node"
    for path in (authority, node):
        CliRunner().invoke(shoal, ["keygen", "--identity", "-o", str(path)])
    signed = ["--authority", str(authority)]
    commands = [
        ["keys", "issue", "a", *signed, "--public-key", f"{node}.pub"],
        ["keys", "token", "a", *signed],
        ["keys", "revoke", f"{node}.pub", *signed],
    ]
    assert [CliRunner().invoke(shoal, command).stderr for command in commands] == ["", "", ""]
    authority.chmod(0o644)
    for command in commands:
        done = CliRunner().invoke(shoal, command)
        assert done.exit_code == 0
        assert done.stderr == (
            f"Warning: --authority = '{authority}': other users may read it; chmod 600 {authority}\n"
        )


def test_an_authority_revokes_certificates_nodes_and_tokens_in_one_file(tmp_path: Path) -> None:
    authority, output = tmp_path / "authority", tmp_path / "revoked"
    for path in (authority, tmp_path / "node", tmp_path / "other"):
        CliRunner().invoke(shoal, ["keygen", "--identity", "-o", str(path)])
    signed = ["--authority", str(authority)]
    public = tmp_path / "node.pub"
    issued = CliRunner().invoke(shoal, ["keys", "issue", "a", *signed, "--public-key", f"{tmp_path}/other.pub"])
    (tmp_path / "a.crt").write_text(issued.stdout)
    CliRunner().invoke(shoal, ["keys", "token", "*", *signed, "-o", f"{tmp_path}/token"])

    revoke = ["keys", "revoke", *signed]
    [printed] = Revocation.parse_all(CliRunner().invoke(shoal, [*revoke, str(public)]).stdout)
    assert CliRunner().invoke(shoal, [*revoke, str(public), "-o", str(output)]).output == ""
    output.write_text(output.read_text() + "# a line without an end")
    CliRunner().invoke(shoal, [*revoke, f"{tmp_path}/a.crt", f"{tmp_path}/token", "-o", str(output)])
    node, other, token = Revocation.parse_all(output.read_text())
    assert node == printed
    assert (node.public_key, other.public_key) == (
        PublicKey.parse(public.read_text()),
        PublicKey.parse((tmp_path / "other.pub").read_text()),
    )
    assert token.public_key == AdmissionToken.parse((tmp_path / "token").read_text()).key.public
    by = PublicKey.parse(Path(f"{authority}.pub").read_text())
    assert all(revocation.is_by(by, "shoal") for revocation in (node, other, token))


def test_what_can_not_be_revoked_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    authority, output = tmp_path / "authority", tmp_path / "revoked"
    CliRunner().invoke(shoal, ["keygen", "--identity", "-o", str(authority)])
    revoke = ["keys", "revoke", "--authority", str(authority), "-o", str(output)]
    result = CliRunner().invoke(shoal, [*revoke, f"{authority}.pub", str(authority)])
    assert result.exit_code == 1
    assert "holds neither a certificate nor a public key nor an admission token" in result.output
    assert not output.exists()
