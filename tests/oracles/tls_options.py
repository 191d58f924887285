"""Options that the URL of a broker with TLS cannot have, and what is said of each."""

from __future__ import annotations

REFUSED = [
    ("ca_certs=ca.pem", "an option that `amqps:` does not take, `ca_certs`"),
    ("ssl_cert_reqs=none", "an option that `amqps:` does not take, `ssl_cert_reqs`"),
    ("connect_timeout=3", "an option that `amqps:` does not take, `connect_timeout`"),
    ("cert_reqs=none", "does not take, `cert_reqs`"),
    ("server_hostname=a", "does not take, `server_hostname`"),
    ("hostname=a", "does not take, `hostname`"),
    ("ssl=true&ssl_ca_certs=ca.pem", "does not take, `ssl_ca_certs`"),
    ("ssl=false", "`ssl` of the broker URL can only be `true`"),
    ("ssl=", "`ssl` of the broker URL can only be `true`"),
    ("ssl=true&ssl=none", "`ssl` of the broker URL can only be `true`"),
]
