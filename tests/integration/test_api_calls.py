"""The api engine's calls that show who we are: gentle, one attempt each, and fair about whose fault it is."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from downtimer.messages import Answering, TokenRejected, Unfit
from downtimer.model import LOGIN, SECOND_NS, WORKS, Auth, Baseline, Call, Span, TargetId, Verdict
from downtimer.workers import pending
from downtimer.workers.api import ApiEngine
from tests import engines
from tests.engines import Bench
from tests.integration.faults import Server

QUICK = (
    "[global]\nkeystone_endpoint = http://127.0.0.1:1\nuser = it\npassword = open\n"
    "[api]\ninterval = 0.1\ntimeout = 0.4\nworks_interval = 0.5\nlogin_interval = 1\n"
)
AWAY = b"The Keystone service is temporarily unavailable."
YOUNG_S = 10.0
Answer = Callable[["Api"], tuple[int, bytes] | None]  # None: no answer


@dataclass
class Api:
    """A service: its root is well, and calls are answered as the test says.

    Attributes:
        answer: To a call.
        url: Its root.
        heads: Of the requests other than for the root.
        bodies: Of the same.
        unanswered: How many of them are waiting for an answer now.
        most: How many were at most.
    """

    answer: Answer
    url: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    unanswered: int = 0
    most: int = 0

    async def serve(self, _: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("GET / "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        length = next(
            (line.split()[1] for line in head.lower().splitlines() if "content-length" in line), "0"
        )
        self.bodies.append(await reader.readexactly(int(length)))
        self.heads.append(head)
        self.unanswered += 1
        self.most = max(self.most, self.unanswered)
        try:
            answer = self.answer(self)
            if answer is None:
                await reader.read()  # until the client has had enough
                return
            status, body = answer
            writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        finally:
            self.unanswered -= 1

    def tokens(self) -> list[str]:
        """Return the tokens that were shown."""
        return [
            line.split()[1]
            for head in self.heads
            for line in head.splitlines()
            if line.lower().startswith("x-auth-token:")
        ]


def always(status: int, body: bytes = b"") -> Answer:
    """Answer every call like that."""
    return lambda _: (status, body)


def probe(
    answer: Answer, scenario: Callable[[Bench, Api], Awaitable[None]], text: str = QUICK
) -> tuple[Bench, Api]:
    """Run a scenario against a service whose calls are answered so."""
    api = Api(answer)

    async def run(bench: Bench) -> None:
        async with serving(api):
            await scenario(bench, api)
            await bench.engine.finish()

    return engines.work(lambda: Bench(ApiEngine, text), run), api


@contextlib.asynccontextmanager
async def serving(api: Api) -> AsyncIterator[None]:
    """Serve as long as the context lasts."""
    async with Server(api.serve).running() as url:
        api.url = url
        yield


def call(api: Api, check: str = WORKS, auth: Auth = Auth.TOKEN) -> Call:
    """Return a call of the service."""
    return Call(check, f"{api.url}v2/things?limit=1", auth)


def spans(bench: Bench, check: str = WORKS) -> list[Span]:
    """Return the spans of a check, but for stalls of this process, which a busy machine may bring."""
    found = [span for span in bench.spans() if span.check == check]
    return [span for span in found if (span.verdict, *span.causes) != (Verdict.UNKNOWN, "stall")]


def causes(bench: Bench, check: str = WORKS) -> set[str]:
    """Return the causes of a check's spans."""
    return {cause for span in spans(bench, check) for cause in span.causes} - {"stall"}


def until_probed(probes: int, check: str = WORKS) -> Callable[[Bench], Awaitable[None]]:
    """Return what waits for so many judged probes of a check."""

    async def wait(bench: Bench) -> None:
        await bench.until(lambda: sum(span.probes for span in spans(bench, check)) >= probes)

    return wait


def works(
    probes: int = 3, *, age_s: float = 0.0, auth: Auth = Auth.TOKEN, check: str = WORKS
) -> Callable[[Bench, Api], Awaitable[None]]:
    """Return the scenario in which a service is measured until a check has so many probes."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token(age_s=age_s, project_id="abc")
        bench.service("it", api.url, call(api, check, auth))
        await until_probed(probes, check)(bench)

    return scenario


def test_call_shows_the_token_and_is_good_with_2xx() -> None:
    bench, api = probe(always(200, b"{}"), works())
    assert set(api.tokens()) == {"t0"}
    assert api.heads[0].startswith("GET /v2/things?limit=1 HTTP/1.1\r\n")
    assert {span.verdict for span in spans(bench) + spans(bench, "answers")} == {Verdict.UP}
    assert {span.check for span in bench.spans()} == {"answers", "works"}


def test_exchange_of_the_token_asks_for_its_project() -> None:
    bench, api = probe(always(201, b"{}"), works(auth=Auth.RESCOPE))
    assert api.heads[0].startswith("POST /v2/things?limit=1 HTTP/1.1\r\n")
    assert json.loads(api.bodies[0]) == {
        "auth": {
            "identity": {"methods": ["token"], "token": {"id": "t0"}},
            "scope": {"project": {"id": "abc"}},
        }
    }
    assert causes(bench) == set()


def test_login_shows_user_and_password() -> None:
    bench, api = probe(always(201, b"{}"), works(2, auth=Auth.PASSWORD, check=LOGIN))
    auth = json.loads(api.bodies[0])["auth"]
    assert auth["identity"]["password"]["user"] == {
        "name": "it",
        "domain": {"id": "default"},
        "password": "open",
    }
    assert auth["scope"] == {"project": {"name": "admin", "domain": {"id": "default"}}}
    assert causes(bench, LOGIN) == set()


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (500, b"", "http-500"),
        (503, b"", "http-503"),
        (503, b"No server is available to handle this request.", "http-503"),
        (503, AWAY, "http-503-keystone"),
        (429, b"", "throttled"),
    ],
)
def test_cause_of_a_bad_answer(status: int, body: bytes, cause: str) -> None:
    bench, _ = probe(always(status, body), works())
    assert causes(bench) == {cause}
    assert {span.verdict for span in spans(bench, "answers")} == {Verdict.UP}


def test_503_whose_body_never_ends_is_one_nevertheless() -> None:
    """Whether it is for want of Keystone can't be told then."""

    async def drip(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Away\r\nContent-Length: 100\r\n\r\nsorry")
        await reader.read()

    async def scenario(bench: Bench) -> None:
        async with Server(drip).running() as url:
            bench.token()
            bench.service("it", url, Call(WORKS, f"{url}x", Auth.TOKEN))
            await until_probed(2)(bench)
            await bench.engine.finish()

    bench = engines.work(lambda: Bench(ApiEngine, QUICK), scenario)
    assert causes(bench) == {"http-503"}


@pytest.mark.parametrize("status", [300, 302, 403, 404, 405, 400])
def test_call_that_is_not_for_us_when_first_seen_is_given_up_without_a_trace(status: int) -> None:
    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api))
        await bench.until(lambda: bench.said(Unfit))
        await until_probed(8, "answers")(bench)

    bench, api = probe(always(status), scenario)
    (unfit,) = bench.said(Unfit)
    assert (unfit.target, unfit.check) == ("it", WORKS)
    permission = ": not permitted to this user" if status == 403 else ""
    assert unfit.why == f"GET /v2/things?limit=1 answered {status}{permission}"
    assert len(api.heads) == 1
    assert spans(bench) == []


def test_403_after_good_answers_is_down() -> None:
    def answer(api: Api) -> tuple[int, bytes]:
        return (200 if len(api.heads) <= 2 else 403), b""

    bench, _ = probe(answer, works(4))
    assert causes(bench) == {"http-403"}
    assert bench.said(Unfit) == []


