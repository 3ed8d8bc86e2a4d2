# SPDX-License-Identifier: Apache-2.0
"""A program that is steered by lines on its stdin: keep.py and echo.py, asked by keeping.py."""

import json
import os
import resource
import select


def allow_descriptors() -> None:
    """As many sockets as the system lets one process have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Commands:
    """Lines on stdin: each is a word and its arguments, handed to the method do_WORD; what that returns is printed."""

    def __init__(self, target, epoll):
        self._target, self._rest = target, b""
        os.set_blocking(0, False)
        epoll.register(0, select.EPOLLIN)

    def read(self) -> bool:
        """False at the end of stdin."""
        got = os.read(0, 65536)
        *lines, self._rest = (self._rest + got).split(b"\n")
        for line in lines:
            word, *arguments = line.decode().split()
            print(json.dumps(getattr(self._target, f"do_{word}")(*arguments)), flush=True)
        return bool(got)
