# SPDX-License-Identifier: Apache-2.0
"""An HTTP server on a Unix socket that answers from a table and remembers what it was asked."""
import http.server
import json
import os
import socketserver
import threading
import time

BACKEND = {
    "name": "b1", "address": "198.51.100.11:8080", "weight": 100, "effective_weight": 100, "admin": "active",
    "health": "unknown", "rows": 21845, "share": 0.33333, "mtu": 1480,
    "next_hop": {"state": "resolved", "interface": "l1", "gateway": "198.51.100.11", "mac": "02:00:00:00:00:04"},
    "packets": 12, "bytes": 3456, "return_packets": 10, "return_bytes": 9000, "connections": 2,
}
WAITING = {**BACKEND, "name": "b2", "address": "[2001:db8::12]:8080", "admin": "draining", "share": 0,
           "next_hop": {"state": "no_route", "interface": "", "gateway": "", "mac": ""}, "packets": 1, "bytes": 44}
SERVICE = {"name": "web", "vip": "tcp:203.0.113.10:80", "protocol": "tcp", "mode": "nat", "hash": "5tuple",
           "rows": 65536, "mss": 1400, "mtu": 1480, "effective_mss": 1400, "state": "ok", "track": "changes",
           "on_remove": "keep", "settle_seconds": 900, "idle_seconds": 5400, "idle_closing_seconds": 60,
           "backends": [BACKEND, WAITING]}
COUNTED = {"packets": 13, "bytes": 3500, "return_packets": 10, "return_bytes": 9000, "connections": 2}
STATUS = {"version": "9.9.9", "pid": 42, "uptime_seconds": 7, "services": 1, "backends": 2,
          "interfaces": [{"name": "l0", "ifindex": 3, "attached": "native", "mac": "02:00:00:00:00:02", "up": True}],
          "config_file": "/etc/weir/lb.toml", "generation": 5, "rows_used": 65536, "rows_limit": 8388608,
          "flows": {"entries": 12431, "capacity": 1048576, "embryos": 7, "embryo_capacity": 65536, "rows_moving": 144,
                    "rows_pinned": 3},
          "warnings": ["l1 runs in generic mode"]}
FLOW_COUNTED = {"flows_remembered": 1, "flows_reselected": 2, "flows_evicted_embryo": 3,
                "flows_evicted_established": 4, "flows_evicted_udp": 5, "flows_misrouted": 6, "flows_reset": 7}
STATS = {"verdicts": [
            {"name": "forwarded", "action": "redirect", "expected": True, "packets": 13, "bytes": 3500,
             "meaning": "sent to a backend"},
            {"name": "short_frame", "action": "drop", "expected": False, "packets": 0, "bytes": 0,
             "meaning": "frame ends inside a header"}],
         "services": [{"name": "web", **COUNTED, **FLOW_COUNTED}],
         "backends": [{"service": "web", "name": "b1", **COUNTED}]}
TRACE = {"verdict": "forwarded", "action": "redirect", "service": "web", "hash": 77, "row": 5, "backend": "b1",
         "address": "198.51.100.11:8080", "egress": "l1", "next_hop_mac": "02:00:00:00:00:04",
         "lines": ["service web", "row 5 of 65536"]}
FLOW = {"service": "web", "backend": "b1", "protocol": "tcp", "source": "192.0.2.1:40000",
        "destination": "203.0.113.10:80", "state": "established", "idle_seconds": 3.4, "row": 77}
FLOW6 = {**FLOW, "backend": "b2", "source": "[2001:db8::2]:9", "state": "new", "idle_seconds": 0.2, "row": 65535}
DRAIN = {"service": "web", "backend": "b1", "state": "watching", "remaining": 2, "complete": False,
         "watched_seconds": 1.5, "last_packet_seconds": 0.5, "deadline_seconds_left": None, "rows_open": 7, "reset": 0}
EFFECT = {"service": "web", "rows": 65536, "rows_moved": 144, "share": 144 / 65536, "flows_known": 12431,
          "flows_affected": 0, "complete": True}
DOCUMENTS = {"/v1/version": {"version": "9.9.9"}, "/v1/status": STATUS, "/v1/stats": STATS,
             "/v1/services": [SERVICE], "/v1/services/web": SERVICE, "/v1/trace": TRACE,
             "/v1/conns/count": {"count": 12, "by_backend": {"web/b1": 9, "web/b2": 3}}}


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
        status, document = self.scripted() or self.server.next_answer or self.look_up()
        if document is None:
            self.close_connection = True
            return
        if isinstance(document, list) and self.path.split("?")[0] == "/v1/conns":
            self.answer_in_chunks(document)
            return
        text = document if isinstance(document, str) else json.dumps(document)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        if self.server.dripping:
            for byte in text.encode():
                time.sleep(0.1)
                self.wfile.write(bytes([byte]))
            return
        self.wfile.write(text.encode())

    def scripted(self):
        """What a test has laid down for a question about the drain, or about the service."""
        script = self.server.drains if self.path.endswith("/drain") else None
        if self.path == "/v1/services/web" and self.command == "GET":
            script = self.server.services
        if not script:
            return None
        answer = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(answer, tuple):
            return answer
        return 200, {**DRAIN, **answer} if script is self.server.drains else answer

    def answer_in_chunks(self, pieces):
        """Each piece as a chunk of its own; None: the connection breaks off."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces + [""]:
            if piece is None:
                self.close_connection = True
                return
            if self.server.dripping:
                time.sleep(0.1)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece.encode()), piece.encode()))
            self.wfile.flush()

    def look_up(self):
        path = self.path.split("?")[0]
        if path == "/v1/conns":
            text = json.dumps(FLOW) + "\n" + json.dumps(FLOW6) + "\n"
            return 200, [text[:50], text[50:]]
        if path == "/v1/conns/kill":
            return 200, {"killed": 3}
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
        # What each question for the drain, and for the service, is answered, the last one from then on: what differs
        # from DRAIN, or the document; or (status, document), without a document the connection breaks off.
        self.drains = []
        self.services = []
        self.dripping = False  # a byte every tenth of a second
        self.silent = threading.Event()
        self.silent_until = threading.Event()
        super().__init__(self.path, Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