def test_403_of_a_run_that_is_gone_on_with_is_down() -> None:
    """A successor of this worker knows by the baseline that the call was good once."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api), baselines={WORKS: Baseline(status_class=2)})
        await until_probed(2)(bench)

    bench, _ = probe(always(403), scenario)
    assert causes(bench) == {"http-403"}


# --- tokens --------------------------------------------------------------------------------------


def test_old_token_that_is_refused_is_our_fault_and_told_once() -> None:
    bench, api = probe(always(401), works(4, age_s=YOUNG_S + 1))
    assert {span.verdict for span in spans(bench)} == {Verdict.UNKNOWN}
    assert causes(bench) == {"token"}
    assert len(api.heads) >= 4
    (told,) = bench.said(TokenRejected)
    assert told.issued_ns < 0


def test_young_token_that_is_refused_is_the_services_fault() -> None:
    bench, _ = probe(always(401), works(4))
    assert causes(bench) == {"http-401"}
    assert bench.said(TokenRejected) == []


def test_who_has_refused_a_young_token_stays_down_as_that_grows_old() -> None:
    async def scenario(bench: Bench, api: Api) -> None:
        bench.token(age_s=YOUNG_S - 0.7)
        bench.service("it", api.url, call(api))
        await asyncio.sleep(0.8)  # two probes at most, the first while it is young
        await until_probed(20)(bench)

    bench, _ = probe(always(401), scenario)
    assert causes(bench) == {"http-401"}
    assert bench.said(TokenRejected) == []


def test_new_token_is_shown_at_once_and_an_old_refusal_forgotten() -> None:
    def answer(api: Api) -> tuple[int, bytes]:
        return (200 if api.tokens()[-1] == "t1" else 401), b""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token("t0", age_s=YOUNG_S + 1)
        bench.service("it", api.url, call(api))
        await bench.until(lambda: bench.said(TokenRejected))
        bench.token("t1")
        await until_probed(5)(bench)

    bench, _ = probe(answer, scenario)
    assert [span.verdict for span in spans(bench)] == [Verdict.UNKNOWN, Verdict.UP]


def test_without_a_token_nothing_is_sent_and_nothing_known() -> None:
    async def scenario(bench: Bench, api: Api) -> None:
        bench.service("it", api.url, call(api))
        await until_probed(3)(bench)

    bench, api = probe(always(200), scenario)
    assert api.heads == []
    assert causes(bench) == {"token"}


def test_first_call_waits_for_the_token_of_a_worker_that_has_just_begun() -> None:
    """It comes right after the targets; until then nothing was asked."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.service("it", api.url, call(api))
        await until_probed(12, "answers")(bench)
        assert spans(bench) == []
        given_ns.append(bench.child.clock.now_ns())
        bench.token()
        await until_probed(2)(bench)

    given_ns: list[int] = []
    bench, _ = probe(always(200), scenario)
    assert causes(bench) == set()
    assert spans(bench)[0].first_sent_ns >= given_ns[0]


def test_refused_password_is_not_shown_again_until_there_is_a_new_token() -> None:
    """Keystone may lock users out who try often."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token(age_s=YOUNG_S + 1)
        bench.service("it", api.url, call(api, LOGIN, Auth.PASSWORD))
        await until_probed(3, LOGIN)(bench)
        assert len(api.heads) == 1
        bench.token("t1")
        await bench.until(lambda: len(api.heads) == 2)

    bench, _ = probe(always(401), scenario)
    assert causes(bench, LOGIN) == {"token"}
    assert bench.said(TokenRejected) == []  # that the password is refused says nothing of the token


def test_token_that_no_header_can_hold_is_not_used() -> None:
    async def scenario(bench: Bench, api: Api) -> None:
        bench.token("t0")
        bench.token("t1\r\nX-Evil: 1")
        bench.service("it", api.url, call(api))
        await until_probed(2)(bench)

    _, api = probe(always(200), scenario)
    assert set(api.tokens()) == {"t0"}


# --- gentle --------------------------------------------------------------------------------------


def test_hung_call_is_not_followed_by_another() -> None:
    """It holds one of the few workers of a service, also after we have given up on it."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api))
        await asyncio.sleep(4)
        assert len(api.heads) == 1
        (found,) = spans(bench)
        assert found.max_gap_ns == 2 * pending.PENDING_NS  # as long as it hangs, it watches the service

    bench, _ = probe(lambda _: None, scenario)
    assert causes(bench) == {"timeout-answer"}
    assert causes(bench, "answers") == set()


