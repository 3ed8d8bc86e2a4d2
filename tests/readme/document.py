# SPDX-License-Identifier: Apache-2.0
"""A Markdown document as data: its fenced blocks and its tables."""

import re


class Block:
    """One fenced block: language, text, and the line of its fence, counted from 1."""

    def __init__(self, language: str, text: str, line: int):
        self.language, self.text, self.line = language, text, line


def blocks(text: str) -> list:
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 1)
            for m in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def table(text: str, heading: str) -> list:
    """The rows below the table heading that begins with `heading`, each a list of cells."""
    _, found, rest = text.partition(f"\n\n| {heading} |")
    rows = []
    for line in rest.split("\n")[2:] if found else []:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def words(cell: str) -> list:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def differing(shown, real) -> list:
    return ([f"documented and not there: {name}" for name in sorted(set(shown) - set(real))]
            + [f"there and not documented: {name}" for name in sorted(set(real) - set(shown))])
