#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real lbctl against a server of canned answers. Usage: LBCTL=path/to/lbctl lbctl_test.py

Long because each verb has its request, its print and its failures.
"""
import json
import os
import socket
import subprocess
import unittest

from fake_lbd import EFFECT, SERVICE, STATUS, error
from fixture import LBCTL, LbctlCase

BACKEND_LIST = """\
SERVICE  NAME  ADDRESS              WEIGHT  ADMIN     ROWS%  NEXT-HOP              PACKETS  BYTES  CONNS
web      b1    198.51.100.11:8080      100  active     33.3  l1/02:00:00:00:00:04       12   3456      2
web      b2    [2001:db8::12]:8080     100  draining    0.0  no_route                    1     44      2
"""


class LbctlTest(LbctlCase):
    def test_each_mutating_verb_sends_its_request_and_prints_what_changed(self):
        web, b1 = "/v1/services/web", "/v1/services/web/backends/b1"
        for words, method, target, body in [
                ("service add web --vip tcp:203.0.113.10:80 --mode nat", "PUT", web,
                 {"vip": "tcp:203.0.113.10:80", "mode": "nat"}),
                ("service add web --vip udp:[2001:db8::1]:53 --mode l2dsr --hash source --rows 1024", "PUT", web,
                 {"vip": "udp:[2001:db8::1]:53", "mode": "l2dsr", "hash": "source", "rows": 1024}),
                ("service add web --vip tcp:203.0.113.10:0 --mode gue --mss 1400", "PUT", web,
                 {"vip": "tcp:203.0.113.10:0", "mode": "gue", "mss": 1400}),
                ("service set web --hash source", "PATCH", web, {"hash": "source"}),
                ("service set web --mss 0", "PATCH", web, {"mss": 0}),
                ("service set web --mss abc", "PATCH", web, {"mss": "abc"}),
                ("service set web --rows 256 --dry-run", "PATCH", web + "?dry-run=true", {"rows": 256}),
                ("service del web --force", "DELETE", web + "?force=true", None),
                ("backend add web 198.51.100.11:8080", "PUT", web + "/backends/-", {"address": "198.51.100.11:8080"}),
                ("backend add web [2001:db8::11]:80 --name b1 --weight 5 --force --dry-run", "PUT",
                 b1 + "?force=true&dry-run=true", {"address": "[2001:db8::11]:80", "weight": 5}),
                ("backend set web/b1 --weight 50", "PATCH", b1, {"weight": 50}),
                ("backend set web/b1 --weight -1", "PATCH", b1, {"weight": -1}),
                ("backend set web/b1 --weight 1.5", "PATCH", b1, {"weight": 1.5}),
                ("backend set web/b1 --weight abc", "PATCH", b1, {"weight": "abc"}),
                ("backend drain web/b1", "PATCH", b1, {"admin": "draining"}),
                ("backend drain web/b1 --deadline 10m --then remove --force-after --watch 7s", "PATCH", b1,
                 {"admin": "draining", "drain": {"deadline_seconds": 600, "then": "remove", "force_after": True,
                                                 "watch_seconds": 7}}),
                ("backend drain web/b1 --deadline 90", "PATCH", b1,
                 {"admin": "draining", "drain": {"deadline_seconds": 90}}),
                ("backend drain web/b1 --wait --dry-run", "PATCH", b1 + "?dry-run=true", {"admin": "draining"}),
                ("service set web --track all --on-remove reset --settle 10m --idle 1h30m --idle-closing 5", "PATCH",
                 web, {"track": "all", "on_remove": "reset", "settle_seconds": 600, "idle_seconds": 5400,
                       "idle_closing_seconds": 5}),
                ("service add web --vip tcp:203.0.113.10:80 --mode nat --track some --idle 2s", "PUT", web,
                 {"vip": "tcp:203.0.113.10:80", "mode": "nat", "track": "some", "idle_seconds": 2}),
                ("backend undrain web/b1", "PATCH", b1, {"admin": "active"}),
                ("backend maint web/b1", "PATCH", b1, {"admin": "maint"}),
                ("backend del web/b1 --force", "DELETE", b1 + "?force=true", None),
                ("detach", "POST", "/v1/detach", None),
                ("detach --dry-run", "POST", "/v1/detach?dry-run=true", None)]:
            self.assertEqual(self.check_request(words, method, target, body), "web/b1 weight 100 -> 50\n")

    def test_nothing_to_do_is_no_change_and_success(self):
        self.lbd.next_answer = (200, {"changed": False, "lines": []})
        self.assertEqual(self.run_lbctl("backend", "drain", "web/b1"), (0, "no change\n", ""))

    def test_errors_of_lbd_are_one_line_on_stderr_with_the_exit_code_of_their_fault(self):
        for fault, status, code in [("invalid", 400, 1), ("not_found", 404, 1), ("conflict", 409, 1),
                                    ("internal", 500, 1), ("refused", 412, 5)]:
            self.lbd.next_answer = (status, error(fault, "that cannot be"))
            self.assertEqual(self.run_lbctl("service", "del", "web"), (code, "", "lbctl: that cannot be\n"))

    def test_answers_that_lbd_would_not_give_are_a_failure_with_a_sentence(self):
        for answer in [(200, "[[["), (200, {"lines": 5}), (200, {}), (502, "bad gateway"), (404, {"error": "x"}),
                       (200, "[]"), (204, "")]:
            self.lbd.next_answer = answer
            code, out, err = self.run_lbctl("service", "del", "web")
            self.assertEqual((code, out), (1, ""), answer)
            self.assertRegex(err, r"\Albctl: .*\n\Z", answer)
        self.lbd.next_answer = (200, {"interfaces": [[]], "warnings": [1]})
        self.assertEqual(self.run_lbctl("status")[0], 1)

    def test_an_unreachable_daemon_is_exit_4_with_the_path_and_the_reason(self):
        nowhere = os.path.join(self.directory, "none.sock")
        code, out, err = self.run_lbctl("status", socket_path=nowhere)
        self.assertEqual((code, out), (4, ""))
        self.assertTrue(err.startswith(f"lbctl: lbd cannot be reached on {nowhere}: there is no such socket; is "), err)

        dead = os.path.join(self.directory, "dead.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(dead)
        code, _, err = self.run_lbctl("status", socket_path=dead)
        self.assertEqual(code, 4)
        self.assertIn("nothing listens there", err)

        code, _, err = self.run_lbctl("status", "--socket", "/tmp/" + "x" * 200)
        self.assertEqual(code, 4)
        self.assertIn("1..107", err)

    def test_a_peer_that_speaks_no_http_or_hangs_up_is_exit_4(self):
        for said, expected in [(b"SSH-2.0-x\r\n\r\n", "does not speak HTTP"), (b"", "closed the connection"),
                               (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "closed the connection")]:
            path = os.path.join(self.directory, "odd.sock")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen()
                lbctl = subprocess.Popen([LBCTL, "--socket", path, "status"], stderr=subprocess.PIPE)
                peer = listener.accept()[0]
                peer.recv(65536)
                peer.sendall(said)
                peer.close()
                err = lbctl.communicate(timeout=30)[1].decode()
            os.unlink(path)
            self.assertEqual(lbctl.returncode, 4, err)
            self.assertIn(expected, err)

    def test_a_refusal_that_comes_before_the_request_is_sent_is_still_reported(self):
        path = os.path.join(self.directory, "early.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            lbctl = subprocess.Popen([LBCTL, "--socket", path, "apply", "-f", "-"], stdin=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
            lbctl.stdin.write(b"#" * 8_000_000)
            lbctl.stdin.close()
            lbctl.stdin = None
            peer = listener.accept()[0]
            peer.recv(1000)
            text = json.dumps(error("invalid", "too large")).encode()
            peer.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
            peer.close()
            err = lbctl.communicate(timeout=30)[1].decode()
        self.assertEqual((lbctl.returncode, err), (1, "lbctl: too large\n"))

    def test_no_answer_in_time_is_exit_3(self):
        self.lbd.silent.set()
        self.addCleanup(self.lbd.silent_until.set)
        code, out, err = self.run_lbctl("--timeout", "1", "backend", "drain", "web/b1")
        self.assertEqual((code, out), (3, ""))
        self.assertIn("has not answered within 1 s", err)

    def test_wrong_usage_is_exit_2_and_asks_nobody(self):
        for words in ["", "web", "service", "service frob", "service add", "service add web --mode nat",
                      "service set web", "service show", "service list -o yaml", "service list extra",
                      "backend set web/b1", "backend set web --weight 1", "backend drain web", "backend drain /b1",
                      "backend drain web/", "backend drain a/b/c", "backend add web", "trace tcp",
                      "trace tcp 1.2.3.4:5", "apply", "diff", "conn", "conn kill", "conn find tcp 1.2.3.4:5",
                      "conn find icmp 1.2.3.4:5 1.2.3.4:5", "conn list --backend b1", "conn list --protocol icmp",
                      "backend drain web/b1 --force-after", "backend drain web/b1 --deadline 10x",
                      "backend drain web/b1 --then stop", "backend wait web/b1", "backend wait web/b1 --for ever",
                      "backend wait web/b1 --for drained --timeout soon", "service set web --idle 1h1h",
                      "status --frob", "--timeout 0 status", "backend list --dry-run",
                      "status status"]:
            code, out, err = self.run_lbctl(*words.split())
            self.assertEqual((code, out), (2, ""), words)
            self.assertRegex(err, r"\Albctl: [^\n]+\(see lbctl.* --help\)\n\Z", words)
        code, _, err = self.run_lbctl("service", "show", "")
        self.assertEqual(code, 2, err)
        self.assertEqual(self.lbd.asked, [])

    def test_names_that_are_verbs_or_odd_are_taken_as_names(self):
        self.check_request("service del list", "DELETE", "/v1/services/list")
        self.check_request("backend del show/drain", "DELETE", "/v1/services/show/backends/drain")
        self.check_request("service del a?b#%/..", "DELETE", "/v1/services/a%3Fb%23%25%2F..")

    def test_help_of_every_verb_has_an_example(self):
        verbs = {"service": ["add", "set", "del", "list", "show"],
                 "backend": ["add", "set", "drain", "wait", "undrain", "maint", "del", "list"],
                 "conn": ["list", "count", "find", "kill"]}
        lines = [[noun, verb] for noun, list_ in verbs.items() for verb in list_]
        alone = ["status", "version", "stats", "detach", "export", "apply", "diff", "trace"]
        for words in lines + [[verb] for verb in alone]:
            code, out, err = self.run_lbctl(*words, "--help")
            self.assertEqual((code, err), (0, ""), words)
            self.assertIn("Example:\n  lbctl " + " ".join(words), out)

    def test_backend_list_has_its_columns_aligned(self):
        code, out, _ = self.run_lbctl("backend", "list")
        self.assertEqual(code, 0)
        self.assertEqual(out, BACKEND_LIST)
        self.assertEqual(self.asked()[1], "/v1/services")
        self.assertEqual(self.run_lbctl("backend", "list", "web")[1], out)
        self.assertEqual(self.asked()[1], "/v1/services/web")

    def test_service_list_has_its_columns_aligned(self):
        self.assertEqual(self.run_lbctl("service", "list"), (0, (
            "NAME  VIP                  MODE  HASH    BACKENDS   ROWS  PACKETS  BYTES  CONNS\n"
            "web   tcp:203.0.113.10:80  nat   5tuple         2  65536       13   3500      4\n"), ""))

    def test_service_show_tells_mtu_and_mss_and_dashes_while_they_are_unknown(self):
        code, out, _ = self.run_lbctl("service", "show", "web")
        self.assertEqual((code, out), (0, (
            "NAME  VIP                  MODE  HASH    BACKENDS   ROWS   MTU   MSS  PACKETS  BYTES  CONNS\n"
            "web   tcp:203.0.113.10:80  nat   5tuple         2  65536  1480  1400       13   3500      4\n\n"
            "TRACK    ON-REMOVE  SETTLE   IDLE  IDLE-CLOSING\n"
            "changes  keep          15m  1h30m            1m\n\n")
            + BACKEND_LIST))
        self.lbd.next_answer = (200, {**SERVICE, "mtu": None, "effective_mss": None, "backends": []})
        line = self.run_lbctl("service", "show", "web", "--no-headers")[1].splitlines()[0]
        self.assertEqual(line.split(), ["web", "tcp:203.0.113.10:80", "nat", "5tuple", "0", "65536", "-", "-", "0", "0",
                                        "0"])

    def test_no_headers_leaves_only_rows(self):
        for noun, rows in [("service", 1), ("backend", 2)]:
            out = self.run_lbctl(noun, "list", "--no-headers")[1]
            self.assertEqual(len(out.splitlines()), rows)
            self.assertNotIn("NAME", out)

    def test_lists_of_nothing_are_headers_or_empty(self):
        self.lbd.next_answer = (200, [])
        self.assertEqual(self.run_lbctl("service", "list", "--no-headers"), (0, "", ""))
        self.assertEqual(json.loads(self.run_lbctl("backend", "list", "-o", "json")[1]), [])

    def test_json_output_is_lbds_document(self):
        self.assertEqual(json.loads(self.run_lbctl("service", "list", "-o", "json")[1]), [SERVICE])
        self.assertEqual(json.loads(self.run_lbctl("service", "show", "web", "-o", "json")[1]), SERVICE)
        self.assertEqual(json.loads(self.run_lbctl("status", "-o", "json")[1]), STATUS)
        backends = json.loads(self.run_lbctl("backend", "list", "-o", "json")[1])
        self.assertEqual(backends, [{**b, "service": "web"} for b in SERVICE["backends"]])
        self.assertEqual(json.loads(self.run_lbctl("stats", "-o", "json")[1])["verdicts"][1]["name"], "short_frame")
        trace = self.run_lbctl("trace", "tcp", "192.0.2.1:9", "203.0.113.10:80", "-o", "json")[1]
        self.assertEqual(json.loads(trace)["row"], 5)

    def test_status_shows_interfaces_and_warnings(self):
        out = self.run_lbctl("status")[1]
        self.assertIn("l0", out)
        self.assertIn("native", out)
        self.assertIn("warning: l1 runs in generic mode\n", out)

    def test_stats_leaves_out_verdicts_without_packets_unless_all(self):
        self.assertNotIn("short_frame", self.run_lbctl("stats")[1])
        out = self.run_lbctl("stats", "--all")[1]
        self.assertIn("short_frame", out)
        self.assertIn("frame ends inside a header\n", out)

    def test_trace_prints_its_steps_and_then_the_result(self):
        code, out, _ = self.run_lbctl("trace", "tcp", "[2001:db8::2]:9", "[2001:db8::1]:80", "--syn")
        self.assertEqual(code, 0)
        self.assertEqual(out.splitlines()[:2], ["service web", "row 5 of 65536"])
        self.assertEqual(out.splitlines()[-1], "result: forwarded (redirect), web/b1 at 198.51.100.11:8080 "
                                               "through l1 to 02:00:00:00:00:04")
        self.assertEqual(self.asked()[1], "/v1/trace?protocol=tcp&source=%5B2001%3Adb8%3A%3A2%5D%3A9"
                                          "&destination=%5B2001%3Adb8%3A%3A1%5D%3A80&syn=true")

    def test_status_and_stats_tell_of_remembered_flows(self):
        self.assertIn("12431 of 1048576 flow entries, 7 of 65536 embryos, 144 rows moving, 3 pinned\n",
                      self.run_lbctl("status")[1])
        lines = [line.split() for line in self.run_lbctl("stats")[1].splitlines()]
        self.assertIn(["SERVICE", "REMEMBERED", "RESELECTED", "EVICTED-EMBRYO", "EVICTED-ESTABLISHED", "EVICTED-UDP",
                       "MISROUTED", "RESET"], lines)
        self.assertIn(["web", "1", "2", "3", "4", "5", "6", "7"], lines)

    def test_a_dry_run_prints_its_effects_after_what_would_change(self):
        self.lbd.next_answer = (200, {"changed": True, "lines": ["web/b3 added"], "effects": [EFFECT, {
            **EFFECT, "service": "dns", "rows_moved": 65536, "share": 1, "flows_affected": 5, "complete": False}]})
        expected = ("web/b3 added\n"
                    "web: moves 0.22 % of rows (144 of 65536), affects 0 of 12431 known flows\n"
                    "dns: moves 100.00 % of rows (65536 of 65536), affects 5 of 12431 known flows, and may affect "
                    "flows that are not remembered\n")
        self.assertEqual(self.run_lbctl("backend", "del", "web/b3", "--dry-run"), (0, expected, ""))
        self.lbd.asked.clear()
        self.assertEqual(self.run_lbctl("diff", "-f", "-", stdin=b"# x\n"), (0, expected, ""))
        self.assertEqual(self.asked(), ("POST", "/v1/diff?file=stdin", "# x\n"))
        document = json.loads(self.run_lbctl("diff", "-f", "-", "-o", "json", stdin=b"")[1])
        self.assertEqual(document["effects"][0], EFFECT)

    def test_apply_sends_the_file_and_its_name(self):
        path = os.path.join(self.directory, "my lb.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("interfaces = []\n")
        code, out, _ = self.run_lbctl("apply", "-f", path, "--dry-run")
        self.assertEqual((code, out), (0, "web/b1 weight 100 -> 50\n"))
        method, target, body = self.asked()
        self.assertEqual((method, body), ("POST", "interfaces = []\n"))
        self.assertTrue(target.endswith("my%20lb.toml&dry-run=true"), target)

        self.assertEqual(self.run_lbctl("apply", "-f", "-", stdin=b"# x\n")[0], 0)
        self.assertEqual(self.asked(), ("POST", "/v1/apply?file=stdin", "# x\n"))

    def test_a_file_that_cannot_be_read_is_named(self):
        missing = os.path.join(self.directory, "none.toml")
        self.assertEqual(self.run_lbctl("apply", "-f", missing),
                         (1, "", f"lbctl: {missing} cannot be read: No such file or directory\n"))
        self.assertEqual(self.run_lbctl("apply", "-f", self.directory),
                         (1, "", f"lbctl: {self.directory} cannot be read: Is a directory\n"))
        self.assertEqual(self.lbd.asked, [])

    def test_export_prints_the_configuration_as_it_is(self):
        self.assertEqual(self.run_lbctl("export"), (0, 'interfaces = ["l0"]\n', ""))

    def test_version_prints_both_and_its_own_when_lbd_is_not_there(self):
        code, out, _ = self.run_lbctl("version")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"\Albctl \d+\.\d+\.\d+\nlbd 9\.9\.9\n\Z")
        code, out, err = self.run_lbctl("version", socket_path="/nowhere.sock")
        self.assertEqual(code, 4)
        self.assertRegex(out, r"\Albctl \d+\.\d+\.\d+\n\Z")
        self.assertIn("cannot be reached", err)
        self.assertEqual(self.run_lbctl("--version")[1], out)

    def test_the_socket_option_wins_over_the_environment_and_may_come_last(self):
        for words in [("--socket", self.lbd.path, "status"), ("status", "--socket", self.lbd.path),
                      ("service", "list", "--socket", self.lbd.path)]:
            self.assertEqual(self.run_lbctl(*words, environment={"WEIR_SOCKET": "/nowhere.sock"})[0], 0, words)

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([LBCTL, "--socket", self.lbd.path, "service", "list"], stdout=full,
                                  stderr=subprocess.PIPE, timeout=30, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output cannot be written", done.stderr)


if __name__ == "__main__":
    unittest.main()
