# SPDX-License-Identifier: Apache-2.0
"""Runs a program as on a kernel without part of BPF: `older_kernel.py all|COMMAND-NUMBER PROGRAM ARGS...`.

A seccomp filter answers bpf(2), or one of its commands (enum bpf_cmd), as a kernel that does not know it would: ENOSYS
for the system call as a whole, EINVAL for a command.
"""

import ctypes
import os
import struct
import sys

SYS_BPF = 321  # x86-64
ENOSYS, EINVAL = 38, 22
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h: BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
ALLOW, FAIL_WITH = 0x7fff0000, 0x00050000  # linux/seccomp.h


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def deny(command: str) -> None:
    """seccomp_data begins with the call's number (offset 0); its first argument is at offset 16."""
    if command == "all":
        steps = [instruction(LOAD_WORD, 0), instruction(JUMP_IF_EQUAL, SYS_BPF, 0, 1),
                 instruction(RETURN, FAIL_WITH | ENOSYS), instruction(RETURN, ALLOW)]
    else:
        steps = [instruction(LOAD_WORD, 0), instruction(JUMP_IF_EQUAL, SYS_BPF, 0, 3),
                 instruction(LOAD_WORD, 16), instruction(JUMP_IF_EQUAL, int(command), 0, 1),
                 instruction(RETURN, FAIL_WITH | EINVAL), instruction(RETURN, ALLOW)]
    code = b"".join(steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program):
        raise OSError(ctypes.get_errno(), "cannot install the seccomp filter")


if __name__ == "__main__":
    deny(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
