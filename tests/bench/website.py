"""The server that is probed: one thread of HAProxy, which answers by itself, over HTTP and HTTPS."""

from pathlib import Path
from typing import Final

import trustme

from tests.ports import free_port
from tests.processes import Server, ServerProcess, require_program
from tests.waiting import wait_until

_BODY: Final = '{"versions": [{"id": "v2.1", "status": "CURRENT", "links": [{"rel": "self", "href": "/"}]}]}'
_CONFIG: Final = """\
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout client 120s
  timeout http-request 10s
  timeout http-keep-alive 120s
frontend site
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{secure} ssl crt {certificate} alpn http/1.1
  http-request return status 200 content-type application/json string '{body}' \
hdr Vary OpenStack-API-Version hdr x-openstack-request-id req-%[uuid]
"""


class Website(Server):
    """Answers every path as the root of an API does, and keeps connections, as HAProxy does.

    Attributes:
        authority: File of the authority that its certificate is from.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.authority = directory / "ca.pem"
        self._plain, self._secure = free_port(), free_port()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        certificate = directory / "site.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        config = directory / "haproxy.cfg"
        config.write_text(
            _CONFIG.format(
                plain=self._plain,
                secure=self._secure,
                certificate=certificate,
                body=_BODY,
            )
        )
        program = require_program("haproxy", "haproxy")
        super().__init__(ServerProcess([program, "-db", "-f", str(config)], directory=directory))

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process.start()
        awaited = f":{self._secure:04X} 00000000:0000 0A"
        wait_until(
            lambda: awaited in Path(f"/proc/{self.pid}/net/tcp").read_text(),
            timeout_s=10,
            what="HAProxy to listen",
        )

    def urls(self, count: int, *, is_secure: bool = False) -> list[str]:
        """Return so many URLs, all different."""
        base = f"https://127.0.0.1:{self._secure}" if is_secure else f"http://127.0.0.1:{self._plain}"
        return [f"{base}/{number}" for number in range(count)]
