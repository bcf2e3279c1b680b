"""What counts as an answer to a request over HTTP, and what of it is known when."""

import gc
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downtimer.workers.http_answer import BODY_MAX, RAW_MAX, HttpAnswer, MalformedError

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Found(NamedTuple):
    """What came of some bytes, after which the connection ended."""

    status: int | None
    is_complete: bool
    is_kept_alive: bool
    is_malformed: bool


def hear(*parts: bytes, answer: HttpAnswer | None = None) -> Found:
    """Take an answer part by part, as a probe does: while there is room and it is not known to be no good."""
    answer = answer or HttpAnswer()
    is_malformed = False
    try:
        for part in parts:
            if part and answer.room:
                answer.take(part[: answer.room])
    except MalformedError:
        is_malformed = True
    if not is_malformed and answer.room:
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
    "with a length that is told twice": HI.replace(b"OK\r\n", b"OK\r\nContent-Length: 2\r\n"),
    "with a length that is told twice, others between": HI.replace(
        b"OK\r\n", b"OK\r\ncontent-length:2 \r\nX: y\r\n"
    ),
    "with a length that is told twice in one line": HI.replace(b": 2", b": 2, 2"),
    "with a length that is told twice, and lines that end with LF alone": HI.replace(
        b": 2", b": 2,2"
    ).replace(b"\r\n", b"\n"),
    "with a length that is told twice, and closed": HI.replace(
        b": 2\r\n", b": 2, 2\r\nConnection: close\r\n"
    ),
    "with a length before chunks": CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 9\r\n")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "with a length after chunks": CHUNKED.replace(b"ed\r\n", b"ed\r\nContent-Length: 9\r\n")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "with a length twice beside chunks": CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 9, 9\r\n")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "in chunks, said twice": CHUNKED.replace(b"OK\r\n", b"OK\r\nTransfer-Encoding: chunked\r\n")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "in chunks with a blank after a size": CHUNKED + b"2 \r\nhi\r\n0\r\n\r\n",
    "with a header that goes on in the next line": HI.replace(b"OK\r\n", b"OK\r\nX: y\r\n z\r\n"),
    "with a control character in a header": HI.replace(b"OK\r\n", b"OK\r\nX: \1\r\n"),
    "with a control character in a trailer": CHUNKED + b"2\r\nhi\r\n0\r\nX: \1\r\n\r\n",
    "with a zero in a header": HI.replace(b"OK\r\n", b"OK\r\nX: \0\r\n"),
    "with a CR in a header": HI.replace(b"OK\r\n", b"OK\r\nX: y\rz\r\n"),
    "with a blank before a colon": HI.replace(b"OK\r\n", b"OK\r\nX : y\r\n"),
    "with a blank in a name": HI.replace(b"OK\r\n", b"OK\r\nX Y: z\r\n"),
    "with a header without a colon": HI.replace(b"OK\r\n", b"OK\r\nX\r\n"),
    "with a header without a name": HI.replace(b"OK\r\n", b"OK\r\n: y\r\n"),
    "with a head of 200 kB": HI.replace(b"OK\r\n", b"OK\r\n" + (b"X: " + b"y" * 50_000 + b"\r\n") * 4),
    "offering an upgrade": HI.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
}
KEPT = GOOD.keys() - {
    "to the end",
    "of HTTP/1.0 to the end",
    "of HTTP/1.0",
    "that closes the connection",
    "with a length that is told twice, and closed",
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
    "a part of a head that llhttp refuses": HI.replace(b": 2\r\n\r\nhi", b": 2, 2\r\n"),
    "a part of a body after a head that llhttp refuses": HI.replace(b": 2", b": 3, 3"),
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
    "a length in words": HI.replace(b": 2", b": two"),
    "a negative length": HI.replace(b": 2", b": -2"),
    "no length": HI.replace(b": 2", b":"),
    "an endless length": HI.replace(b": 2", b": " + b"9" * 30),
    "two lengths": HI.replace(b"OK\r\n", b"OK\r\nContent-Length: 3\r\n"),
    "two lengths in one line": HI.replace(b": 2", b": 2, 3"),
    "two lengths beside chunks": CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 2, 3\r\n")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "no status and a length twice": HI.replace(b"200", b"abc").replace(b": 2", b": 2, 2"),
    "an upgrade and a length twice": HI.replace(b"200", b"101").replace(b": 2", b": 2, 2"),
    "a coding that we did not ask for": CHUNKED.replace(b"chunked", b"gzip, chunked")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "only another coding": CHUNKED.replace(b"chunked", b"gzip") + b"hi",
    "another coding beside chunks": CHUNKED.replace(b"OK\r\n", b"OK\r\nTransfer-Encoding: gzip\r\n")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "a length twice after an interim answer": b"HTTP/1.1 103 Hints\r\n\r\n" + HI.replace(b": 2", b": 2, 2"),
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


def long_head(size: int) -> bytes:
    """Return an answer with a head of this size."""
    rest = HI.replace(b"OK\r\n", b"OK\r\nX: %b\r\n")
    return rest.replace(b"%b", b"x" * (size - len(rest) + len(b"%bhi")))


LONG = {
    "the longest head": long_head(RAW_MAX),
    "a longer one": long_head(RAW_MAX + 1),
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * RAW_MAX,
    "interim answers without end": b"HTTP/1.1 100 Continue\r\n\r\n" * (RAW_MAX // 25 + 1),
    "a head of 20 kB after a hint": b"HTTP/1.1 103 Hints\r\n\r\n" + long_head(20_000),
    "a refused head of 20 kB": long_head(20_000).replace(b": 2", b": 2, 2"),
    "the longest body": b"HTTP/1.1 503 Away\r\nContent-Length: %d\r\n\r\n" % BODY_MAX + b"x" * BODY_MAX,
    "a longer body": b"HTTP/1.1 503 Away\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX + 5000)
    + b"x" * (BODY_MAX + 5000),
    "garbage after so much of a body": CHUNKED + b"%x\r\n" % BODY_MAX + b"x" * BODY_MAX + b"garbage",
    "garbage before that": CHUNKED + b"%x\r\n" % (BODY_MAX - 1) + b"x" * (BODY_MAX - 1) + b"garbage",
    "an extension without end": CHUNKED + b"2;" + b"x" * RAW_MAX,
}


@given(st.sampled_from([*GOOD.values(), *CUT_OFF.values(), *MALFORMED.values(), *LONG.values()]), st.data())
def test_it_is_all_the_same_in_what_parts_it_comes(whole: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    once, again = HttpAnswer(keeps_body_of=503), HttpAnswer(keeps_body_of=503)
    assert hear(*parts, answer=again) == hear(whole, answer=once)
    assert again.body == once.body


@pytest.mark.parametrize("size", [1, 1400])
@pytest.mark.parametrize("what", [*GOOD, *CUT_OFF, *MALFORMED])
def test_it_is_all_the_same_in_small_parts(what: str, size: int) -> None:
    whole = (GOOD | CUT_OFF | MALFORMED)[what]
    size = max(size, len(whole) // 1000)
    assert hear(*(whole[at : at + size] for at in range(0, len(whole), size))) == hear(whole)


@pytest.mark.parametrize("what", LONG)
def test_long_answers_in_segments(what: str) -> None:
    whole = LONG[what]
    once, again = HttpAnswer(keeps_body_of=503), HttpAnswer(keeps_body_of=503)
    parts = (whole[at : at + 1400] for at in range(0, len(whole), 1400))
    assert hear(*parts, answer=again) == hear(whole, answer=once)
    assert again.body == once.body


def test_head_without_end_is_none() -> None:
    assert hear(LONG["the longest head"]).status == 200
    assert hear(LONG["a longer one"]) == Found(None, False, False, True)
    assert hear(LONG["a head without end"]) == Found(None, False, False, True)
    assert hear(LONG["interim answers without end"]) == Found(None, False, False, True)


def test_so_much_of_a_body_is_a_complete_answer() -> None:
    assert hear(LONG["the longest body"]) == Found(503, True, False, False)
    assert hear(LONG["a longer body"]) == Found(503, True, False, False)
    assert hear(LONG["garbage after so much of a body"]) == Found(200, True, False, False)
    assert hear(LONG["garbage before that"]) == Found(200, False, False, True)


def test_many_interim_answers_are_no_long_head() -> None:
    assert hear(*[b"HTTP/1.1 100 Continue\r\n\r\n" * 100] * 20, HI).status == 200


def test_body_is_kept_of_the_status_that_is_asked_for() -> None:
    for status, body in ((503, b"hi"), (500, b"")):
        answer = HttpAnswer(keeps_body_of=503)
        hear(HI.replace(b"200", str(status).encode()), answer=answer)
        assert answer.body == body


def test_answer_leaves_no_cycle_behind() -> None:
    """One is made per probe, and the worker's collector runs seldom."""
    for what in (HI, HI.replace(b": 2", b": 2, 2"), HI.replace(b": 2", b": 2, 3")):
        hear(what)
        gc.collect()
        hear(what)
        assert gc.collect() == 0