def test_call_that_hangs_for_long_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """And that by the next after twice the time; none is waited for beside another."""
    monkeypatch.setattr(pending, "PENDING_NS", SECOND_NS // 2)

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api))
        await bench.until(lambda: len(api.heads) == 3)

    bench, api = probe(lambda _: None, scenario)
    assert api.most == 1
    assert causes(bench) == {"timeout-answer"}
    first, *_, last = spans(bench)
    assert (0.4 + 0.5 + 0.4 + 1.0) * SECOND_NS <= last.first_sent_ns - first.first_sent_ns <= 4 * SECOND_NS
    assert first.watched_ns is not None
    assert abs(first.watched_ns - first.last_sent_ns - 0.4 * SECOND_NS) < SECOND_NS // 10


def answered(status: int) -> bytes:
    """Return an answer without a body."""
    return f"HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n".encode()


def spans_of_a_hang(
    end: Callable[[asyncio.StreamWriter], None], *, held_up_s: float = 0.0
) -> tuple[list[Span], int]:
    """Have a call hang for two seconds and more, and those after it answered well.

    Args:
        end: What the hung one ends with.
        held_up_s: For so long our loop stands still when it does.

    Returns:
        The spans of the calls, and when the hang ended, or we could see it.
    """
    ended = asyncio.Event()
    at_ns: list[int] = []

    async def frozen(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if ended.is_set():
            writer.write(answered(200))
            return
        await ended.wait()
        end(writer)

    async def scenario(bench: Bench) -> None:
        async with Server(frozen).running() as url:
            bench.token()
            bench.service("it", "http://127.0.0.1:1/", Call(WORKS, f"{url}x", Auth.TOKEN))
            await until_probed(1)(bench)
            await asyncio.sleep(2)
            at_ns.append(bench.child.clock.now_ns())
            ended.set()
            if held_up_s:
                await asyncio.sleep(0)
                time.sleep(held_up_s)  # noqa: ASYNC251 - that is the point
                at_ns.append(bench.child.clock.now_ns())
            await until_probed(3)(bench)
            await bench.engine.finish()

    return spans(engines.work(lambda: Bench(ApiEngine, QUICK), scenario)), at_ns[-1]


def test_service_has_recovered_since_a_users_patience_before_a_hung_call_is_answered() -> None:
    """The next call is made at once, and the end of the outage dated by the answer to the hung one."""
    (down, up), at_ns = spans_of_a_hang(lambda writer: writer.write(answered(200)))
    assert (down.verdict, down.probes, up.verdict) == (Verdict.DOWN, 1, Verdict.UP)
    assert up.first_sent_ns - at_ns < SECOND_NS // 10
    assert up.dated_ns is not None
    assert abs(up.dated_ns - (at_ns - 0.4 * SECOND_NS)) < SECOND_NS // 20


@pytest.mark.parametrize(
    "end",
    [
        lambda writer: writer.write(answered(500)),
        lambda writer: None,  # noqa: ARG005 - closed without a word
        lambda writer: writer.transport.abort(),
    ],
    ids=["500", "closed", "reset"],
)
def test_service_whose_hung_call_ends_in_a_failure_was_down_until_then(
    end: Callable[[asyncio.StreamWriter], None],
) -> None:
    """As when a frozen database is killed: what waits for it fails, and whoever asks then is answered."""
    (down, up), at_ns = spans_of_a_hang(end)
    assert (down.verdict, down.probes, up.verdict) == (Verdict.DOWN, 1, Verdict.UP)
    assert up.dated_ns is not None
    assert abs(up.dated_ns - at_ns) < SECOND_NS // 20


def test_gateway_that_loses_its_patience_says_nothing_of_when_the_service_recovered() -> None:
    (down, up), _ = spans_of_a_hang(lambda writer: writer.write(answered(504)))
    assert (down.verdict, up.verdict, up.dated_ns) == (Verdict.DOWN, Verdict.UP, None)


def test_moment_of_our_own_does_not_lose_the_end_of_a_hang() -> None:
    found, at_ns = spans_of_a_hang(lambda writer: writer.write(answered(200)), held_up_s=0.15)
    assert [span.verdict for span in found] == [Verdict.DOWN, Verdict.UP]
    assert found[1].dated_ns is not None
    assert abs(found[1].dated_ns - (at_ns - 0.4 * SECOND_NS)) < SECOND_NS // 4


def test_call_that_was_lost_with_its_service_is_made_again_when_the_root_is_well() -> None:
    """A host that vanished ends no connection, nor does a load balancer that waits for one."""
    is_down = [False]

    async def serve(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if is_down[0]:
            is_call = not head.startswith(b"GET / ")
            hung.extend([1] * is_call)
            await reader.read()  # until the client has had enough
            return
        writer.write(answered(200))

    async def scenario(bench: Bench) -> None:
        async with Server(serve).running() as url:
            bench.token()
            bench.service("it", url, Call(WORKS, f"{url}x", Auth.TOKEN))
            for rounds in (1, 2):
                await until_probed(3)(bench)
                is_down[0] = True
                await bench.until(lambda: len(hung) == rounds)  # noqa: B023 - awaited at once
                await bench.until(lambda: bench.outbox.spans and spans(bench)[-1].verdict is Verdict.DOWN)
                is_down[0] = False
                await bench.until(lambda: spans(bench)[-1].verdict is Verdict.UP)
            await bench.engine.finish()

    hung: list[int] = []
    found = spans(engines.work(lambda: Bench(ApiEngine, QUICK), scenario))
    outages = [(before, after) for before, after in pairwise(found) if before.verdict is Verdict.DOWN]
    assert len(outages) == 2
    for before, after in outages:
        assert after.first_sent_ns - before.last_sent_ns < 3 * SECOND_NS


def test_call_that_hangs_on_while_its_root_comes_and_goes_is_made_again_only_once() -> None:
    """Each may hold one of the service's few workers."""
    is_down = [False]

    async def serve(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"GET / "):
            hung.append(1)
            await reader.read()
        elif is_down[0]:
            writer.write(answered(500))
        else:
            writer.write(answered(200))

    async def scenario(bench: Bench) -> None:
        async with Server(serve).running() as url:
            bench.token()
            bench.service("it", url, Call(WORKS, f"{url}x", Auth.TOKEN))
            await until_probed(1)(bench)
            for _ in range(15):  # also if the root is never well for as long as that
                is_down[0] = True
                await asyncio.sleep(0.2)
                is_down[0] = False
                await asyncio.sleep(0.2)
            assert len(hung) == 2
            await bench.engine.finish()

    hung: list[int] = []
    engines.work(lambda: Bench(ApiEngine, QUICK), scenario)


def test_calls_of_one_service_wait_for_each_other() -> None:
    """Keystone has two, and a hung one holds one of its workers."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api), call(api, LOGIN, Auth.PASSWORD))
        await asyncio.sleep(3)
        assert len(api.heads) == 1

    bench, _ = probe(lambda _: None, scenario)
    assert "pending" in causes(bench) | causes(bench, LOGIN)  # the other one was not observed


def test_unanswered_connection_is_no_hung_call() -> None:
    """Nothing has been asked, so no worker is held."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as clients:
        for _ in range(2):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"

        async def scenario(bench: Bench) -> None:
            bench.token()
            bench.service("it", "http://127.0.0.1:1/", Call(WORKS, f"{url}x", Auth.TOKEN))
            await until_probed(3)(bench)

        bench = engines.work(lambda: Bench(ApiEngine, QUICK), scenario)
    assert causes(bench) == {"timeout-connect"}


def test_fast_failures_are_followed_fast_but_not_as_fast_as_the_root() -> None:
    bench, api = probe(always(500), works(20))
    assert api.most == 1
    (found,) = spans(bench)
    distance_s = (found.last_sent_ns - found.first_sent_ns) / 1e9 / (found.probes - 1)
    assert distance_s == pytest.approx(0.2, abs=0.02)


def test_call_is_made_every_interval_and_the_root_as_often_as_ever() -> None:
    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api))
        await asyncio.sleep(3)

    bench, api = probe(always(200), scenario)
    assert 5 <= len(api.heads) <= 7
    assert 28 <= sum(span.probes for span in spans(bench, "answers")) <= 32


