"""RabbitMQ nodes that speak TLS, with certificates of an authority of their own."""

from pathlib import Path
from urllib.parse import quote

import trustme

from private_nodes.ports import Ports
from private_nodes.rabbitmq import RabbitMQ


class Authority:
    """A certificate authority; whoever trusts `file` trusts it.

    Certificates and keys are written to a folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def certify(self, *names: str) -> tuple[Path, Path]:
        """Write a certificate for host names and addresses, and its key."""
        issued = self._authority.issue_cert(*names)
        certificate, key = (self._folder / f"{names[0]}.{kind}.pem" for kind in ("cert", "key"))
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return certificate, key


class TlsRabbitMQ(RabbitMQ):
    """A RabbitMQ node that also listens for TLS, on `tls_port`."""

    def __init__(self, authority: Authority, *names: str) -> None:
        """The certificate is for these host names and addresses."""
        certificate, key = authority.certify(*names)
        self._tls_ports = Ports(1)
        [self.tls_port] = self._tls_ports.numbers
        super().__init__(
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            f"ssl_options.cacertfile = {authority.file}",
            f"ssl_options.certfile = {certificate}",
            f"ssl_options.keyfile = {key}",
            management=False,
        )

    def tls_url(self, host: str = "localhost", vhost: str = "/") -> str:
        """The URL with TLS, by one of the names that the host has."""
        return f"amqps://guest:guest@{host}:{self.tls_port}/{quote(vhost, safe='')}"

    def close(self) -> None:
        super().close()
        self._tls_ports.close()
