"""A certificate authority that lives for two days, and one certificate of it for all hosts of Kaggle."""

import subprocess

HOSTS = ("api.kaggle.com", "www.kaggle.com", "storage.googleapis.com")
_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {hosts}
authorityKeyIdentifier = keyid
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def make(folder):
    """Fill a folder: ca.pem for the client, cert.pem and key.pem for the server."""
    hosts = ", ".join(f"DNS:{host}" for host in HOSTS)
    for name, extensions, more in (
        ("ca", "authority", ()),
        ("cert", "server", ("-CA", "ca.pem", "-CAkey", "ca.key.pem")),
    ):
        (folder / f"{name}.cnf").write_text(_CONFIG.format(name=f"loopback Kaggle {name}", hosts=hosts))
        own = ("-config", f"{name}.cnf", "-extensions", extensions, "-out", f"{name}.pem")
        key = "key.pem" if name == "cert" else f"{name}.key.pem"
        command = ["openssl", "req", "-x509", "-days", "2", *_KEY, "-keyout", key, *own, *more]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder
