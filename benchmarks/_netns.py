"""Run a command in a network namespace of its own whose only interface is loopback.

``python -m benchmarks._netns [--loss SHARE] COMMAND ...`` replaces itself with the command, so the process id
stays the same. With ``--loss`` that share of all packets vanishes, by netem or else by nftables. Exits 126 with one
line when the kernel does not permit it. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys

assert sys.platform == "linux", "network namespaces are a thing of Linux"

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
IFREQ = struct.Struct("16sH22x")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks._netns")
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    try:
        _enter_namespace()
        _bring_up("lo")
    except OSError as error:
        print(f"no network namespace of its own: {error.strerror}", file=sys.stderr)
        sys.exit(126)
    if options.loss and not any(_succeeds(commands) for commands in _ways_to_lose(options.loss)):
        print("no loss: this kernel has no netem, and nftables is not installed or not permitted", file=sys.stderr)
        sys.exit(126)
    os.execvp(options.command[0], options.command)


def _ways_to_lose(share: float) -> list[list[list[str]]]:
    chain = ["add", "chain", "ip", "loss", "input", "{ type filter hook input priority 0; }"]
    dice = ["numgen", "random", "mod", "100000", "<", str(round(share * 100_000)), "drop"]
    return [
        [["tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", f"{share:%}"]],
        [
            ["nft", "add", "table", "ip", "loss"],
            ["nft", *chain],
            ["nft", "add", "rule", "ip", "loss", "input", *dice],
        ],
    ]


def _succeeds(commands: list[list[str]]) -> bool:
    try:
        return all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands)
    except FileNotFoundError:
        return False


def _enter_namespace() -> None:
    try:
        _unshare(CLONE_NEWNET)
    except PermissionError:
        # An ordinary user may do it inside a user namespace, where that is allowed.
        _unshare(CLONE_NEWUSER | CLONE_NEWNET)


def _unshare(flags: int) -> None:
    # os.unshare came with Python 3.12.
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _bring_up(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = IFREQ.pack(interface.encode(), 0)
        _, flags = IFREQ.unpack(fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, IFREQ.pack(interface.encode(), flags | IFF_UP))


if __name__ == "__main__":
    main()
