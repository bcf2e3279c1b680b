"""A configuration as a command hands it on: with the account that it names."""

from dataclasses import replace

from downtimer import accounts, config
from downtimer.account import Account
from downtimer.config import Config

PATH = "/etc/downtimer/conf.ini"


def configured(text: str, path: str = PATH) -> Config:
    """Return what a file of that text says, which must give its password itself, if there is a cloud."""
    found = config.parse(text, path)
    return replace(found, account=accounts.of_file(found, None))


def account(text: str) -> Account:
    """Return the account that a file of that text names."""
    found = configured(text).account
    assert found is not None
    return found
