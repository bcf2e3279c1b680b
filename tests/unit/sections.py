"""The options as they are when a configuration names none."""

from typing import Final

from downtimer import config
from downtimer.sections import ApiSection, IcmpSection

_DEFAULT = config.parse("[static]\nips = 127.0.0.1\n", "/conf.ini")

API: Final[ApiSection] = _DEFAULT.api
ICMP: Final[IcmpSection] = _DEFAULT.icmp
