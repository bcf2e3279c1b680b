"""Signing in: domains, lifetimes, doubt, and patience after a refusal. Keystone is a fake one on the wire."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest

from downtimer.clock import Anchor, RunClock
from downtimer.model import SECOND_NS
from downtimer.workers.identity import Identity, SignInError
from downtimer.workers.rest import Rest
from tests.configured import account


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 0

    def boot_ns(self) -> int:
        """Return the instant."""
        return self.now_ns

    def monotonic_ns(self) -> int:
        """Return the instant."""
        return self.now_ns

    def utc_ns(self) -> int:
        """Return the instant."""
        return self.now_ns

    def cpu_ns(self) -> int:
        """Return the instant."""
        return self.now_ns

    def boot_id(self) -> str:
        """Return some boot."""
        return "boot"


class FakeKeystone:
    """Answers what it is told to.

    Attributes:
        asked: The bodies of all requests for tokens.
        got: The paths of all other requests.
        status: Of its answers to those with a project.
        lifetime_s: Of its tokens.
        skew_s: How far its clock is ahead of ours.
        subject: Its tokens; None for another each time.
        project: That they are for; None: none.
        more: What else is said of them.
        catalog: That comes with them.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 201
        self.unscoped = 401
        self.lifetime_s = 3600.0
        self.skew_s = 0.0
        self.got: list[str] = []
        self.subject: str | None = None
        self.project: dict[str, Any] | None = {"id": "p", "name": "admin"}
        self.more: dict[str, Any] = {}
        self.catalog: list[object] = [{"type": "compute", "name": "nova", "endpoints": []}]
        keystone = self

        class Handler(BaseHTTPRequestHandler):
            """Its HTTP."""

            def do_GET(self) -> None:
                """Tell of a token, or give the versions, of another Keystone."""
                keystone.got.append(self.path)
                if self.path == "/v3/auth/tokens":
                    assert self.headers["X-Auth-Token"] == self.headers["X-Subject-Token"] == "given"
                    keystone.say(self, keystone.status, keystone.token())
                    return
                link = {"rel": "self", "href": "http://127.0.0.1:1/v3/"}
                version = {"id": "v3.14", "status": "stable", "links": [link], "media-types": []}
                keystone.say(self, 300, {"versions": {"values": [version]}})

            def do_POST(self) -> None:
                """Give a token, or not."""
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                keystone.asked.append(body["auth"])
                status = keystone.status if "scope" in body["auth"] else keystone.unscoped
                keystone.say(self, status, keystone.token() if status == 201 else {"error": {}})

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    def token(self) -> dict[str, Any]:
        """Return a token's body."""
        issued = datetime.now(UTC) + timedelta(seconds=self.skew_s)
        content: dict[str, Any] = {"issued_at": issued.isoformat(), **self.more}
        if self.project is not None:
            content["project"] = self.project
        content["user"] = {"id": "u", "name": "admin", "domain": {"id": "default", "name": "Default"}}
        content["expires_at"] = (issued + timedelta(seconds=self.lifetime_s)).isoformat()
        content["catalog"] = self.catalog
        return {"token": content}

    def say(self, request: BaseHTTPRequestHandler, status: int, content: object) -> None:
        """Answer."""
        body = json.dumps(content).encode()
        request.send_response(status)
        subject = f"token-{len(self.asked)}" if self.subject is None else self.subject
        request.send_header("X-Subject-Token", subject)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture
def keystone() -> Iterator[FakeKeystone]:
    """A fake Keystone."""
    made = FakeKeystone()
    yield made
    made.close()


