"""Run a command in a network namespace of its own whose only interface is loopback.

``python -m benchmarks._netns COMMAND ...`` replaces itself with the command, so the process id
stays the same. Exits 126 with one line when the kernel does not permit it. Linux only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

assert sys.platform == "linux", "network namespaces are a thing of Linux"

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
IFREQ = struct.Struct("16sH22x")


def main() -> None:
    try:
        _enter_namespace()
        _bring_up("lo")
    except OSError as error:
        print(f"no network namespace of its own: {error.strerror}", file=sys.stderr)
        sys.exit(126)
    os.execvp(sys.argv[1], sys.argv[1:])


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