def test_equal_calls_of_several_services_are_made_once() -> None:
    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("one", api.url, call(api))
        bench.service("other", api.url, call(api))
        await asyncio.sleep(2)

    bench, api = probe(always(200), scenario)
    assert len(api.heads) <= 5
    assert {span.target for span in spans(bench)} == {"one", "other"}


# --- whoever else would ask ----------------------------------------------------------------------


def answering(bench: Bench) -> list[bool]:
    """Return what discovery was told: whether a call hangs."""
    return [said.hangs for said in bench.said(Answering)]


def test_whoever_would_ask_waits_for_the_next_answer() -> None:
    """Whatever that is: only a call that hangs says that another one would, too."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        it = bench.service("it", api.url, call(api))
        bench.engine.tell_when_answered(it)
        await bench.until(lambda: answering(bench) == [False])
        assert len(api.heads) == 1
        bench.engine.tell_when_answered(it)
        await bench.until(lambda: answering(bench) == [False, False])
        assert len(api.heads) == 2

    probe(lambda api: (200 if len(api.heads) == 1 else 500, b""), scenario)


def test_whoever_would_ask_is_told_of_a_call_that_hangs() -> None:
    """When it is known, and at once afterwards, of every check."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        it = bench.service("it", api.url, call(api), call(api, LOGIN, Auth.PASSWORD))
        bench.engine.tell_when_answered(it)
        await bench.until(lambda: answering(bench) == [True])
        bench.engine.tell_when_answered(it)
        assert answering(bench) == [True, True]

    probe(lambda _: None, scenario)


