"""Downloads from a local server that fails in the ways of real ones."""

import hashlib
import http.server
import re
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinyproto.data.download import download, md5_of

CONTENT = np.random.default_rng(0).bytes(700_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers["Range"])
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if asked and server.supports_ranges:
            start = int(asked[1])
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
        else:
            self.send_response(200)
        if server.sends_length:
            self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        rest = server.content[start:]
        self.wfile.write(rest[: server.stops_after])
        if server.silent:
            self.wfile.flush()
            server.released.wait(5)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.status, server.ranges = CONTENT, None, []
        server.supports_ranges, server.sends_length, server.stops_after = True, True, None
        server.silent, server.released = False, threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}/file.gz"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "mnist" / "file.gz"


def part_of(path):
    return path.with_name(path.name + ".part")


def failure(kind, *arguments):
    """The message of the expected error: one line that starts with the address."""
    with pytest.raises(kind) as caught:
        download(*arguments)
    message = str(caught.value)
    assert message.startswith(f"{arguments[0]}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("sends_length", [True, False])
def test_a_complete_file(server, path, sends_length):
    server.sends_length = sends_length
    seen = []
    assert download(server.url, path, MD5, progress=lambda *call: seen.append(call)) == path
    assert path.read_bytes() == CONTENT
    assert md5_of(path) == MD5
    assert not part_of(path).exists()
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT) if sends_length else None)


def test_an_existing_file_is_not_downloaded_again(server, path):
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    download(server.url, path, MD5)
    assert server.ranges == []


def test_a_wrong_file_under_the_final_name_is_replaced(server, path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    download(server.url, path, MD5)
    assert path.read_bytes() == CONTENT


def test_an_interrupted_download_is_continued(server, path):
    server.stops_after = 300_000
    message = failure(ConnectionError, server.url, path, MD5)
    assert "300,000 of 700,000 bytes" in message
    assert not path.exists()
    assert part_of(path).read_bytes() == CONTENT[:300_000]
    failure(ConnectionError, server.url, path, MD5)
    assert not path.exists()

    server.stops_after = None
    seen = []
    download(server.url, path, MD5, progress=lambda *call: seen.append(call))
    assert path.read_bytes() == CONTENT
    assert not part_of(path).exists()
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-"]
    assert seen == [(700_000, 700_000)]


def test_a_server_without_ranges_sends_all_of_it_again(server, path):
    server.stops_after = 300_000
    failure(ConnectionError, server.url, path, MD5)
    server.supports_ranges, server.stops_after = False, None
    download(server.url, path, MD5)
    assert server.ranges == [None, "bytes=300000-"]
    assert path.read_bytes() == CONTENT


def test_a_complete_part_needs_no_network(server, path):
    path.parent.mkdir(parents=True)
    part_of(path).write_bytes(CONTENT)
    download(server.url, path, MD5)
    assert server.ranges == []
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_downloaded_again(server, path):
    path.parent.mkdir(parents=True)
    part_of(path).write_bytes(CONTENT + b"more")
    download(server.url, path, MD5)
    assert server.ranges == ["bytes=700004-", None]
    assert path.read_bytes() == CONTENT


def test_a_wrong_checksum(server, path):
    server.content = b"<html>log in to this network first</html>"
    found = hashlib.md5(server.content).hexdigest()
    message = failure(ValueError, server.url, path, MD5)
    assert f"expected md5 {MD5}, found {found}" in message
    assert not path.exists()
    assert not part_of(path).exists()

    server.content = CONTENT
    download(server.url, path, MD5)
    assert path.read_bytes() == CONTENT


def test_a_part_with_other_content(server, path):
    path.parent.mkdir(parents=True)
    part_of(path).write_bytes(b"?" * 1000)
    failure(ValueError, server.url, path, MD5)
    assert not path.exists()
    assert not part_of(path).exists()


@pytest.mark.parametrize("status", [404, 403, 500, 416])
def test_http_errors(server, path, status):
    server.status = status
    assert str(status) in failure(ConnectionError, server.url, path, MD5)
    assert not path.exists()
    part_of(path).write_bytes(CONTENT[:1000])
    failure(ConnectionError, server.url, path, MD5)
    assert not path.exists()
    assert part_of(path).read_bytes() == CONTENT[:1000]


def test_a_server_that_stops_answering(server, path, monkeypatch):
    monkeypatch.setattr("tinyproto.data.download.TIMEOUT", 0.1)
    server.stops_after, server.silent = 300_000, True
    assert "timed out" in failure(ConnectionError, server.url, path, MD5)
    assert not path.exists()
    server.stops_after, server.silent = None, False
    monkeypatch.setattr("tinyproto.data.download.TIMEOUT", 60)  # a slow machine is no failure
    download(server.url, path, MD5)
    assert path.read_bytes() == CONTENT


def test_no_server(path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.gz"
        assert "refused" in failure(ConnectionError, url, path, MD5)
    assert not path.exists()


def test_simultaneous_calls_download_once(server, path):
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(download, server.url, path, MD5) for _ in range(4)]
    assert {future.result() for future in futures} == {path}
    assert path.read_bytes() == CONTENT
    if sys.platform != "win32":  # where there are file locks
        assert len(server.ranges) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="where there are file locks")
def test_simultaneous_calls_without_locks_write_files_of_their_own(server, path, monkeypatch):
    def no_locks(file, operation):
        raise OSError("this file system has no locks")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(download, server.url, path, MD5) for _ in range(4)]
    assert {future.result() for future in futures} == {path}
    assert path.read_bytes() == CONTENT
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".lock", path.name]


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="cache"):
        download(server.url, tmp_path / "cache" / "file.gz", MD5)
    assert server.ranges == []