class Setting:
    """An identity, and the clock that it goes by."""

    def __init__(self, keystone: FakeKeystone, extra: str = "", *, way: str = "password=se%cret") -> None:
        text = f"[global]\nkeystone_endpoint={keystone.url}\n{way}\n{extra}"
        who = account(text)
        self.hand = Hand()
        self.rest = Rest(who.trust)
        self.rest.begin(60)
        self.identity = Identity(who, self.rest, RunClock(Anchor(0, 0, "boot"), self.hand))

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self.hand.now_ns += int(seconds * SECOND_NS)

    def refused(self) -> str:
        """Sign in in vain; return why, and how that is mended."""
        with pytest.raises(SignInError) as caught:
            self.identity.sign_in()
        return f"{caught.value}; {caught.value.remedy}"


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("default", {"id": "default"}),
        ("Default", {"name": "Default"}),
        ("heat", {"name": "heat"}),
        ("0123456789abcdef0123456789abcdef", {"id": "0123456789abcdef0123456789abcdef"}),
        ("0123456789abcdef", {"name": "0123456789abcdef"}),
    ],
)
def test_domains_by_name_and_id(keystone: FakeKeystone, given: str, asked: dict[str, str]) -> None:
    Setting(keystone, f"user_domain_name={given}\nproject_domain_name={given}").identity.sign_in()
    (auth,) = keystone.asked
    assert auth["identity"]["password"]["user"]["domain"] == asked
    assert auth["identity"]["password"]["user"]["password"] == "se%cret"
    assert auth["scope"]["project"] == {"name": "admin", "domain": asked}


@pytest.mark.parametrize(
    ("lifetime_s", "renew_s"), [(3600.0, 3000.0), (30.0, 20.0), (1800.0, 1200.0), (86400.0, 85800.0)]
)
@pytest.mark.parametrize("skew_s", [0.0, 86400.0, -86400.0])
def test_life_of_a_token_is_by_our_clock(
    keystone: FakeKeystone, lifetime_s: float, renew_s: float, skew_s: float
) -> None:
    keystone.lifetime_s, keystone.skew_s = lifetime_s, skew_s
    setting = Setting(keystone)
    setting.pass_time(5)
    assert setting.identity.is_due()
    held = setting.identity.sign_in()
    assert held.issued_ns == 5 * SECOND_NS
    assert held.expires_ns == (5 + lifetime_s) * SECOND_NS
    assert held.renew_ns == setting.identity.due_ns == (5 + renew_s) * SECOND_NS
    setting.pass_time(renew_s - 1)
    assert not setting.identity.is_due()
    setting.pass_time(1)
    assert setting.identity.is_due()


def test_the_secret_is_in_no_text(keystone: FakeKeystone) -> None:
    held = Setting(keystone).identity.sign_in()
    assert held.token == "token-1"
    assert held.token not in f"{held} {held!r}"


def test_a_refused_user_is_not_tried_again_at_once(keystone: FakeKeystone) -> None:
    keystone.status = 401
    setting = Setting(keystone)
    why = setting.refused()
    assert "wrong user or password" in why
    assert "se%cret" not in why
    assert len(keystone.asked) == 2  # the second without the project, to tell the two reasons apart
    tried_s = [0]
    for now_s in range(5, 1000, 5):
        setting.pass_time(5)
        asked = len(keystone.asked)
        assert setting.refused() == why
        if len(keystone.asked) > asked:
            tried_s.append(now_s)
    assert [later - sooner for sooner, later in pairwise(tried_s)] == [5, 20, 80, 300, 300]
    assert len(keystone.asked) == 2 + 5


def test_a_refused_project_is_named(keystone: FakeKeystone) -> None:
    keystone.status, keystone.unscoped = 401, 201
    why = Setting(keystone, "project_name=lost").refused()
    assert "project 'lost'" in why
    assert "does not exist" in why


def test_patience_ends_with_success(keystone: FakeKeystone) -> None:
    keystone.status = 401
    setting = Setting(keystone)
    setting.refused()
    keystone.status = 201
    setting.pass_time(31)
    setting.identity.sign_in()
    keystone.status, keystone.unscoped = 401, 201
    assert "does not exist" in setting.refused()


def test_the_last_good_token_is_kept_while_keystone_is_away(keystone: FakeKeystone) -> None:
    setting = Setting(keystone)
    held = setting.identity.sign_in()
    keystone.status = 503
    assert "answered 503" in setting.refused()
    assert setting.identity.signed_in is held