def test_nobody_waits_for_calls_that_are_not_made_or_seldom() -> None:
    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        for target in (
            bench.service("none", api.url),
            bench.service("seldom", api.url, call(api)),
            TargetId("service:unknown"),
        ):
            bench.engine.tell_when_answered(target)

    bench, _ = probe(
        lambda _: (200, b""), scenario, QUICK.replace("works_interval = 0.5", "works_interval = 20")
    )
    assert answering(bench) == [False, False, False]


# --- what comes after the timeout ----------------------------------------------------------------


def slowly(status: int, body: bytes, after_s: float) -> Callable[..., Awaitable[None]]:
    """Answer every call like that, so late; the root at once."""

    async def serve(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET / "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        await asyncio.sleep(after_s)
        writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return serve


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (503, AWAY, "http-503-keystone"),
        (503, b"", "timeout-answer"),
        (500, b"", "timeout-answer"),
        (200, b"", "timeout-answer"),
    ],
)
def test_while_keystone_is_away_a_call_is_heard_out(status: int, body: bytes, cause: str) -> None:
    """A service tries for some seconds to reach Keystone before it says that it can't."""
    assert slow_calls(status, body, keystone="http://127.0.0.1:1/") == {cause}


def test_while_keystone_works_no_call_is_heard_out() -> None:
    assert slow_calls(503, AWAY, keystone=None) == {"timeout-answer"}


def test_pending_call_may_still_tell_why_it_hung() -> None:
    """Beyond the hearing out, too: the downtime of such a service is Keystone's."""
    api, late_s = Api(always(200)), 1.5

    async def scenario(bench: Bench) -> None:
        async with Server(slowly(503, AWAY, after_s=late_s)).running() as url, serving(api):
            bench.token()
            bench.service("keystone", api.url, service_type="identity")
            bench.service("it", url, Call(WORKS, f"{url}x", Auth.TOKEN))
            await until_probed(3)(bench)
            await bench.engine.finish()
            await asyncio.sleep(late_s)  # the server's last answer

    hung, told, again, *_ = spans(engines.work(lambda: Bench(ApiEngine, QUICK), scenario))
    assert [set(span.causes) for span in (hung, told, again)] == [
        {"timeout-answer"},
        {"http-503-keystone"},
        {"timeout-answer"},
    ]
    assert told.first_sent_ns - hung.last_sent_ns <= SECOND_NS // 1000  # said of the call that hung
    assert again.first_sent_ns - told.last_sent_ns <= told.max_gap_ns  # observed all the while


