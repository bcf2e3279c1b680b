"""What goes without certificates is told; what has them, or needs none, is not."""

import pytest

from downtimer import config
from downtimer.certificates import unverified

CLOUD = "certificates of the cloud are not verified ([global] insecure)"
INFLUXDB = "InfluxDB's certificate is not verified ([db] verify_ssl)"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("[db]\n", []),
        ("[db]\nssl = yes\n", []),
        ("[db]\nverify_ssl = no\n", []),  # it speaks no TLS
        ("[db]\nssl = yes\nverify_ssl = no\n", [INFLUXDB]),
        ("[global]\ninsecure = yes\n", [CLOUD]),
        ("[global]\ninsecure = yes\n[db]\nssl = yes\nverify_ssl = no\n", [CLOUD, INFLUXDB]),
    ],
)
def test_what_nobody_verifies_is_told(text: str, lines: list[str]) -> None:
    assert unverified(config.parse(f"[static]\nips = 127.0.0.1\n{text}", "/conf.ini")) == lines
