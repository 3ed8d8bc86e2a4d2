# SPDX-License-Identifier: Apache-2.0
"""Runs lbctl against a server of canned answers and looks at what it asked for."""
import json
import os
import subprocess
import tempfile
import unittest

from fake_lbd import FakeLbd

LBCTL = os.environ.get("LBCTL", "lbctl")


class LbctlCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.lbd = FakeLbd(self.directory)
        self.addCleanup(self.lbd.server_close)
        self.addCleanup(self.lbd.shutdown)

    def run_lbctl(self, *arguments, stdin=b"", socket_path=None, environment=None):
        env = {**os.environ, "WEIR_SOCKET": socket_path or self.lbd.path, **(environment or {})}
        done = subprocess.run([LBCTL, *arguments], env=env, input=stdin, capture_output=True, timeout=30, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def asked(self):
        self.assertEqual(len(self.lbd.asked), 1, self.lbd.asked)
        method, target, body = self.lbd.asked.pop()
        return method, target, body

    def check_request(self, words, method, target, body=None):
        code, out, err = self.run_lbctl(*words.split())
        self.assertEqual((code, err), (0, ""), words)
        got = self.asked()
        self.assertEqual(got[:2], (method, target), words)
        self.assertEqual(json.loads(got[2]) if got[2] else None, body, words)
        return out
