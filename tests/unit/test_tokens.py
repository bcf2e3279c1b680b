"""What the api worker shows of us, and how sure it is that this is good."""

import pytest

from downtimer import clock
from downtimer.clock import RunClock
from downtimer.messages import Token
from downtimer.model import SECOND_NS, Auth
from downtimer.workers.tokens import Tokens
from tests.configured import account
from tests.engines import RecordingBus
from tests.unit.machine import Machine


class Setting:
    """The tokens of a worker that has just been started, and its clock."""

    def __init__(self) -> None:
        self.machine = Machine()
        who = account("[global]\nkeystone_endpoint=http://h\npassword=x\n")
        self.tokens = Tokens(who, RunClock(clock.tie(self.machine), self.machine), RecordingBus())

    def take(self, *, lives_s: float | None = None) -> None:
        """Get a token that is asked for now."""
        now_ns = self.machine.boot - Machine().boot
        expires_ns = None if lives_s is None else now_ns + int(lives_s * SECOND_NS)
        self.tokens.take(Token(token="t", issued_ns=now_ns, expires_ns=expires_ns))

    def is_sure(self, auth: Auth) -> bool:
        """Tell whether what is shown now is good for sure."""
        return self.tokens.is_sure(self.tokens.show(auth))


@pytest.mark.parametrize("auth", [Auth.TOKEN, Auth.RESCOPE])
@pytest.mark.parametrize(("lives_s", "sure_s"), [(None, 10.0), (3600.0, 10.0), (4.0, 4.0)])
def test_token_is_sure_while_it_is_young_and_has_not_expired(
    auth: Auth, lives_s: float | None, sure_s: float
) -> None:
    setting = Setting()
    setting.take(lives_s=lives_s)
    setting.machine.pass_s(sure_s - 0.1)
    assert setting.is_sure(auth)
    setting.machine.pass_s(0.1)
    assert not setting.is_sure(auth)


def test_first_token_is_awaited_for_two_seconds_and_no_other_is() -> None:
    setting = Setting()
    assert setting.tokens.is_awaited(Auth.TOKEN)
    assert setting.tokens.is_awaited(Auth.RESCOPE)
    assert not setting.tokens.is_awaited(Auth.PASSWORD)
    setting.machine.pass_s(1.9)
    assert setting.tokens.is_awaited(Auth.TOKEN)
    setting.machine.pass_s(0.1)
    assert not setting.tokens.is_awaited(Auth.TOKEN)
    setting = Setting()
    setting.take()
    assert not setting.tokens.is_awaited(Auth.TOKEN)


def test_password_is_never_sure() -> None:
    assert not Setting().is_sure(Auth.PASSWORD)


@pytest.mark.parametrize(
    ("way", "unknown"),
    [
        ("password=x", {Auth.RESCOPE}),
        ("application_credential_id=a\napplication_credential_secret=x", {Auth.RESCOPE, Auth.PASSWORD}),
    ],
)
def test_what_keystone_does_not_know_it_may_answer_404(way: str, unknown: set[Auth]) -> None:
    who = account(f"[global]\nkeystone_endpoint=http://h\n{way}\n")
    machine = Machine()
    tokens = Tokens(who, RunClock(clock.tie(machine), machine), RecordingBus())
    assert {auth for auth in Auth if tokens.is_unknown(auth, 404)} == unknown
    assert not any(tokens.is_unknown(auth, 500) for auth in Auth)


def test_without_an_account_there_is_nothing_to_show() -> None:
    machine = Machine()
    tokens = Tokens(None, RunClock(clock.tie(machine), machine), RecordingBus())
    assert not any(tokens.has(auth) for auth in Auth)
    with pytest.raises(LookupError):
        tokens.show(Auth.PASSWORD)
