"""What can happen on a raw connection, by name. find(name) gives the function and its fixed arguments.

A scenario is a function(connection, argument). Most are data: bytes to answer (REPLIES), TLS settings (TLS).
Every scenario also takes tls = {cert =, low =, high =, ciphers =, client =} to run inside TLS; {} is a good server.
"""
import base64
import email.utils
import os
import re
import select
import socket
import threading
import time

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample.json"), "rb") as file:
    BODY = file.read()

REQUEST_ID = "5AD6B1B2-5837-5237-ABE4-FF0C89440001"
END = b"\r\n\r\n"


def head(status="200 OK", length=len(BODY), extra=()):
    """A reply's head. A length of None leaves the header out."""
    lines = ["HTTP/1.1 " + status, "Date: " + email.utils.formatdate(usegmt=True),
             "Content-Type: application/json;charset=utf-8", "x-acs-request-id: " + REQUEST_ID]
    if length is not None:
        lines.append("Content-Length: %s" % length)
    return "\r\n".join([*lines, *extra]).encode("latin-1") + END


def good():
    return head() + BODY


def with_header(line):
    """The good reply with one more line, given as bytes, in the middle of its head."""
    first, _, rest = good().partition(b"\r\n")
    return first + b"\r\n" + line + b"\r\n" + rest


