"""What counts as an answer to a request over HTTP, and what of it is known when."""

import gc
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downtimer.workers.http_answer import HEAD_MAX, HttpAnswer, MalformedError

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Found(NamedTuple):
    """What came of some bytes, after which the connection ended."""

    status: int | None
    is_complete: bool
    is_kept_alive: bool
    is_malformed: bool


def hear(*parts: bytes, answer: HttpAnswer | None = None) -> Found:
    """Take an answer part by part, as a probe does: no further than it is complete or known to be no good."""
    answer = answer or HttpAnswer()
    is_malformed = False
    try:
        for part in parts:
            if part and not answer.is_complete:
                answer.take(part)
    except MalformedError:
        is_malformed = True
    if not is_malformed:
        answer.end()
    answer.let_go()
    return Found(answer.status, answer.is_complete, answer.is_kept_alive, is_malformed)


GOOD = {
    "with a length": HI,
    "no body": b"HTTP/1.1 204 Nothing\r\n\r\n",
    "no body although there is a length": b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n",
    "in chunks": CHUNKED + b"2\r\nhi\r\n0\r\n\r\n",
    "in chunks with an extension": CHUNKED + b"2;a=b\r\nhi\r\n0\r\n\r\n",
    "in chunks with a trailer": CHUNKED + b"2\r\nhi\r\n0\r\nX: y\r\n\r\n",
    "in Chunks": CHUNKED.replace(b"chunked", b"Chunked") + b"2\r\nhi\r\n0\r\n\r\n",
    "to the end": b"HTTP/1.1 200 OK\r\n\r\nhi",
    "of HTTP/1.0 to the end": b"HTTP/1.0 200 OK\r\n\r\nhi",
    "of HTTP/1.0": HI.replace(b"1.1", b"1.0"),
    "of HTTP/1.0 that keeps the connection": HI.replace(b"1.1", b"1.0").replace(
        b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"
    ),
    "that closes the connection": HI.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "without a reason": HI.replace(b" OK", b""),
    "with a reason in UTF-8": HI.replace(b"OK", "Schön".encode()),
    "with a header in Latin-1": HI.replace(b"OK\r\n", "OK\r\nX: Schön\r\n".encode("latin-1")),
    "with lines that end with LF alone": HI.replace(b"\r\n", b"\n"),
    "after hints": b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + HI,
    "after two interim answers": 2 * b"HTTP/1.1 100 Continue\r\n\r\n" + HI,
    "offering an upgrade": HI.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
}
KEPT = GOOD.keys() - {
    "to the end",
    "of HTTP/1.0 to the end",
    "of HTTP/1.0",
    "that closes the connection",
}


@pytest.mark.parametrize("what", GOOD)
def test_good_answer(what: str) -> None:
    answer = HttpAnswer()
    found = hear(GOOD[what], answer=answer)
    has_body = found.status == 200
    assert found == (found.status, True, what in KEPT, False)
    assert answer.size == (2 if has_body else 0)


CUT_OFF = {
    "nothing": b"",
    "a part of the first word": b"HT",
    "a part of the first line": b"HTTP/1.1 2",
    "a part of the head": b"HTTP/1.1 200 OK\r\nX: y\r\n",
    "a part of the body": HI[:-1],
    "some chunks": CHUNKED + b"2\r\nhi\r\n",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("what", CUT_OFF)
def test_answer_that_is_cut_off_is_not_complete(what: str) -> None:
    found = hear(CUT_OFF[what])
    assert not found.is_complete
    assert not found.is_malformed


MALFORMED = {
    "garbage": b"garbage",
    "zeros": bytes(4),
    "a greeting": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTML alone": b"<html>hello</html>",
    "HTTP/2": bytes.fromhex("000012040000000000"),
    "an alert of TLS": bytes.fromhex("15030100020246"),
    "another protocol": b"RTSP/1.0 200 OK\r\n\r\n",
    "an empty line first": b"\r\n" + HI,
    "lower case": b"http" + HI[4:],
    "a version that is none": HI.replace(b"1.1", b"3.7"),
    "a version of two digits": HI.replace(b"1.1", b"11.1"),
    "two blanks": HI.replace(b" 200", b"  200"),
    "a status of two digits": HI.replace(b"200", b"20"),
    "a status of four digits": HI.replace(b"200", b"2000"),
    "a status below 100": HI.replace(b"200", b"099"),
    "a status in words": HI.replace(b"200", b"abc"),
    "an upgrade": b"HTTP/1.1 101 Other\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a header without a colon": HI.replace(b"OK\r\n", b"OK\r\nX\r\n"),
    "a header without a name": HI.replace(b"OK\r\n", b"OK\r\n: y\r\n"),
    "a blank before the colon": HI.replace(b"OK\r\n", b"OK\r\nX : y\r\n"),
    "a zero in a header": HI.replace(b"OK\r\n", b"OK\r\nX: \0\r\n"),
    "a length in words": HI.replace(b": 2", b": two"),
    "a negative length": HI.replace(b": 2", b": -2"),
    "no length": HI.replace(b": 2", b":"),
    "an endless length": HI.replace(b": 2", b": " + b"9" * 30),
    "two lengths": HI.replace(b"OK\r\n", b"OK\r\nContent-Length: 3\r\n"),
    "a length and chunks": CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 2\r\n")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "a coding that we did not ask for": CHUNKED.replace(b"chunked", b"gzip, chunked")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "only another coding": CHUNKED.replace(b"chunked", b"gzip") + b"hi",
    "chunked twice": CHUNKED.replace(b"OK\r\n", b"OK\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n",
    "a chunk without a size": CHUNKED + b"x\r\nhi\r\n0\r\n\r\n",
    "an endless chunk": CHUNKED + b"f" * 20 + b"\r\nhi\r\n",
    "a chunk that is longer than it says": CHUNKED + b"2\r\nhixx\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_no_answer(what: str) -> None:
    found = hear(MALFORMED[what])
    assert found.is_malformed
    assert not found.is_complete


def test_status_is_known_although_the_rest_is_malformed() -> None:
    assert hear(CHUNKED.replace(b"200", b"503") + b"x\r\n").status == 503


def test_what_follows_the_answer_is_no_part_of_it() -> None:
    assert hear(HI + b"garbage") == hear(HI)
    assert hear(HI + HI.replace(b"200", b"500")) == hear(HI)


@given(st.sampled_from([*GOOD.values(), *CUT_OFF.values(), *MALFORMED.values()]), st.data())
def test_it_is_all_the_same_in_what_parts_it_comes(whole: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert hear(*parts) == hear(whole)


def test_head_without_end_is_none() -> None:
    answer = HttpAnswer()
    answer.take(b"HTTP/1.1 200 OK\r\nX: ")
    answer.take(b"x" * (HEAD_MAX - 100))
    with pytest.raises(MalformedError):
        answer.take(b"x" * 100)


def test_many_interim_answers_are_no_long_head() -> None:
    assert hear(*[b"HTTP/1.1 100 Continue\r\n\r\n" * 100] * 20, HI).status == 200


def test_body_is_kept_of_the_status_that_is_asked_for() -> None:
    for status, body in ((503, b"hi"), (500, b"")):
        answer = HttpAnswer(keeps_body_of=503)
        hear(HI.replace(b"200", str(status).encode()), answer=answer)
        assert answer.body == body


def test_answer_leaves_no_cycle_behind() -> None:
    """One is made per probe, and the worker's collector runs seldom."""
    hear(HI)
    gc.collect()
    hear(HI)
    assert gc.collect() == 0
