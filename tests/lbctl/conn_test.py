#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lbctl conn, whose lists are of any length and printed while they come; and readers that go away."""
import json
import os
import signal
import subprocess
import time
import unittest

from fake_lbd import FLOW, FLOW6, error
from fixture import LBCTL, LbctlCase


class ConnTest(LbctlCase):
    def test_conn_list_prints_flows_as_they_come_also_where_a_line_is_cut_in_two(self):
        code, out, err = self.run_lbctl("conn", "list", "--service", "web", "--backend", "web/b1", "--source",
                                        "192.0.2.1", "--destination", "203.0.113.10:80", "--protocol", "tcp")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(out, (
            "BACKEND               PROTO  SOURCE                 DESTINATION            STATE          IDLE     ROW\n"
            "web/b1                tcp    192.0.2.1:40000        203.0.113.10:80        established      3s      77\n"
            "web/b2                tcp    [2001:db8::2]:9        203.0.113.10:80        new              0s   65535\n"))
        self.assertEqual(self.asked()[:2], ("GET", "/v1/conns?service=web&backend=web%2Fb1&source=192.0.2.1"
                                                   "&destination=203.0.113.10%3A80&protocol=tcp"))
        self.assertEqual(len(self.run_lbctl("conn", "list", "--no-headers")[1].splitlines()), 2)
        lines = self.run_lbctl("conn", "list", "-o", "json")[1].splitlines()
        self.assertEqual([json.loads(line) for line in lines], [FLOW, FLOW6])
        self.lbd.next_answer = (200, [])
        self.assertTrue(self.run_lbctl("conn", "list")[1].startswith("BACKEND"))
        self.assertEqual(self.run_lbctl("conn", "list", "-o", "json"), (0, "", ""))

    def test_a_list_of_any_length_is_printed_whole(self):
        line = json.dumps(FLOW) + "\n"
        self.lbd.next_answer = (200, [line * 1000] * 20)
        self.assertEqual(len(self.run_lbctl("conn", "list", "-o", "json")[1]), 20000 * len(line))
        self.lbd.next_answer = (200, [line, None])
        code, out, err = self.run_lbctl("conn", "list", "-o", "json")
        self.assertEqual((code, out), (4, line))
        self.assertIn("closed the connection", err)
        self.lbd.next_answer = (404, error("not_found", "there is no service"))
        self.assertEqual(self.run_lbctl("conn", "list"), (1, "", "lbctl: there is no service\n"))

    def test_conn_count_find_and_kill(self):
        self.assertEqual(self.run_lbctl("conn", "count", "--service", "web"),
                         (0, "BACKEND  FLOWS\nweb/b1       9\nweb/b2       3\ntotal       12\n", ""))
        self.assertEqual(self.asked()[1], "/v1/conns/count?service=web")
        code, out, _ = self.run_lbctl("conn", "find", "tcp", "192.0.2.1:40000", "203.0.113.10:80", "--no-headers")
        self.assertEqual((code, out.split()[0]), (0, "web/b1"))
        self.assertEqual(self.asked()[1], "/v1/conns?source=192.0.2.1%3A40000&destination=203.0.113.10%3A80"
                                          "&protocol=tcp")
        self.lbd.next_answer = (200, [])
        code, out, err = self.run_lbctl("conn", "find", "tcp", "192.0.2.1:40000", "203.0.113.10:80")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("remembers no such flow", err)
        self.lbd.next_answer = None
        self.lbd.asked.clear()
        self.assertEqual(self.run_lbctl("conn", "kill", "--backend", "web/b1"), (0, "3 flows killed\n", ""))
        self.assertEqual(self.asked()[:2], ("POST", "/v1/conns/kill?backend=web%2Fb1"))

    def test_one_killed_flow_is_no_flows(self):
        self.lbd.next_answer = (200, {"killed": 1})
        self.assertEqual(self.run_lbctl("conn", "kill", "--source", "192.0.2.1"), (0, "1 flow killed\n", ""))

    def test_conn_count_leaves_out_its_titles_when_asked_to(self):
        self.assertEqual(self.run_lbctl("conn", "count", "--no-headers")[1],
                         "web/b1   9\nweb/b2   3\ntotal   12\n")

    def test_a_list_whose_last_line_has_no_end_is_a_failure(self):
        line = json.dumps(FLOW)
        self.lbd.next_answer = (200, [line + "\n" + line])
        self.assertEqual(self.run_lbctl("conn", "list", "-o", "json"),
                         (1, line + "\n", "lbctl: the list is not whole: its last line has no end\n"))

    def test_a_reader_that_goes_away_ends_lbctl_without_a_word(self):
        self.lbd.next_answer = (200, [(json.dumps(FLOW) + "\n") * 1000] * 50)
        for ignoring in ("", "trap '' PIPE; "):
            done = subprocess.run(["bash", "-c", ignoring + '"$@" | head -n 1; exit "${PIPESTATUS[0]}"', "bash", LBCTL,
                                   "--socket", self.lbd.path, "conn", "list"], capture_output=True, timeout=30,
                                  check=False)
            self.assertEqual((done.returncode, done.stderr), (128 + signal.SIGPIPE, b""))
            self.assertTrue(done.stdout.startswith(b"BACKEND"))
            self.assertEqual(done.stdout.count(b"\n"), 1)

    def test_an_answer_that_comes_byte_by_byte_is_waited_for_no_longer_than_one_that_does_not_come(self):
        self.lbd.dripping = True
        for words in ("status", "service list -o json", "export --socket " + self.lbd.path):
            began = time.monotonic()
            code, out, err = self.run_lbctl("--timeout", "1", *words.split())
            self.assertEqual((code, out), (3, ""))
            self.assertTrue(err.endswith("has not answered within 1 s\n"), err)
            self.assertTrue(0.9 < time.monotonic() - began < 2)
        self.assertIn("may still be carried out", self.run_lbctl("--timeout", "1", "service", "del", "web")[2])

    def test_a_list_that_comes_byte_by_byte_ends_in_time_and_one_that_is_read_slowly_does_not(self):
        self.lbd.next_answer = (200, [" "] * 100)
        self.lbd.dripping = True
        began = time.monotonic()
        self.assertEqual(self.run_lbctl("--timeout", "1", "conn", "list")[0], 3)
        self.assertTrue(0.9 < time.monotonic() - began < 2)

        self.lbd.dripping = False
        self.lbd.next_answer = (200, [(json.dumps(FLOW) + "\n") * 1000] * 10)
        lbctl = subprocess.Popen([LBCTL, "--socket", self.lbd.path, "--timeout", "1", "conn", "list", "-o", "json"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(2)
        out, err = lbctl.communicate(timeout=30)
        self.assertEqual((lbctl.returncode, err, out.count(b"\n")), (0, b"", 10000))


if __name__ == "__main__":
    unittest.main()
