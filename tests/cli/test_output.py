from datetime import UTC, datetime

import msgspec
import pytest
from rich.console import Console

from shoal.agent import schema
from shoal.cli.output import age_text, event_line, member_table, print_json, print_members, print_pairs

A = schema.Member(
    name="a", id="i", address="127.0.0.1:1", state="alive", incarnation=10, tags={"role": "worker"}, age=3.14159
)
B = schema.Member(name="bob", id="j", address="[::1]:7946", state="dead", incarnation=0, tags={}, age=90061.0)
HOSTILE = msgspec.structs.replace(A, name="[red]x\x1b[2J", tags={"k": "a\nb"})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (9.94, "9.9s"),
        (10, "10s"),
        (59.9, "59s"),
        (60, "1m"),
        (61, "1m1s"),
        (3600, "1h"),
        (3725, "1h2m"),
        (90061, "1d1h"),
        (86400 * 400, "400d"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, text: str) -> None:
    assert age_text(seconds) == text


def test_outside_a_terminal_columns_are_aligned_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    print_members([A, B])

    assert capsys.readouterr().out.splitlines() == [
        "NAME  STATE  ADDRESS      INC  FOR   TAGS",
        "a     alive  127.0.0.1:1  10   3.1s  role=worker",
        "bob   dead   [::1]:7946   0    1d1h",
    ]


def test_a_member_in_a_declared_stall_is_shown_as_stalled(capsys: pytest.CaptureFixture[str]) -> None:
    print_members([msgspec.structs.replace(A, readiness="stalled")])

    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["a", "stalled"]


def test_no_members_are_a_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_members([])

    assert capsys.readouterr().out.split() == ["NAME", "STATE", "ADDRESS", "INC", "FOR", "TAGS"]


def test_a_terminal_gets_colours_unless_it_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32malive" in rendered()

    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in rendered()
    assert "alive" in rendered()


def test_what_a_peer_chose_is_shown_as_it_is_and_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_members([HOSTILE])

    for text in (capsys.readouterr().out, rendered(HOSTILE)):
        assert r"[red]x\x1b[2J" in text
        assert r"k=a\nb" in text


def test_an_event_is_one_line_with_its_name() -> None:
    event = schema.MemberJoined(time=datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC), member=A)

    line = event_line(event).plain

    assert line.endswith(".123  member_joined      a at 127.0.0.1:1 joined with role=worker")


def test_pairs_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs([("name", "a"), ("incarnation", "1")])

    assert capsys.readouterr().out == "name:         a\nincarnation:  1\n"


def test_json_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1]})

    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n'


def rendered(member: schema.Member = A) -> str:
    terminal = Console(force_terminal=True, color_system="standard", width=100, highlight=False)
    with terminal.capture() as capture:
        terminal.print(member_table([member]))
    return capture.get()