def test_only_a_token_of_some_age_is_doubted(keystone: FakeKeystone) -> None:
    setting = Setting(keystone)
    assert not setting.identity.doubt(0)
    held = setting.identity.sign_in()
    setting.pass_time(9)
    assert not setting.identity.doubt(held.issued_ns)
    assert not setting.identity.is_due()
    setting.pass_time(1)
    assert not setting.identity.doubt(held.issued_ns + 1)
    assert setting.identity.doubt(held.issued_ns)
    assert setting.identity.is_due()
    setting.identity.sign_in()
    assert not setting.identity.is_due()


def test_refused_token_is_not_replaced_in_the_second_of_its_revocation(
    keystone: FakeKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one of that second would be refused as well."""
    setting, slept_s = Setting(keystone), list[float]()
    monkeypatch.setattr("downtimer.workers.identity.time.sleep", slept_s.append)
    held = setting.identity.sign_in()
    setting.pass_time(20)
    setting.identity.doubt(held.issued_ns)
    setting.pass_time(0.25)
    setting.identity.doubt(held.issued_ns)  # somebody else's word
    setting.identity.sign_in()
    setting.pass_time(3600)
    setting.identity.sign_in()
    assert slept_s == [0.75]


@pytest.mark.parametrize(
    ("status", "waits_s"),
    [(429, [5, 10, 20, 30, 30]), (500, [5, 10, 20, 30, 30]), (503, [5, 10, 20, 30, 30])],
)
def test_a_keystone_that_fails_is_asked_ever_less_often(
    keystone: FakeKeystone, status: int, waits_s: list[int]
) -> None:
    """However often somebody wants a token."""
    keystone.status = status
    setting = Setting(keystone)
    assert f"answered {status}" in setting.refused()
    asked_s = [0]
    for now_s in range(1, sum(waits_s) + 1):
        setting.pass_time(1)
        asked = len(keystone.asked)
        assert f"answered {status}" in setting.refused()
        if len(keystone.asked) > asked:
            asked_s.append(now_s)
    assert [later - sooner for sooner, later in pairwise(asked_s)] == waits_s
    keystone.status = 201
    setting.pass_time(30)
    assert setting.identity.sign_in().token == f"token-{len(keystone.asked)}"


def test_tokens_that_are_refused_again_and_again_are_replaced_ever_less_often(keystone: FakeKeystone) -> None:
    setting = Setting(keystone)
    signed_in_s = [0]
    held = setting.identity.sign_in()
    for now_s in range(1, 1000):
        setting.pass_time(1)
        if setting.identity.doubt(held.issued_ns):
            assert setting.identity.is_due()
            held = setting.identity.sign_in()
            signed_in_s.append(now_s)
    assert [later - sooner for sooner, later in pairwise(signed_in_s)] == [
        10,
        10,
        10,
        20,
        40,
        80,
        160,
        300,
        300,
    ]
    assert len(keystone.asked) == len(signed_in_s)


@pytest.mark.parametrize(("lifetime_s", "waits_s"), [(-3600.0, [5, 10, 20, 20]), (0.0, [5, 10, 20, 20])])
def test_tokens_that_expire_at_once_are_replaced_a_few_times_a_minute(
    keystone: FakeKeystone, lifetime_s: float, waits_s: list[int]
) -> None:
    keystone.lifetime_s = lifetime_s
    setting = Setting(keystone)
    signed_in_s = []
    for now_s in range(61):
        if setting.identity.is_due():
            setting.identity.sign_in()
            signed_in_s.append(now_s)
        setting.pass_time(1)
    assert [later - sooner for sooner, later in pairwise(signed_in_s)][1:] == waits_s


def test_tokens_of_half_a_minute_are_all_renewed_in_time(keystone: FakeKeystone) -> None:
    keystone.lifetime_s = 30
    setting = Setting(keystone)
    held = setting.identity.sign_in()
    for _ in range(300):
        setting.pass_time(1)
        if setting.identity.is_due():
            held = setting.identity.sign_in()
        assert setting.hand.now_ns < held.expires_ns


def test_a_token_that_never_seems_to_expire_is_renewed_nevertheless(keystone: FakeKeystone) -> None:
    keystone.lifetime_s = 7000 * 366 * 86_400.0
    held = Setting(keystone).identity.sign_in()
    assert held.renew_ns < held.expires_ns == 366 * 86_400 * SECOND_NS


@pytest.mark.parametrize("token", ["", "a\tb", "t\xf6ken"])
def test_a_token_that_no_header_can_hold_is_none(keystone: FakeKeystone, token: str) -> None:
    keystone.subject = token
    assert "gave a token that cannot be sent" in Setting(keystone).refused()


@pytest.mark.parametrize("project", [5, [], {}, "\ud800", "x" * 256])
def test_a_project_that_is_none_is_unknown(keystone: FakeKeystone, project: object) -> None:
    keystone.project = {"id": project, "name": project}
    held = Setting(keystone).identity.sign_in()
    assert (held.project_id, held.project) == (None, None)


def test_a_catalog_that_cannot_be_passed_on_is_asked_for(keystone: FakeKeystone) -> None:
    keystone.catalog = [{"type": "compute", "endpoints": [], "more": "\ud800"}]
    assert Setting(keystone).identity.sign_in().content is None


def test_the_password_goes_where_it_is_configured_to_go(keystone: FakeKeystone) -> None:
    """Keystone's word on where its versions are is not asked for."""
    Setting(keystone).identity.sign_in()
    assert keystone.got == []
    assert len(keystone.asked) == 1


CREDENTIAL = "application_credential_id=abc\napplication_credential_secret=se%cret"


def test_application_credential_says_what_it_is_and_nothing_of_a_project(keystone: FakeKeystone) -> None:
    keystone.unscoped = 201
    Setting(keystone, way=CREDENTIAL).identity.sign_in()
    Setting(keystone, way=CREDENTIAL.replace("_id=abc", "_name=mine")).identity.sign_in()
    by_id, by_name = (auth["identity"]["application_credential"] for auth in keystone.asked)
    assert by_id == {"id": "abc", "secret": "se%cret"}
    user = {"name": "admin", "domain": {"id": "default"}}
    assert by_name == {"name": "mine", "secret": "se%cret", "user": user}
    assert not any("scope" in auth and auth["scope"] for auth in keystone.asked)


def test_application_credential_that_is_refused_is_asked_for_once(keystone: FakeKeystone) -> None:
    keystone.status = keystone.unscoped = 401
    why = Setting(keystone, way=CREDENTIAL).refused()
    assert (
        "refused application credential 'abc': it does not exist, has expired, or its secret is another"
        in why
    )
    assert "correct [global] application_credential_id, application_credential_secret in /etc/down" in why
    assert len(keystone.asked) == 1


def test_token_that_was_given_is_looked_at_once_and_again_at_its_end(keystone: FakeKeystone) -> None:
    keystone.status, keystone.lifetime_s = 200, 100
    setting = Setting(keystone, way="token=given")
    held = setting.identity.sign_in()
    assert (held.token, held.project) == ("given", "admin")
    assert held.renew_ns == held.expires_ns
    assert 98 * SECOND_NS < held.expires_ns <= 100 * SECOND_NS
    setting.pass_time(97)
    assert not setting.identity.is_due()
    keystone.status = 404
    setting.pass_time(3)
    assert setting.identity.is_due()
    why = setting.refused()
    assert "does not accept the token that it was given: it has expired, was revoked" in why
    assert "put a new one into [global] token in /etc/downtimer/conf.ini, and start again" in why
    assert setting.identity.signed_in is held
    assert keystone.asked == []


@pytest.mark.parametrize(("status", "why"), [(401, "does not accept"), (503, "answered 503")])
def test_token_that_cannot_be_looked_at(keystone: FakeKeystone, status: int, why: str) -> None:
    keystone.status = status
    assert why in Setting(keystone, way="token=given").refused()


def test_token_for_no_project_is_refused(keystone: FakeKeystone) -> None:
    keystone.project = None
    why = Setting(keystone).refused()
    assert "gave a token for no project" in why
    assert "name one by [global] project_name in /etc/downtimer/conf.ini" in why


def test_access_rules_are_refused_at_the_first_sign_in(keystone: FakeKeystone) -> None:
    keystone.unscoped = 201
    keystone.more = {"application_credential": {"id": "abc", "access_rules": [{"path": "/"}]}}
    assert "is limited by access rules" in Setting(keystone, way=CREDENTIAL).refused()
