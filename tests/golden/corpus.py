# SPDX-License-Identifier: Apache-2.0
"""Reads the corpus: *.golden to files, cases and steps. The format is FORMAT.md's."""
import os
import re
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SECTIONS = {"world": "worlds", "config": "configs", "names": "names", "cases": None}
ENGINES = ("native", "xdp")


class CorpusError(Exception):
    """A file that cannot be read: FILE:LINE: what is wrong."""


@dataclass
class Step:
    """One frame and what becomes of it. Expressions are text; None where the case is silent."""

    line: int
    interface: str
    frame: str
    expected: dict
    wait: int = 0  # seconds that pass before it


@dataclass
class Case:
    file: str
    line: int
    title: str
    steps: list = field(default_factory=list)
    engines: tuple = ENGINES
    counters: dict = field(default_factory=dict)


@dataclass
class GoldenFile:
    name: str
    world: str
    config: str
    names: str
    cases: list


def verdicts():
    """{name: action} of dataplane/core/verdict.hpp."""
    with open(os.path.join(ROOT, "dataplane/core/verdict.hpp"), encoding="utf-8") as text:
        return dict(re.findall(r"^  ROW\((\w+), +(\w+),", text.read(), re.M))


def golden_paths():
    return sorted(os.path.join(HERE, name) for name in os.listdir(HERE) if name.endswith(".golden"))


def sections_of(path):
    """{section: (number of its first line, its lines, the text that it includes)}."""
    found, included, current = {}, {}, None
    with open(path, encoding="utf-8") as text:
        for number, line in enumerate(text.read().splitlines(), 1):
            heading = re.fullmatch(r"--- (\w+)(?: (\S+))?", line)
            if not heading:
                if current is not None:
                    current.append(line)
                elif line and not line.startswith("#"):
                    raise CorpusError(f"{path}:{number}: before the first section stand comments only")
                continue
            name, include = heading.groups()
            if name not in SECTIONS or name in found:
                raise CorpusError(f'{path}:{number}: "{name}" is no section of {", ".join(SECTIONS)}, or there twice')
            current = []
            found[name] = (number + 1, current)
            if include:
                included[name] = read_include(path, number, SECTIONS[name], include)
    if "config" not in found or "cases" not in found or "world" not in found:
        raise CorpusError(f"{path}:1: world, config and cases are required")
    return {name: (first, lines, included.get(name, "")) for name, (first, lines) in found.items()}


def joined(lines, included):
    """The lines around an included text: in TOML, what stands above the first table belongs to no table."""
    tables = next((i for i, line in enumerate(lines) if line.startswith("[")), len(lines))
    return "\n".join([*lines[:tables], included, *lines[tables:]]) + "\n"


def read_include(path, number, folder, name):
    try:
        with open(os.path.join(HERE, folder or ".", name), encoding="utf-8") as text:
            return text.read()
    except OSError as error:
        raise CorpusError(f"{path}:{number}: {error}") from error


def logical_lines(first, lines):
    """(number, text) with continuations joined, comments and empty lines left out."""
    joined = []
    for number, line in enumerate(lines, first):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace() and joined:
            joined[-1] = (joined[-1][0], joined[-1][1] + " " + line.strip())
        else:
            joined.append((number, line.rstrip()))
    return joined


def counters_of(text):
    """{name: {field: number}} of "web packets=1 bytes=54; forwarded_nat packets=1"."""
    counters = {}
    for part in text.split(";"):
        name, *fields = part.split()
        counters[name] = {key: int(value) for key, value in (f.split("=") for f in fields)}
    return counters


def cases_of(path, first, lines):
    known, cases, open_steps, wait = verdicts(), [], [], 0

    def fail(number, what):
        raise CorpusError(f"{path}:{number}: {what}")

    for number, line in logical_lines(first, lines):
        if line.startswith("== "):
            if any(case.title == line[3:] for case in cases):
                fail(number, "a second case of this title")
            cases.append(Case(os.path.basename(path), number, line[3:]))
            open_steps, wait = [], 0
            continue
        # Addresses hold colons too, but none in front of a space.
        key, colon, value = re.match(r"(.*?)(:(?= |$)|$)(.*)", line).groups()
        word, _, interface = key.partition(" ")
        value = value.strip()
        if not cases or not colon:
            fail(number, "expected `== TITLE`, or `WORD: ...` below one")
        case = cases[-1]
        if word == "in":
            if open_steps and open_steps[-1].expected:
                open_steps = []
            open_steps.append(Step(number, interface, value, {}, wait))
            wait = 0
            case.steps.append(open_steps[-1])
        elif word == "wait":
            wait = int(value)
            open_steps = []
        elif word == "engines":
            case.engines = tuple(value.split())
        elif word == "counters":
            case.counters = counters_of(value)
        elif word in ("verdict", "out", "service", "backend", "row", "flows", "ended") and open_steps:
            if word == "verdict" and value not in known:
                fail(number, f'"{value}" is no verdict of dataplane/core/verdict.hpp')
            if word == "flows" and not interface:
                fail(number, "say which flows: `flows SERVICE [CLIENT]: ...`")
            if word in open_steps[0].expected:
                fail(number, f"a second `{word}` for the same frame")
            for step in open_steps:
                step.expected[word] = (interface, value) if word in ("out", "flows") else value
        else:
            fail(number, f"`{key}` is not known here (FORMAT.md)")
    for case in cases:
        for step in case.steps:
            check_step(step, known, fail)
        if not case.steps:
            fail(case.line, "a case without a frame")
    return cases


def check_step(step, known, fail):
    verdict = step.expected.get("verdict")
    if verdict is None:
        fail(step.line, "a frame without a verdict")
    usual = {"pass": ("", "same"), "drop": ("", "none")}.get(known[verdict])
    out = step.expected.setdefault("out", usual)
    if out is None:
        fail(step.line, f"{verdict} sends the frame: say `out IFACE: ...`")
    if (out[0] == "") != (out[1] in ("same", "none")) or (usual and out != usual):
        fail(step.line, f"`out {out[0]}: {out[1]}` does not go with {verdict}, whose action is {known[verdict]}")


def read(path):
    found = sections_of(path)
    texts = {name: joined(lines, included) for name, (_, lines, included) in found.items()}
    cases = cases_of(path, *found["cases"][:2])
    return GoldenFile(os.path.basename(path)[:-7], texts["world"], texts["config"], texts.get("names", ""), cases)
