# SPDX-License-Identifier: Apache-2.0
"""What is missing fails, it does not skip."""
import os

import pytest

from bed import LBGEN, Bed


def pytest_sessionstart():
    if os.geteuid() != 0:
        pytest.exit("tests/lbgen loads BPF programs and makes namespaces; run it as root", returncode=1)
    if not os.path.exists(LBGEN):
        pytest.exit(f"tests/lbgen needs {LBGEN}; run: scripts/setup, or name the program with LBGEN", returncode=1)


@pytest.fixture(scope="session")
def standing(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("lbgen")) as made:
        yield made


@pytest.fixture
def bed(standing):
    """A test leaves no program on either end."""
    yield standing
    assert not standing.has_program("receiver", "b0") and not standing.has_program("sender", "c0")
