# SPDX-License-Identifier: Apache-2.0
"""What the expressions of the corpus may use: scapy's layers, a few words of our own, and the flow hash's reference."""
import re
import tomllib

import scapy.layers.inet
import scapy.layers.inet6
import scapy.layers.l2
import scapy.packet
from reference import Flow, Reference

LAYERS = {}
for module in (scapy.packet, scapy.layers.l2, scapy.layers.inet, scapy.layers.inet6):
    LAYERS |= {name: value for name, value in vars(module).items() if not name.startswith("_")}
LAYERS["Dot1AD"] = scapy.layers.l2.Dot1AD


def from_hex(text):
    return bytes.fromhex("".join(text.split()))


def pattern(length):
    """`length` bytes, no two neighbours equal."""
    return bytes((7 * i + 3) % 251 for i in range(length))


def cut(frame, length):
    return bytes(frame)[:length]


def patch(frame, offset, replacement):
    frame, replacement = bytes(frame), bytes(replacement)
    assert offset + len(replacement) <= len(frame), "patch beyond the end of the frame"
    return frame[:offset] + replacement + frame[offset + len(replacement) :]


def checksum(data):
    """RFC 1071."""
    data = bytes(data) + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def skew(frame, offset):
    """The frame with the checksum at `offset` wrong by one."""
    right = int.from_bytes(bytes(frame)[offset : offset + 2], "big")
    return patch(frame, offset, ((right + 1) % 0xFFFF).to_bytes(2, "big"))


def words_for(golden):
    """The names that the expressions of one file see."""
    world = tomllib.loads(golden.world)
    seed = tomllib.loads(golden.config).get("seed", "0" * 32)
    reference = Reference(bytes.fromhex(seed))
    words = dict(LAYERS, hex=from_hex, pattern=pattern, cut=cut, patch=patch, skew=skew, checksum=checksum, Flow=Flow)
    for name in ("spread", "spread4", "spread6", "gue_port", "flow_label", "row", "flow_hash"):
        words[name] = getattr(reference, name)
    words["MAC"] = {n["address"]: n["mac"] for n in world.get("neighbor", []) if "mac" in n}
    for interface in world.get("interface", []):
        words[re.sub(r"\W", "_", interface["name"]).upper()] = interface["mac"]
    exec(compile(golden.names, f"{golden.name}.golden, names", "exec"), words)  # the corpus is code of this repository
    return words


def frame_of(expression, words):
    """The bytes of a frame that is written as hex or as an expression."""
    if re.fullmatch(r"[0-9a-fA-F\s]+", expression):
        return from_hex(expression)
    return bytes(eval(expression, words))
