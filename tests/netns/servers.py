# SPDX-License-Identifier: Apache-2.0
"""The real servers of the bed: nginx and sshd on every backend, and small in-process ones for UDP and WebSocket."""

import asyncio
import contextlib
import hashlib
import pathlib
import random
import socket
import threading
import time

import bed as beds

HTTP_PORTS, TLS_PORT, SSH_PORT = (80, 8080), 8443, 22
SMALL_SIZE, LARGE_SIZE = 64 * 1024, 20 * 1024 * 1024

NGINX = """\
# `/` answers the backend's name; PUT /upload/NAME stores a body.
daemon on;
user root;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  log_format peers '$remote_addr $remote_port $server_addr $server_port $uri $status';
  access_log {dir}/access.log peers;
  default_type application/octet-stream;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  client_max_body_size 64m;
  keepalive_timeout 300s;
  keepalive_requests 10000000;
  server {{
    listen 80; listen 8080; listen [::]:80; listen [::]:8080;
    listen 8443 ssl; listen [::]:8443 ssl;
    ssl_certificate {root}/server.crt;
    ssl_certificate_key {root}/server.key;
    root {root}/files;
    location = / {{ default_type text/plain; return 200 "{name}\\n"; }}
    location = /quiet {{ access_log off; default_type text/plain; return 200 "{name}\\n"; }}
    location /upload/ {{ alias {dir}/upload/; dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""

SSHD = """\
Port 22
HostKey {dir}/host_key
PidFile {dir}/sshd.pid
AuthorizedKeysFile {dir}/client_key.pub
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
PrintMotd no
PrintLastLog no
"""


def start_all(bed: beds.Bed) -> None:
    """Starts nginx and sshd on every backend, and sshd on the balancer itself. Bed.down() ends them."""
    root = bed.run_dir
    _files(root / "files")
    beds.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "2", "-subj", "/CN=weir.test", "-addext", "subjectAltName=DNS:weir.test", "-keyout", root / "server.key",
             "-out", root / "server.crt")
    for key in ("host_key", "client_key"):
        beds.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / key)
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    for backend in bed.backends:
        start_nginx(bed, backend.name)
        start_sshd(bed, backend.name)
    start_sshd(bed, "lb")


def start_nginx(bed: beds.Bed, host: str) -> None:
    directory = bed.run_dir / host
    (directory / "upload").mkdir(parents=True, exist_ok=True)
    config = directory / "nginx.conf"
    config.write_text(NGINX.format(dir=directory, root=bed.run_dir, name=host))
    bed.run(host, "nginx", "-p", directory, "-c", config, "-e", directory / "error.log")


def start_sshd(bed: beds.Bed, host: str) -> None:
    config = bed.run_dir / "sshd_config"
    config.write_text(SSHD.format(dir=bed.run_dir))
    bed.run(host, "/usr/sbin/sshd", "-f", config, "-o", f"PidFile={bed.run_dir}/sshd-{host}.pid")


def _files(directory: pathlib.Path) -> None:
    directory.mkdir()
    content = random.Random(20)  # the same bytes in every run
    (directory / "small.bin").write_bytes(content.randbytes(SMALL_SIZE))
    (directory / "large.bin").write_bytes(content.randbytes(LARGE_SIZE))


def sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def access_log(bed: beds.Bed, host: str) -> list:
    """The host's requests so far, each a dict of client, client_port, server, server_port, uri, status."""
    names = ("client", "client_port", "server", "server_port", "uri", "status")
    with contextlib.suppress(FileNotFoundError):
        lines = (bed.run_dir / host / "access.log").read_text().splitlines()
        return [dict(zip(names, line.split())) for line in lines]
    return []


class UdpEcho:
    """Answers each datagram on `port` of a backend (both families) with "NAME:" and the datagram; as the VIP when
    `address` is one ("::ffff:203.0.113.20" for an IPv4 one)."""

    def __init__(self, bed: beds.Bed, host: str, port: int, address: str = "::"):
        with bed.inside(host):
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one for a VIP beside one for the rest
        # Python names no SO_RCVBUFFORCE. Hundreds of frames that XDP has sent come at once, of a page or more each.
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        self._socket.bind((address, port))
        self._socket.settimeout(0.2)
        self._name, self._ended = host.encode(), False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ended:
            with contextlib.suppress(TimeoutError):
                data, peer = self._socket.recvfrom(65536)
                self._socket.sendto(self._name + b":" + data, peer)

    def close(self) -> None:
        self._ended = True
        self._thread.join()
        self._socket.close()


class WebSocketEcho:
    """A WebSocket server on `port` of a backend that sends back "NAME:" and each message."""

    def __init__(self, bed: beds.Bed, host: str, port: int):
        import websockets  # Debian's python3-websockets; only the tests need it, topo and demo do not

        with bed.inside(host):
            listener = socket.create_server(("0.0.0.0", port))
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def echo(connection):
            async for message in connection:
                await connection.send(f"{host}:{message}")

        async def serve():
            self._ended = asyncio.Event()
            async with websockets.serve(echo, sock=listener):
                ready.set()
                await self._ended.wait()

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()), daemon=True)
        self._thread.start()
        if not ready.wait(5):
            raise beds.BedError(f"the WebSocket server on {host}:{port} did not start within 5 s")

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(5)
        self._loop.close()


def wait_for(condition, seconds: float, what: str):
    """Polls until `condition()` is true and returns its value; AssertionError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"{what}: not so after {seconds} s")
        time.sleep(0.02)
