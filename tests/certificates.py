"""Certificates for tests, made with the openssl command: authorities, hosts, clients, lists of revoked ones."""

import subprocess
from pathlib import Path


def openssl(*args, cwd=None, text=None):
    done = subprocess.run(["openssl", *map(str, args)], cwd=cwd, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"openssl {args}: {done.stderr}"
    return done.stdout


class Certificates:
    """A folder of certificates: NAME.pem and NAME.key."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def __truediv__(self, name):
        return self.folder / name

    def make(self, name, by=None, subject=None, names=(), key="ec", days=2, more=(), start=None):
        """A certificate, signed by itself or by another of the folder."""
        kind = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}[key]
        extensions = [*more]
        if names:
            extensions.append("subjectAltName=" + ",".join(names))
        command = [
            "req",
            "-x509",
            "-newkey",
            *kind,
            "-nodes",
            "-keyout",
            self / f"{name}.key",
            "-out",
            self / f"{name}.pem",
            "-subj",
            subject or f"/C=NL/O=Example/CN={name}",
            "-days",
            days,
            "-utf8",
        ]
        if by:
            command += ["-CA", self / f"{by}.pem", "-CAkey", self / f"{by}.key"]
        for one in extensions:
            command += ["-addext", one]
        openssl(*command)
        return self / f"{name}.pem"

    def authority(self, name, by=None):
        """A certificate that may sign others."""
        return self.make(name, by=by, more=["keyUsage=critical,keyCertSign,cRLSign"])

    def host(self, name, *others, by="root", key="ec", file=None, **kwargs):
        """A certificate for the names of a host, in FILE.pem."""
        return self.make(
            file or name,
            by=by,
            key=key,
            subject=f"/CN={name}",
            names=[f"DNS:{n}" for n in (name, *others)],
            more=["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth"],
            **kwargs,
        )

    def client(self, name, by="root", **kwargs):
        return self.make(
            name, by=by, more=["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth"], **kwargs
        )

    def revoke(self, file, *names, by="root"):
        """A list of revoked certificates."""
        work = self / f"{file}.work"
        work.mkdir()
        (work / "index.txt").touch()
        (work / "number").write_text("01\n")
        (work / "ca.cnf").write_text(
            f"[ca]\ndefault_ca=x\n[x]\ndatabase={work}/index.txt\ncrlnumber={work}/number\ndefault_md=sha256\ndefault_crl_days=2\n"
        )
        common = ["ca", "-config", work / "ca.cnf", "-cert", self / f"{by}.pem", "-keyfile", self / f"{by}.key"]
        for name in names:
            openssl(*common, "-revoke", self / f"{name}.pem")
        openssl(*common, "-gencrl", "-out", self / file)
        return self / file
