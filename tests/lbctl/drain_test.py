#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lbctl backend drain --wait and backend wait: what is shown meanwhile, and every way in which waiting ends."""
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time
import unittest

from fake_lbd import SERVICE, FakeLbd, error
from fixture import LBCTL, LbctlCase

CHANGED = "web/b1 weight 100 -> 50\n"  # what the canned answer to every change says
DRAINED = {"state": "drained", "remaining": 0, "complete": True, "watched_seconds": 5.1, "last_packet_seconds": 3.2}
DRAINED_TEXT = "web/b1: drained, 0 flows remain, watched 5s, last packet of an old flow 3s ago\n"
TWO = "web/b1: 2 flows remain, watched 2s, last packet of an old flow 0s ago\n"
GONE = (404, error("not_found", 'there is no backend "web/b1"'))
WITHOUT_B1 = {**SERVICE, "backends": SERVICE["backends"][1:]}
WAIT = ("backend", "wait", "web/b1", "--for", "drained")
DRAIN = ("backend", "drain", "web/b1", "--wait")


class DrainTest(LbctlCase):
    def timed(self, *words):
        began = time.monotonic()
        return *self.run_lbctl(*words), time.monotonic() - began

    def start(self, *words, stderr=subprocess.PIPE):
        """lbctl as a process that hears signals, whatever the caller of this test ignores."""
        def hear():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)

        lbctl = subprocess.Popen([LBCTL, "--socket", self.lbd.path, *words], stdout=subprocess.PIPE, stderr=stderr,
                                 preexec_fn=hear)
        for clean_up in (lbctl.stdout.close, lbctl.stderr.close if lbctl.stderr else lambda: None, lbctl.wait,
                         lbctl.kill):
            self.addCleanup(clean_up)
        return lbctl

    def test_what_remains_is_a_line_on_stderr_for_each_change_and_the_end_is_on_stdout(self):
        self.lbd.drains = [{}, {"watched_seconds": 2.1}, {"remaining": 1, "watched_seconds": 2.5},
                           {"remaining": 1, "deadline_seconds_left": 7}, {**DRAINED, "complete": False}]
        code, out, err = self.run_lbctl(*DRAIN)
        self.assertEqual((code, out), (0, CHANGED + DRAINED_TEXT + (
            "flows that were silent since the drain began are not in the count; with track \"all\" for "
            "longer than idle every one is\n")))
        self.assertEqual(err, TWO + "web/b1: 1 flow remains, watched 2s, last packet of an old flow 0s ago\n")
        self.assertEqual([asked[:2] for asked in self.lbd.asked][1:],
                         [("GET", "/v1/services/web/backends/b1/drain")] * 5)

    def test_a_complete_count_says_no_more_than_drained(self):
        self.lbd.drains = [{**DRAINED, "last_packet_seconds": None}]
        self.assertEqual(self.run_lbctl(*WAIT),
                         (0, "web/b1: drained, 0 flows remain, watched 5s, no packet of an old flow seen\n", ""))

    def test_a_terminal_shows_one_line_that_is_written_over_and_cut_to_its_width(self):
        self.lbd.drains = [{"remaining": 1000}, {"watched_seconds": 3}, DRAINED]
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 31, 0, 0))
        lbctl = self.start(*WAIT, stderr=theirs)
        os.close(theirs)
        self.assertEqual((lbctl.stdout.read().decode(), lbctl.wait(30)), (DRAINED_TEXT, 0))
        shown = b""
        with contextlib.suppress(OSError):  # the other end has been closed
            while block := os.read(ours, 1000):
                shown += block
        lines = [line for line in shown.decode().split("\r") if line.strip()]
        self.assertEqual(lines, ["web/b1: 1000 flows remain, wat", "web/b1: 2 flows remain, watche"])
        self.assertNotIn(b"\n", shown)
        self.assertTrue(shown.endswith(b" \r"), shown)

    def test_the_deadline_is_exit_3_and_tells_what_became_of_the_rest(self):
        for end, said in [({"remaining": 0, "reset": 2}, "2 flows reset"), ({"remaining": 1}, "1 flow left"),
                          ({"remaining": 0, "watched_seconds": 3, "watch_seconds": 5},
                           "0 flows left, but watched for 3s of 5s only")]:
            self.lbd.drains = [{"deadline_seconds_left": 0.4}, {"state": "deadline", **end}]
            code, out, err = self.run_lbctl(*DRAIN, "--deadline", "2s", "--force-after")
            self.assertEqual((code, out), (3, CHANGED))
            self.assertEqual(err, TWO[:-1] + ", deadline in 0s\nlbctl: web/b1: the deadline has come, " + said + "\n")

    def test_waiting_ends_with_its_own_timeout_or_when_the_drain_is_taken_back(self):
        self.lbd.drains = [{}]
        code, out, err, took = self.timed(*WAIT, "--timeout", "1s")
        self.assertEqual((code, out, err), (3, "", TWO + "lbctl: web/b1: not drained within 1 s, 2 flows left\n"))
        self.assertTrue(0.9 < took < 2, took)
        self.lbd.drains = [{}, {"state": "none"}]
        self.assertEqual(self.run_lbctl(*WAIT), (1, "", TWO + "lbctl: web/b1 is no longer being drained\n"))
        self.lbd.drains = [{"state": "none"}]
        code, _, err = self.run_lbctl(*WAIT)
        self.assertEqual((code, err), (1, "lbctl: web/b1 is not being drained; `lbctl backend drain` does it\n"))
        self.lbd.drains = [GONE]
        self.assertEqual(self.run_lbctl(*WAIT), (1, "", 'lbctl: there is no backend "web/b1"\n'))

    def test_the_time_is_over_also_when_lbd_goes_on_watching_after_the_deadline(self):
        self.lbd.drains = [{"deadline_seconds_left": 0}]
        code, out, err, took = self.timed(*DRAIN, "--deadline", "60s")
        self.assertEqual((code, out), (3, CHANGED))
        self.assertTrue(err.endswith("lbctl: web/b1: the deadline has come, 2 flows left\n"), err)
        self.assertLess(took, 3)

    def test_an_lbd_that_answers_no_more_is_waited_for_until_the_deadline_and_not_longer(self):
        self.addCleanup(self.lbd.silent_until.set)
        self.lbd.silent.set()
        code, out, err, took = self.timed(*DRAIN, "--deadline", "1s")  # not even to the order
        self.assertEqual((code, out), (3, ""))
        self.assertLess(took, 3)
        code, out, err, took = self.timed(*WAIT, "--timeout", "2s")
        self.assertEqual((code, out), (3, ""))
        self.assertTrue(err.endswith("not drained within 2 s; lbd has not said how many flows are left\n"), err)
        self.assertEqual(err.count("asking again"), 1)
        self.assertTrue(1.9 < took < 3.2, took)

        self.lbd.silent.clear()
        self.lbd.drains = [{"deadline_seconds_left": 3}]
        lbctl = self.start(*DRAIN, "--deadline", "3s")
        began = time.monotonic()
        self.assertIn(b"2 flows remain", lbctl.stderr.readline())
        self.lbd.silent.set()
        err = lbctl.communicate(timeout=30)[1].decode()
        self.assertEqual(lbctl.returncode, 3)
        self.assertRegex(err, r"\nlbctl: web/b1: the deadline has come, 2 flows left, when lbd last answered, [345] s "
                              r"ago\n\Z")
        self.assertTrue(2.5 < time.monotonic() - began < 4.5)

    def test_waiting_bears_a_restart_of_lbd_and_says_so_once(self):
        self.lbd.drains = [{}, (200, None), (503, error("internal", "64 connections are open")), {}, DRAINED]
        code, out, err = self.run_lbctl(*WAIT)
        self.assertEqual((code, out), (0, DRAINED_TEXT))
        self.assertEqual(err.count("\n"), 2)
        self.assertRegex(err.splitlines()[1], r"\Albd on .* closed the connection .*; asking again\Z")

        self.lbd.drains = [(200, None), DRAINED]  # after the order
        self.assertEqual(self.run_lbctl(*DRAIN)[:2], (0, CHANGED + DRAINED_TEXT))

        self.lbd.drains = [{}]
        lbctl = self.start(*DRAIN, "--deadline", "20s")
        self.assertIn(b"2 flows remain", lbctl.stderr.readline())
        self.lbd.shutdown()
        self.lbd.server_close()
        self.assertIn(b"nothing listens there", lbctl.stderr.readline())
        os.unlink(self.lbd.path)
        time.sleep(0.6)
        self.lbd = FakeLbd(self.directory)
        self.addCleanup(self.lbd.server_close)
        self.addCleanup(self.lbd.shutdown)
        self.lbd.drains = [DRAINED]
        out, err = lbctl.communicate(timeout=30)
        self.assertEqual((lbctl.returncode, out.decode(), err), (0, CHANGED + DRAINED_TEXT, b""))

    def test_without_a_deadline_lbd_may_be_away_for_the_time_of_one_question(self):
        self.lbd.drains = [{}, (200, None)]
        code, _, err, took = self.timed("--timeout", "1", *WAIT)
        self.assertEqual((code, err.count("closed the connection")), (4, 2))
        self.assertTrue(0.9 < took < 3, took)
        self.assertEqual(self.run_lbctl(*WAIT, "--timeout", "1h", socket_path="/nowhere.sock")[0], 4)

    def test_a_backend_that_is_gone_has_been_removed_when_that_was_ordered(self):
        self.lbd.drains = [{"remaining": 0}, GONE]
        self.assertEqual(self.run_lbctl(*DRAIN, "--then", "remove"),
                         (0, CHANGED + "web/b1: removed\n", TWO.replace("2 flows", "0 flows")))
        self.lbd.drains = [{}, GONE]
        self.assertEqual(self.run_lbctl(*DRAIN, "--then", "remove"), (1, CHANGED, TWO + (
            "lbctl: web/b1 has been removed before it was drained: 2 flows remained when lbd last counted\n")))
        unknown = "lbctl: web/b1 is gone, and lbd does not know how its drain ended\n"
        self.lbd.drains = [GONE]
        self.assertEqual(self.run_lbctl(*DRAIN, "--then", "remove", "--deadline", "9s", "--force-after"),
                         (1, CHANGED, unknown))
        self.assertEqual(self.run_lbctl(*DRAIN), (1, CHANGED, unknown))
        self.lbd.drains = [{}, GONE]
        self.assertEqual(self.run_lbctl(*WAIT), (1, "", TWO + unknown))

    def test_a_backend_that_is_gone_after_the_deadline_may_have_been_reset(self):
        self.lbd.drains = [{"deadline_seconds_left": 0.1}, GONE]
        code, _, err = self.run_lbctl(*DRAIN, "--then", "remove", "--deadline", "1s", "--force-after")
        self.assertEqual(code, 3)
        self.assertTrue(err.endswith("lbctl: web/b1: removed at the deadline; lbd does not know how many flows it has "
                                     "reset\n"), err)
        self.lbd.drains = [{"deadline_seconds_left": 0.1}, GONE]
        self.assertEqual(self.run_lbctl(*DRAIN, "--then", "remove", "--deadline", "1s")[0], 1)

    def test_then_remove_waits_until_the_backend_is_removed(self):
        self.lbd.drains = [DRAINED]
        self.lbd.services = [SERVICE, SERVICE, WITHOUT_B1]
        self.assertEqual(self.run_lbctl(*DRAIN, "--then", "remove")[:2],
                         (0, CHANGED + DRAINED_TEXT + "web/b1: removed\n"))
        self.lbd.services = [SERVICE]
        self.lbd.drains = [{"deadline_seconds_left": 0.5}, DRAINED]
        code, out, err, took = self.timed(*DRAIN, "--then", "remove", "--deadline", "1s")
        self.assertEqual((code, out), (3, CHANGED + DRAINED_TEXT))
        self.assertTrue(err.endswith("lbctl: web/b1: drained, but not removed yet; lbd goes on trying\n"), err)
        self.assertLess(took, 2.5)

    def test_wait_for_removed_ends_when_the_backend_or_its_service_is_gone(self):
        words = ("backend", "wait", "web/b1", "--for", "removed")
        for last in (WITHOUT_B1, GONE):
            self.lbd.services = [SERVICE, SERVICE, last]
            self.assertEqual(self.run_lbctl(*words), (0, "web/b1: removed\n", "web/b1: is there, active\n"))
        self.lbd.services = [SERVICE]
        code, out, err = self.run_lbctl(*words, "--timeout", "1s")
        self.assertEqual((code, out), (3, ""))
        self.assertTrue(err.endswith("lbctl: web/b1: not removed within 1 s\n"), err)
        self.lbd.services = [GONE]
        self.assertEqual(self.run_lbctl(*words)[0], 1)

    def test_a_number_is_shown_when_lbd_has_counted_and_not_before(self):
        self.lbd.drains = [{"counted": False, "remaining": 0}, {}, DRAINED]
        self.assertEqual(self.run_lbctl(*WAIT), (0, DRAINED_TEXT, "web/b1: flows are being counted\n" + TWO))

    def test_a_signal_ends_the_waiting_and_not_the_drain(self):
        self.lbd.drains = [{}]
        for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            lbctl = self.start(*DRAIN)
            self.assertIn(b"2 flows remain", lbctl.stderr.readline())
            lbctl.send_signal(number)
            self.assertEqual(lbctl.wait(30), code)
            self.assertEqual(lbctl.stderr.read().decode(),
                             "lbctl: no longer waiting; the drain of web/b1 goes on, `lbctl backend undrain web/b1` "
                             "takes it back\n")
            self.assertEqual(lbctl.stdout.read().decode(), CHANGED)
        self.assertEqual([asked[0] for asked in self.lbd.asked if asked[0] != "GET"], ["PATCH"] * 2)

    def test_a_signal_that_is_ignored_stays_so(self):
        self.lbd.drains = [{}, {}, {}, DRAINED]
        ignoring = "trap '' INT; exec \"$@\""
        lbctl = subprocess.Popen(["sh", "-c", ignoring, "sh", LBCTL, "--socket", self.lbd.path, *WAIT],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertIn(b"2 flows remain", lbctl.stderr.readline())
        lbctl.send_signal(signal.SIGINT)
        self.assertEqual(lbctl.communicate(timeout=30)[0].decode(), DRAINED_TEXT)
        self.assertEqual(lbctl.returncode, 0)

    def test_a_refused_drain_is_exit_5_and_not_waited_for(self):
        self.lbd.next_answer = (412, error("refused", "last backend"))
        self.assertEqual(self.run_lbctl(*DRAIN), (5, "", "lbctl: last backend\n"))
        self.assertEqual(len(self.lbd.asked), 1)


if __name__ == "__main__":
    unittest.main()
