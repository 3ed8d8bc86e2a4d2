# SPDX-License-Identifier: Apache-2.0
"""An HTTP server on a Unix socket that answers from a table and remembers what it was asked."""
import http.server
import json
import os
import socketserver
import threading

BACKEND = {
    "name": "b1", "address": "198.51.100.11:8080", "weight": 100, "effective_weight": 100, "admin": "active",
    "health": "unknown", "rows": 21845, "share": 0.33333, "mtu": 1480,
    "next_hop": {"state": "resolved", "interface": "l1", "gateway": "198.51.100.11", "mac": "02:00:00:00:00:04"},
    "packets": 12, "bytes": 3456, "return_packets": 10, "return_bytes": 9000, "connections": 2,
}
WAITING = {**BACKEND, "name": "b2", "address": "[2001:db8::12]:8080", "admin": "draining", "share": 0,
           "next_hop": {"state": "no_route", "interface": "", "gateway": "", "mac": ""}, "packets": 1, "bytes": 44}
SERVICE = {"name": "web", "vip": "tcp:203.0.113.10:80", "protocol": "tcp", "mode": "nat", "hash": "5tuple",
           "rows": 65536, "mss": 1400, "mtu": 1480, "effective_mss": 1400, "state": "ok",
           "backends": [BACKEND, WAITING]}
COUNTED = {"packets": 13, "bytes": 3500, "return_packets": 10, "return_bytes": 9000, "connections": 2}
STATUS = {"version": "9.9.9", "pid": 42, "uptime_seconds": 7, "services": 1, "backends": 2,
          "interfaces": [{"name": "l0", "ifindex": 3, "attached": "native", "mac": "02:00:00:00:00:02", "up": True}],
          "config_file": "/etc/weir/lb.toml", "generation": 5, "rows_used": 65536, "rows_limit": 8388608,
          "warnings": ["l1 runs in generic mode"]}
STATS = {"verdicts": [
            {"name": "forwarded", "action": "redirect", "expected": True, "packets": 13, "bytes": 3500,
             "meaning": "sent to a backend"},
            {"name": "short_frame", "action": "drop", "expected": False, "packets": 0, "bytes": 0,
             "meaning": "frame ends inside a header"}],
         "services": [{"name": "web", **COUNTED}], "backends": [{"service": "web", "name": "b1", **COUNTED}]}
TRACE = {"verdict": "forwarded", "action": "redirect", "service": "web", "hash": 77, "row": 5, "backend": "b1",
         "address": "198.51.100.11:8080", "egress": "l1", "next_hop_mac": "02:00:00:00:00:04",
         "lines": ["service web", "row 5 of 65536"]}
DOCUMENTS = {"/v1/version": {"version": "9.9.9"}, "/v1/status": STATUS, "/v1/stats": STATS,
             "/v1/services": [SERVICE], "/v1/services/web": SERVICE, "/v1/trace": TRACE}


def error(fault, message):
    return {"error": {"fault": fault, "message": message}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.asked.append((self.command, self.path, body))
        if self.server.silent.is_set():
            self.server.silent_until.wait(10)
            return
        status, document = self.server.next_answer or self.look_up()
        text = document if isinstance(document, str) else json.dumps(document)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def look_up(self):
        path = self.path.split("?")[0]
        if self.command != "GET":
            return 200, {"changed": True, "lines": ["web/b1 weight 100 -> 50"]}
        if path == "/v1/export":
            return 200, 'interfaces = ["l0"]\n'
        if path in DOCUMENTS:
            return 200, DOCUMENTS[path]
        return 404, error("not_found", f"no such path: {path}")

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST = answer

    def log_message(self, *_):
        pass

    def address_string(self):
        return "unix"


class FakeLbd(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, directory):
        self.path = os.path.join(directory, "lbd.sock")
        self.asked = []
        self.next_answer = None
        self.silent = threading.Event()
        self.silent_until = threading.Event()
        super().__init__(self.path, Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
