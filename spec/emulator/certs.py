"""Certificates for tests, made by the openssl command: a CA and one good leaf at start, odd ones when asked for."""
import datetime
import os
import subprocess
import threading

CONFIG = """\
[req]
distinguished_name = none
prompt = no
[none]
[ca]
default_ca = book
[book]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
email_in_dn = no
[any]
commonName = supplied
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""

GOOD_NAMES = "DNS:localhost,DNS:*.cn-hangzhou.aliyuncs.com,IP:127.0.0.1,IP:::1"
LEAF = "basicConstraints = CA:FALSE\nkeyUsage = digitalSignature,keyEncipherment\nextendedKeyUsage = {usage}\n"


def _der(tag, content):
    return bytes([tag, len(content)]) + content


# subjectAltName "localhost<NUL>.example.com", which the openssl configuration cannot spell
NUL_NAME = "DER:" + _der(0x30, _der(0x82, b"localhost\0.example.com")).hex(":")

# Odd leaves. Members: names (subjectAltName), days (from, to; relative to now), key, digest,
# issuer (another entry, or "self"), usage, root (it is a CA), chain (the issuer is sent along).
ODD = {
    "expired": dict(days=(-20, -10)),
    "not_yet_valid": dict(days=(10, 20)),
    "self_signed": dict(issuer="self"),
    "unknown_root": dict(issuer="other_ca"),
    "other_ca": dict(issuer="self", root=True),
    "intermediate": dict(root=True),
    "intermediate_missing": dict(issuer="intermediate"),
    "with_intermediate": dict(issuer="intermediate", chain=True),
    "issued_by_leaf": dict(issuer="server", chain=True),
    "wrong_host": dict(names="DNS:wrong.example.com"),
    "wildcard": dict(names="DNS:*.emulator.localhost"),  # neither the bare name nor a.b.emulator.localhost
    "dns_only": dict(names="DNS:localhost"),             # not for https://127.0.0.1
    "nul_in_name": dict(names=NUL_NAME),
    "upper_case": dict(names="DNS:LOCALHOST"),
    "rsa_1024": dict(key=["-newkey", "rsa:1024"]),
    "sha1": dict(digest="sha1"),
    "client_usage_only": dict(usage="clientAuth"),
    "client": dict(usage="clientAuth", names="DNS:client"),         # for client_cert and client_key
}


class Certificates:
    """The certificates in one directory. `path(name)` gives (certificate file, key file)."""

    def __init__(self, directory):
        self.directory = directory
        self.lock = threading.Lock()
        for name, text in (("openssl.cnf", CONFIG), ("index.txt", "")):
            with open(os.path.join(directory, name), "w", encoding="ascii") as file:
                file.write(text)
        self._openssl("req", "-x509", *self._key("ca"), "-out", "ca.crt", "-days", "30",
                      "-subj", "/CN=emr test CA", "-extensions", "root")
        self._issue("server")

    def _openssl(self, command, *arguments):
        result = subprocess.run(["openssl", command, "-config", "openssl.cnf", *arguments], cwd=self.directory,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)
        if result.returncode != 0:
            raise RuntimeError("openssl %s: %s" % (command, result.stderr.strip()))

    @staticmethod
    def _key(name, kind=("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")):
        return [*kind, "-nodes", "-keyout", name + ".key"]

    def _issue(self, name, names=GOOD_NAMES, days=(-1, 30), key=None, digest="sha256", issuer="ca",
               usage="serverAuth", root=False, chain=False):
        with open(os.path.join(self.directory, name + ".ext"), "w", encoding="ascii") as file:
            if root:
                file.write("basicConstraints = critical,CA:TRUE\nkeyUsage = keyCertSign\n")
            else:
                file.write(LEAF.format(usage=usage) + "subjectAltName = " + names + "\n")
        subject = "/CN=emr test " + name.replace("_", " ")
        self._openssl("req", "-new", *(self._key(name, key) if key else self._key(name)),
                      "-subj", subject, "-out", name + ".csr")
        now = datetime.datetime.now(datetime.timezone.utc)
        dates = [(now + datetime.timedelta(days=day)).strftime("%Y%m%d%H%M%SZ") for day in days]
        if issuer == "self":
            by = ["-selfsign", "-keyfile", name + ".key"]
        else:
            self._need(issuer)
            by = ["-cert", issuer + ".crt", "-keyfile", issuer + ".key"]
        self._openssl("ca", "-batch", "-notext", "-in", name + ".csr", "-out", name + ".crt", "-md", digest,
                      "-startdate", dates[0], "-enddate", dates[1], "-extfile", name + ".ext", *by)
        if chain:
            with open(os.path.join(self.directory, name + ".crt"), "ab") as file, \
                    open(os.path.join(self.directory, issuer + ".crt"), "rb") as above:
                file.write(above.read())

    def _need(self, name):
        if not os.path.exists(os.path.join(self.directory, name + ".crt")):
            self._issue(name, **ODD[name])

    def path(self, name):
        with self.lock:
            self._need(name)
        return tuple(os.path.join(self.directory, name + end) for end in (".crt", ".key"))