def chunked():
    pieces = [BODY[i:i + 500] for i in range(0, len(BODY), 500)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def status_line(text):
    return good().replace(b"HTTP/1.1 200 OK", text, 1)


# Bytes to answer; text stands for itself, a function gets the arguments. Afterwards the connection ends with
# FIN, or as the argument `how` says: rst, hold, unwrap.
REPLIES = {
    "http10": lambda a: status_line(b"HTTP/1.0 200 OK"),
    "http12": lambda a: status_line(b"HTTP/1.2 200 OK"),
    "no_reason": lambda a: status_line(b"HTTP/1.1 200"),
    "status": lambda a: status_line(b"HTTP/1.1 " + str(a.get("code", "99")).encode() + b" Odd"),
    "lf_only": lambda a: head().replace(b"\r\n", b"\n") + BODY,
    "folded_first": lambda a: with_header(b" X-Folded: one"),
    "folded": lambda a: with_header(b"X-Folded: one\r\n two"),
    "no_colon": lambda a: with_header(b"this line has no colon"),
    "nul_in_header": lambda a: with_header(b"X-Nul: a\0b"),
    "long_header": lambda a: with_header(b"X-Long: " + b"x" * a.get("bytes", 50000)),
    "many_headers": lambda a: with_header(b"\r\n".join(b"X-%d: x" % i for i in range(a.get("count", 5000)))),
    "bare_json": lambda a: BODY,
    "bare_html": lambda a: b"<html><body>It works!</body></html>\n",
    "smtp": lambda a: b"220 mail.example.com ESMTP ready\r\n",
    "ssh": lambda a: b"SSH-2.0-OpenSSH_9.2\r\n",
    "interim": lambda a: b"".join(b"HTTP/1.1 %d Interim\r\nX-Interim: yes\r\n\r\n" % code
                                  for code in a.get("codes", (100, 103))) + good(),
    "no_length": lambda a: head(length=None) + BODY,
    "content_length": lambda a: head(length=a.get("value", "-5"),
                                     extra=["Transfer-Encoding: chunked"] if a.get("chunked") else [])
    + (chunked() if a.get("chunked") else BODY),
    "chunk_size": lambda a: head(length=None, extra=["Transfer-Encoding: chunked"])
    + a.get("size", "-5").encode() + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "chunked_cut": lambda a: head(length=None, extra=["Transfer-Encoding: chunked"])
    + chunked()[:a.get("bytes", -5)],
    "challenge": lambda a: head("%d Odd" % a.get("code", 401), 0, [
        'WWW-Authenticate: Basic realm="emulator"', 'Proxy-Authenticate: Basic realm="emulator"']),
    "cookies": lambda a: with_header(b'Set-Cookie: emulator=1; Path=/\r\nAlt-Svc: h2=":443"; ma=9999\r\n'
                                     b"Strict-Transport-Security: max-age=9999"),
    "reply": lambda a: head(a.get("status", "200 OK"), len(a.get("body", "")),
                            ["%s: %s" % pair for pair in a.get("headers", {}).items()])
    + a.get("body", "").encode("utf-8"),
    "bytes": lambda a: base64.b64decode(a["base64"])[:a.get("cut")],
}


def answer(make):
    def scenario(connection, argument):
        connection.read_request()
        connection.send(make(argument))
        connection.end(argument.get("how", "fin"))
    return scenario


def keep_alive(connection, _):
    """Good replies, as many as are asked for."""
    while True:
        connection.read_request()
        connection.send(good())


def hang_up(connection, argument):
    """Ends the connection without reading anything: how = fin, rst."""
    connection.end(argument.get("how", "fin"))


def silence(connection, _):
    connection.hold()


# Where a reply is cut: this many bytes after the place where the part begins.
PARTS = {"start": lambda reply: 0, "status": lambda reply: 5, "headers": lambda reply: reply.index(b"\r\n") + 12,
         "body": lambda reply: reply.index(END) + 4}


def cut(connection, argument):
    """at = start, status, headers, body (+ bytes), how = fin, rst, hold."""
    connection.read_request()
    reply = good()
    end = PARTS[argument.get("at", "body")](reply) + argument.get("bytes", 0)
    connection.send(reply[:end])
    connection.end(argument.get("how", "fin"))


def drip(connection, argument):
    """One byte every `seconds` (0.1), from the status line or, with at = "body", from the body on."""
    connection.read_request()
    reply = good()
    begin = PARTS["body"](reply) if argument.get("at") == "body" else 0
    connection.send(reply[:begin])
    for i in range(begin, len(reply)):
        connection.send(reply[i:i + 1])
        connection.wait(argument.get("seconds", 0.1))


def endless_headers(connection, _):
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\n")
    for i in range(200000):
        connection.send(b"X-%d: %s\r\n" % (i, b"x" * 60))


def huge_length(connection, argument):
    """Declares `bytes` (1 GiB), sends none of them."""
    connection.read_request()
    connection.send(head(length=argument.get("bytes", 1 << 30)))
    connection.hold()


def endless_body(connection, argument):
    """`bytes` (1 GiB) of body: kind = length, close (no length) or chunked (without an end)."""
    kind, left = argument.get("kind", "close"), argument.get("bytes", 1 << 30)
    connection.read_request()
    connection.send(head(length=left if kind == "length" else None,
                         extra=["Transfer-Encoding: chunked"] if kind == "chunked" else []))
    piece = b"x" * 65536
    while left > 0:
        data = piece[:left]
        connection.send(b"%x\r\n%s\r\n" % (len(data), data) if kind == "chunked" else data)
        left -= len(data)


def surplus(connection, argument):
    """Bytes after the declared body; the connection stays open and would answer again."""
    while True:
        connection.read_request()
        connection.send(good() + argument.get("extra", "HTTP/1.1 200 OK\r\n\r\nsurplus").encode())


def astray(connection, argument):
    """A good reply to the first request of each connection; to the later ones, one with the member `field`
    (sessionClusterId) of another. With first = True each reply is such."""
    other = re.sub(rb'("%s": *)"[^"]*"' % argument.get("field", "sessionClusterId").encode(), rb'\1"another"', BODY)
    body = other if argument.get("first") else BODY
    while True:
        connection.read_request()
        connection.send(head(length=len(body)) + body)
        body = other


def dead_idle(connection, argument):
    """Keeps the connection after `served` (1) good replies, but closes it `seconds` (0.05) later."""
    for _ in range(argument.get("served", 1)):
        connection.read_request()
        connection.send(good())
    connection.wait(argument.get("seconds", 0.05))
    connection.end(argument.get("how", "fin"))


def dead_on_request(connection, argument):
    """Answers `served` (1) requests, reads one more, and ends the connection without a word."""
    for _ in range(argument.get("served", 1)):
        connection.read_request()
        connection.send(good())
    connection.read_request()
    connection.end(argument.get("how", "fin"))


ALERT = b"\x15\x03\x03\x00\x02\x02\x28"      # fatal, handshake_failure


def handshake(data=b"", how="fin"):
    def scenario(connection, _):
        connection.read()                   # the ClientHello
        connection.send(data)
        connection.end(how)
    return scenario


def relay(left, right):
    """Copies both ways until one side ends."""
    while True:
        for source in select.select([left, right], [], [], 30)[0]:
            data = source.recv(65536)
            if not data:
                return
            (right if source is left else left).sendall(data)


REFUSALS = {"407": b'407 Authenticate\r\nProxy-Authenticate: Basic realm="proxy"', "503": b"503 Unavailable",
            "405": b"405 CONNECT only"}


def proxy(connection, argument):
    """A CONNECT proxy. mode = ok, 407, 503, silent, fin, rst; it connects to = "host:port", else to loopback at the
    port that is asked for. Its log holds the head only: what goes through the tunnel is not ours."""
    mode = str(argument.get("mode", "ok"))
    method, target = connection.read_request().split()[:2]
    if mode == "silent":
        connection.hold()
    if mode in ("fin", "rst"):
        connection.end(mode)
    refusal = REFUSALS.get(mode if method == b"CONNECT" else "405")
    if refusal:
        connection.send(b"HTTP/1.1 " + refusal + b"\r\nContent-Length: 0\r\n\r\n")
        connection.end("fin")
    host, _, port = argument.get("to", "127.0.0.1:" + target.decode().rpartition(":")[2]).rpartition(":")
    with socket.create_connection((host, int(port)), 5) as far:
        connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        relay(connection.sock, far)


BEHAVIOURS = {
    "good": keep_alive, "silence": silence, "hang_up": hang_up, "cut": cut, "drip": drip,
    "endless_headers": endless_headers, "huge_length": huge_length, "endless_body": endless_body,
    "surplus": surplus, "dead_idle": dead_idle, "dead_on_request": dead_on_request, "proxy": proxy,
    "astray": astray,
    "refuse": keep_alive, "never_accept": keep_alive,
}

SECURE = {"secure": True}       # raw, but meant for https

HANDSHAKES = {
    "handshake_fin": handshake(how="fin"), "handshake_rst": handshake(how="rst"),
    "handshake_silence": handshake(how="hold"), "handshake_plain": handshake(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "handshake_garbage": handshake(b"\x16\x03\x03\xff\xff" + b"\xaa" * 200), "handshake_alert": handshake(ALERT),
}

OLD = "ALL:@SECLEVEL=0"

TLS = {                         # good replies behind an odd TLS; the odd certificates of certs.py by their names
    "tls": {}, "tls10_only": dict(low="TLSv1", high="TLSv1", ciphers=OLD),
    "tls11_only": dict(low="TLSv1_1", high="TLSv1_1", ciphers=OLD), "tls12_only": dict(high="TLSv1_2"),
    "tls13_only": dict(low="TLSv1_3"), "null_cipher": dict(high="TLSv1_2", ciphers="eNULL:!aNULL:@SECLEVEL=0"),
    "anonymous": dict(high="TLSv1_2", ciphers="aNULL:!eNULL:@SECLEVEL=0"), "client_certificate": dict(client=True),
    **{name: dict(cert=name) for name in (
        "expired", "not_yet_valid", "self_signed", "unknown_root", "intermediate_missing",
        "with_intermediate", "issued_by_leaf",
        "wrong_host", "wildcard", "dns_only", "nul_in_name", "upper_case", "rsa_1024", "sha1",
        "client_usage_only")},
}


def find(name):
    if name in REPLIES:
        return answer(REPLIES[name]), {}
    if name in BEHAVIOURS:
        return BEHAVIOURS[name], {"listen": name}
    if name in HANDSHAKES:
        return HANDSHAKES[name], SECURE
    if name in TLS:
        return keep_alive, {"tls": TLS[name]}
    raise KeyError("there is no scenario called %s" % name)


def listen(listener, argument, serve):
    """Accepts in the background; returns further sockets to keep. "refuse" does not listen at all, or only after
    `seconds`; the queue of "never_accept" is full from the start, so that a connect hangs."""
    kind = argument.get("listen")
    if kind == "never_accept":
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        return fillers
    if kind == "refuse" and "seconds" not in argument:
        return []

    def accept():
        number = 0
        try:
            if kind == "refuse":
                time.sleep(argument["seconds"])
                listener.listen(128)
            while True:
                sock, _ = listener.accept()
                number += 1
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=serve, args=(number, sock), daemon=True).start()
        except OSError:
            pass                # the listener was closed

    if kind != "refuse":
        listener.listen(128)    # at once: the caller connects as soon as it knows the port
    threading.Thread(target=accept, daemon=True).start()
    return []
