# SPDX-License-Identifier: Apache-2.0
"""What is missing fails, it does not skip."""
import os

import pytest

import tunnels


def pytest_sessionstart():
    if os.geteuid() != 0:
        pytest.exit("tests/decap loads BPF programs and makes namespaces; run it as root", returncode=1)
    if not tunnels.RUNNER.exists():
        pytest.exit(f"tests/decap needs {tunnels.RUNNER}; run: scripts/setup", returncode=1)


@pytest.fixture(scope="session")
def program():
    """Takes tunnels from tunnels.FROM to tunnels.OWN."""
    runner = tunnels.Runner("--from", *tunnels.FROM, "--to", *tunnels.OWN.values())
    yield runner
    runner.close()
