"""A server for what nginx cannot do: wrong bytes, cut connections, odd TLS. Each open() gets a port of its own.

What happens on a connection is a scenario (scenarios.py): a function of a Connection and its arguments.
"""
import base64
import collections
import http.server
import json
import socket
import ssl
import struct
import threading
import time
import warnings

import scenarios

MAX_LOGGED = 1 << 20     # bytes of a connection
MAX_CONNECTIONS = 20000
HOLD_SECONDS = 120

warnings.filterwarnings("ignore", category=DeprecationWarning, message="ssl.TLSVersion")


class Gone(Exception):
    """The connection has ended."""


class Connection:
    """One accepted connection; all that is read from it is remembered in `entry`."""

    def __init__(self, sock, entry):
        self.sock, self.entry = sock, entry
        self.pending = b""

    def wrap(self, context):
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.entry["handshake"] = self.sock.version()

    def read(self):
        try:
            data = self.sock.recv(65536)
        except OSError as problem:
            raise Gone(str(problem)) from None
        if not data:
            raise Gone("closed by peer")
        if len(self.entry["received"]) < MAX_LOGGED:
            self.entry["received"] += data
        return data

    def read_request(self):
        """The bytes of one request, head and body."""
        data = self.pending
        while b"\r\n\r\n" not in data:
            data += self.read()
        end = data.index(b"\r\n\r\n") + 4
        for line in data[:end].split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                end += int(value)
        while len(data) < end:
            data += self.read()
        self.pending = data[end:]
        self.entry["requests"].append(data[:end])
        return data[:end]

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as problem:
            raise Gone(str(problem)) from None

    def wait(self, seconds):
        time.sleep(seconds)

    def hold(self):
        """Stays silent until the peer goes away."""
        self.sock.settimeout(HOLD_SECONDS)
        while True:
            self.read()

    def end(self, how="fin"):
        """Ends the connection: fin, rst, hold, or unwrap (TLS says good-bye, then fin)."""
        if how == "hold":
            self.hold()
        if how == "unwrap" and isinstance(self.sock, ssl.SSLSocket):
            self.sock = self.sock.unwrap()
        if how == "rst":
            self.wait(0.02)   # let what was sent arrive first
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone("ended: " + how)


class Server:
    def __init__(self, certificates):
        self.certificates = certificates
        self.lock = threading.Lock()
        self.log, self.listeners = collections.deque(maxlen=MAX_CONNECTIONS), []

    def open(self, name, argument):
        """Starts a scenario and returns its base URL."""
        scenario, fixed = scenarios.find(name)
        argument = {**fixed, **argument}
        context = self.context(**argument["tls"]) if "tls" in argument else None
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]

        def serve(number, sock):
            entry = {"scenario": name, "port": port, "connection": number, "received": b"", "requests": [],
                     "handshake": None, "ended": None}
            with self.lock:
                self.log.append(entry)
            self.run(scenario, argument, context, Connection(sock, entry))

        self.listeners += [listener, *scenarios.listen(listener, argument, serve)]
        secure = context or argument.get("secure")
        return "https://localhost:%d" % port if secure else "http://127.0.0.1:%d" % port

    def context(self, cert="server", low=None, high=None, ciphers=None, client=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = getattr(ssl.TLSVersion, low or "TLSv1_2")
        context.maximum_version = getattr(ssl.TLSVersion, high or "TLSv1_3")
        context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
        context.load_cert_chain(*self.certificates.path(cert))
        if client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.certificates.path("ca")[0])
        return context

    @staticmethod
    def run(scenario, argument, context, connection):
        try:
            if context:
                connection.wrap(context)
            scenario(connection, argument)
            connection.entry["ended"] = "done"
        except Exception as problem:   # also a mistake in the arguments: the log shall show it
            connection.entry["ended"] = str(problem) or repr(problem)
        finally:
            connection.sock.close()

    def reset(self):
        """Closes the ports and forgets the log."""
        for listener in self.listeners:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass            # it never listened
            listener.close()
        with self.lock:
            self.log, self.listeners = collections.deque(maxlen=MAX_CONNECTIONS), []

    def shown_log(self):
        def text(data):
            return base64.b64encode(data).decode()
        with self.lock:
            return [{**entry, "received": text(entry["received"]),
                     "requests": [text(request) for request in entry["requests"]]} for entry in self.log]

    def control_port(self):
        """Listens for the specs' wishes: POST /open, /log, /reset with JSON, as nginx takes them."""
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                argument = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
                try:
                    result = {
                        "/_emulator/open": lambda: {"url": server.open(argument["name"], argument["argument"])},
                        "/_emulator/certificate": lambda: dict(
                            zip(("cert", "key"), server.certificates.path(argument["name"]))),
                        "/_emulator/log": server.shown_log,
                        "/_emulator/reset": server.reset,
                    }[self.path]()
                    status = 200
                except Exception as problem:   # the spec's mistake, or ours: the spec shall see it
                    status, result = 400, {"error": repr(problem)}
                body = json.dumps(result or []).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        control = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        control.daemon_threads = True
        threading.Thread(target=control.serve_forever, daemon=True).start()
        return control.server_address[1]
