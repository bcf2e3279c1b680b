"""A real InfluxDB behind one that behaves badly: the writer goes on, and every point arrives once."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from downtimer.errors import ExitCode, StoreError
from downtimer.messages import Beat
from downtimer.store.influx import InfluxReader
from downtimer.store.influxclient import AccessError, Client, InfluxError
from downtimer.store.journal import JournalReader, JournalWriter
from downtimer.store.ship import ship
from downtimer.store.sink import InfluxSink
from tests.integration.influx_env import Credentials, InfluxServer, as_text, options, section
from tests.integration.influx_front import (
    DRIP,
    DRIP_BODY,
    ELSEWHERE,
    ENDLESS,
    GARBAGE,
    PASS,
    REDIRECT,
    RESET,
    Front,
)
from tests.integration.influx_run import (
    NOVA,
    STATES,
    count,
    everything,
    filled_journal,
    notes,
    send_samples,
    wait_for_state,
)
from tests.unit.runs import ns
from tests.waiting import wait_until
from tests.writer_env import Bench

pytestmark = pytest.mark.untimed


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    """A journal with one of everything, of a run that has ended."""
    with filled_journal(tmp_path) as writer:
        writer.end_run(ns(50))
        yield writer


@pytest.fixture
def front(tmp_path: Path, influxdb: InfluxServer) -> Iterator[Front]:
    """What stands in front of InfluxDB."""
    with Front(tmp_path / "front", influxdb) as running:
        yield running


@pytest.mark.parametrize(
    ("manners", "said"),
    [
        ("500", "failed: told to answer 500"),
        ("busy 7", "failed: busy"),
        ("429", r"told to answer 429 \(HTTP 429\)"),
        ("200", r"told to answer 200 \(HTTP 200\)"),
        (DRIP, "does not answer in time"),
        (DRIP_BODY, "does not answer in time"),
        (ENDLESS, "failed: aaa"),
        (GARBAGE, "none of InfluxDB's"),
        (RESET, "Connection reset by peer"),
        (REDIRECT, f"redirects to {ELSEWHERE}, which is not followed"),
    ],
)
def test_bad_answers_are_one_line_in_good_time(front: Front, manners: str, said: str) -> None:
    front.behave(manners)
    client = Client(section(front), request_s=1.0)
    for _ in range(2):
        with pytest.raises(InfluxError, match=said) as caught:
            client.write("m f=1i 1")
        assert "\n" not in str(caught.value)
        with pytest.raises(InfluxError):
            list(client.query("SHOW MEASUREMENTS"))
    assert caught.value.retry_after_s == (7.0 if manners == "busy 7" else None)
    front.behave(PASS)
    client.create_database()
    client.write("m f=1i 1")
    assert list(client.query('SELECT "f" FROM "m"'))
    client.close()


def test_what_is_too_large_is_shipped_in_parts(journal: JournalWriter, front: Front) -> None:
    front.behave("too-large 8000")
    shipped = ship(journal.path, section(front), 60)
    assert (shipped.rejected, shipped.left) == (0, 0)
    assert everything(InfluxReader(section(front), None)) == everything(JournalReader(journal.path))


def test_a_refusal_that_blames_no_points_sets_none_apart(journal: JournalWriter, front: Front) -> None:
    front.behave("400")
    with pytest.raises(InfluxError, match="told to answer 400"):
        ship(journal.path, section(front), 30)
    front.behave(PASS)
    shipped = ship(journal.path, section(front), 30)
    assert (shipped.rejected, shipped.left) == (0, 0)
    assert everything(InfluxReader(section(front), None)) == everything(JournalReader(journal.path))


def test_credentials_are_not_taken_along_to_another_server(journal: JournalWriter, tmp_path: Path) -> None:
    heard: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.path)
            self.send_response(204)
            self.end_headers()

    class Redirecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{elsewhere.server_port}{self.path}")
            self.end_headers()

    elsewhere = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    redirecting = ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
    servers = [elsewhere, redirecting]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    try:
        unused = InfluxServer(tmp_path / "unused", port=redirecting.server_port)
        db = section(unused, user="admin", password="right%horse")
        with pytest.raises(InfluxError, match="redirects to") as caught:
            ship(journal.path, db, 30)
        assert "right%horse" not in str(caught.value)
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
    assert heard == []


def test_https_that_nobody_trusts_is_one_line_that_names_the_remedies(
    journal: JournalWriter, tmp_path: Path
) -> None:
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that fails is meant to
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        there = InfluxServer(tmp_path / "unused", port=server.server_port)
        with pytest.raises(
            InfluxError, match=r"certificate that fails: .*\[db\] cacert, or set verify_ssl = no"
        ):
            ship(journal.path, section(there, ssl="yes"), 30)
        with pytest.raises(InfluxError, match=r"^\[db\] cacert: /nowhere/ca.pem: No such file"):
            ship(journal.path, section(there, ssl="yes", cacert="/nowhere/ca.pem"), 30)
        sink = InfluxSink(section(there, ssl="yes", cacert=str(file)))
        sink.write("m f=1i")
        sink.close()
        assert ship(journal.path, section(there, ssl="yes", verify_ssl="no"), 30).left == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_http_and_https_taken_for_each_other_set_nothing_apart(
    tmp_path: Path, journal: JournalWriter, influxdb: InfluxServer
) -> None:
    """With https it answers HTTP with 400, which is what it answers to bad points, too, or breaks off."""
    authority = trustme.CA()
    certificate = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    with InfluxServer(tmp_path / "encrypted", certificate=certificate) as server:
        with pytest.raises(InfluxError, match=r"HTTPS.*nothing of this was taken|reset|[Bb]roken"):
            ship(journal.path, section(server), 30)
        with pytest.raises(InfluxError, match=r"does not speak TLS as it should .* is \[db\] ssl right"):
            ship(journal.path, section(influxdb, ssl="yes"), 30)
        shipped = ship(journal.path, section(server, ssl="yes", verify_ssl="no"), 30)
    assert (shipped.rejected, shipped.left) == (0, 0)


def test_a_name_that_does_not_exist_is_one_line(journal: JournalWriter, tmp_path: Path) -> None:
    unused = InfluxServer(tmp_path / "unused")
    with pytest.raises(InfluxError, match="its name does not resolve"):
        ship(journal.path, section(unused, host="influxdb.invalid"), 30)
    with pytest.raises(InfluxError, match="no name of a host"):
        ship(journal.path, section(unused, host="a..b"), 30)


def test_a_password_may_have_any_letters(tmp_path: Path) -> None:
    credentials = Credentials("администратор", "пароль 密码 %s:")
    with InfluxServer(tmp_path / "influxdb", credentials=credentials) as server:
        client = Client(section(server))
        client.create_database()
        client.write("m f=1i 1")
        client.close()
        client = Client(section(server, password="falsch"))
        with pytest.raises(AccessError, match=r"credentials of \[db\]"):
            client.create_database()
        client.close()


@pytest.mark.parametrize("manners", [DRIP, ENDLESS, "slow 30"])
def test_the_writer_beats_whatever_the_answer_and_every_point_arrives_once(
    tmp_path: Path, influxdb: InfluxServer, front: Front, manners: str
) -> None:
    bench = Bench(tmp_path, db=as_text(options(front)))
    with bench.writer(STATES) as writer, bench.worker() as worker:
        epoch = worker.greet()
        send_samples(worker, epoch, 0)
        wait_until(lambda: count(influxdb, "service_response", "value") == 50, timeout_s=20, what="points")
        front.behave(manners)
        for serial in range(1, 6):
            send_samples(worker, epoch, serial)
        wait_for_state(writer, "failing", timeout_s=60)
        beats = len(writer.of_kind(Beat))
        writer.wait(lambda: len(writer.of_kind(Beat)) >= beats + 3, "beats", timeout_s=30)
        assert writer.process.poll() is None
        assert front.met(manners)
        front.behave(PASS)
        wait_for_state(writer, "ok", timeout_s=90)
        assert writer.finish_run(ns(20), ship_s=30) == ExitCode.DONE
        assert writer.state().backlog == 0
    assert count(influxdb, "service_response", "value") == 300
    assert everything(InfluxReader(section(front), None)) == everything(JournalReader(bench.journal))
    assert notes(section(front)) == []


def test_why_points_are_set_apart_is_in_the_state(tmp_path: Path, influxdb: InfluxServer) -> None:
    bench = Bench(tmp_path, db=as_text(options(influxdb)))
    client = Client(section(influxdb))
    client.create_database()
    client.write(f"service_response value=1i {bench.run.start_utc_ns}")
    client.close()
    with bench.writer([NOVA]) as writer, bench.worker() as worker:
        send_samples(worker, worker.greet(), 0)
        writer.wait(lambda: writer.state().rejected == 50, "points set apart", timeout_s=30)
        assert writer.state().influxdb == "ok"
        assert "field type conflict" in (writer.state().error or "")
        assert writer.finish_run(ns(9), ship_s=30) == ExitCode.DONE
        assert writer.state().backlog == 0
    assert writer.log.count("points are set apart") == 1


def test_a_server_that_listens_and_never_accepts_is_an_error_of_one_line(
    journal: JournalWriter, influxdb: InfluxServer, front: Front
) -> None:
    front.pause()
    try:
        with pytest.raises(StoreError, match="does not answer in time"):
            Client(section(front), request_s=0.5).write("m f=1i")
    finally:
        front.resume()
    assert ship(journal.path, section(front), 30).left == 0
    assert count(influxdb, "service_response", "value") == 100
