"""How a prometheus-blackbox-exporter is started, that probes HTTP as we do."""

from pathlib import Path
from typing import Final

from tests.processes import require_program

_PROGRAM: Final = "prometheus-blackbox-exporter"
_CONFIG: Final = """\
modules:
  api:
    prober: http
    timeout: 2s
    http:
      follow_redirects: false
      preferred_ip_protocol: ip4
      tls_config: {{ca_file: {authority}}}
"""


def command(directory: Path, authority: Path, port: int) -> list[str]:
    """Return the command that starts it, whose configuration is written.

    Args:
        directory: For that.
        authority: File of the certificates to trust.
        port: Where it is to listen, on 127.0.0.1.
    """
    config = directory / "blackbox.yml"
    config.write_text(_CONFIG.format(authority=authority))
    return [
        require_program(_PROGRAM, _PROGRAM),
        f"--config.file={config}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]


def is_listening(pid: int, port: int) -> bool:
    """Tell whether somebody listens on this port where that process is."""
    tables = (Path(f"/proc/{pid}/net") / name for name in ("tcp", "tcp6"))
    entry = f":{port:04X} 00000000:0000 0A"
    return any(entry in table.read_text() for table in tables if table.exists())