def slow_calls(status: int, body: bytes, *, keystone: str | None) -> set[str]:
    """Return the causes of the first calls, which are answered after 1 s, with a Keystone at that URL."""
    api = Api(always(200))

    async def scenario(bench: Bench) -> None:
        async with Server(slowly(status, body, after_s=1.0)).running() as url, serving(api):
            bench.token()
            bench.service("keystone", keystone or api.url, service_type="identity")
            await until_probed(2, "answers")(bench)
            bench.service("it", url, Call(WORKS, f"{url}x", Auth.TOKEN))
            await until_probed(2)(bench)
            await bench.engine.finish()
            await asyncio.sleep(1)  # the server's last answer

    first, *_ = spans(engines.work(lambda: Bench(ApiEngine, QUICK), scenario))
    return set(first.causes)


def test_at_the_end_another_call_is_made_in_place_of_a_pending_one() -> None:
    """So that what is known of the service is not as old as that."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api))
        await until_probed(1)(bench)
        await asyncio.sleep(1)
        ended_ns.append(bench.child.clock.now_ns())
        await bench.engine.finish()
        assert bench.child.clock.now_ns() - ended_ns[0] < SECOND_NS

    ended_ns: list[int] = []
    bench, api = probe(lambda _: None, scenario)
    assert (len(api.heads), api.most) == (2, 1)
    hung, last = spans(bench)
    assert (hung.verdict, last.verdict) == (Verdict.DOWN, Verdict.DOWN)
    assert last.last_sent_ns >= ended_ns[0]


def test_open_span_of_calls_grows_no_further_than_they_were_made() -> None:
    """What a crash leaves of it is evidence: that a call was well answered when it was made."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api))
        await until_probed(1)(bench)
        await asyncio.sleep(2)
        reach = bench.engine.reach()
        assert (reach[WORKS].grown_ns, reach[WORKS].ahead_ns) == (spans(bench)[0].first_sent_ns, 0)
        assert bench.child.clock.now_ns() - reach["answers"].grown_ns < SECOND_NS

    text = QUICK.replace("works_interval = 0.5", "works_interval = 4")
    probe(always(200), scenario, text)


def test_while_a_call_is_pending_the_service_counts_as_failing() -> None:
    """Progress goes on, and tells how long the call has hung as far as a report is concerned."""

    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api))
        await until_probed(1)(bench)
        await asyncio.sleep(2)
        reach = bench.engine.reach()[WORKS]
        assert bench.child.clock.now_ns() - reach.grown_ns < SECOND_NS
        assert reach.ahead_ns <= SECOND_NS

    _, api = probe(lambda _: None, scenario)
    assert len(api.heads) == 2


def test_keystone_says_404_of_a_token_that_it_does_not_accept() -> None:
    bench, _ = probe(always(404), works(2, age_s=YOUNG_S + 1, auth=Auth.RESCOPE))
    assert causes(bench) == {"token"}
    assert bench.said(Unfit) == []


def test_keystone_that_accepted_a_young_token_and_says_404_now_is_down() -> None:
    def answer(api: Api) -> tuple[int, bytes]:
        return (201 if len(api.heads) <= 2 else 404), b""

    bench, _ = probe(answer, works(4, auth=Auth.RESCOPE))
    assert causes(bench) == {"http-401"}


def test_call_that_always_comes_late_is_not_made_more_often() -> None:
    """A login that takes longer than a user's patience is no reason for twenty of them."""

    async def scenario(bench: Bench) -> None:
        async with Server(slowly(201, b"", after_s=0.6)).running() as url:
            bench.token()
            bench.service("it", url, Call(WORKS, f"{url}x", Auth.RESCOPE))
            await asyncio.sleep(5)
            await bench.engine.finish()
            await asyncio.sleep(1)

    bench = engines.work(
        lambda: Bench(ApiEngine, QUICK.replace("works_interval = 0.5", "works_interval = 1")), scenario
    )
    assert sum(span.probes for span in spans(bench)) <= 7


def test_loop_of_ours_that_is_late_makes_no_call_of_a_hung_one() -> None:
    async def scenario(bench: Bench, api: Api) -> None:
        bench.token()
        bench.service("it", api.url, call(api))
        for _ in range(20):
            await asyncio.sleep(0.1)
            time.sleep(0.1)  # noqa: ASYNC251 - that is the point
        assert len(api.heads) == 1

    probe(lambda _: None, scenario)
