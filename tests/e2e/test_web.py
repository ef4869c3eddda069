"""The page of `pixkin web` over a real daemon: every answer is as `openapi.json` describes it."""

import base64
import io
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.client.web.contract import complaints
from tests.e2e.conftest import Home, new_home, picture
from tests.waiting import wait_for
from tests.webserver import Reply, WebServer, answer, free_port, served

from pixkin.web.peers import listener

pytestmark = [pytest.mark.e2e]

HOSTILE = b"<script>\x1b[2J\n\xff.jpg"


@pytest.fixture(scope="module")
def home(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with photos in two folders: a copy, a smaller version, and one with a hostile name."""
    with new_home() as made:
        made.configure(web={"allow_trash": True})
        for photo in photos[:6]:
            made.copy(photo, f"2019/{photo.name}")
        made.copy(photos[0], f"copy{photos[0].suffix}")
        with Image.open(photos[1]) as image:
            smaller = image.convert("RGB").resize((image.width * 3 // 4, image.height * 3 // 4))
            smaller.save(made.photos / "smaller.jpg", quality=85)
        (made.photos / os.fsdecode(HOSTILE)).write_bytes(picture(7))
        made.index()
        yield made


@pytest.fixture(scope="module")
def server(home: Home) -> Iterator[WebServer]:
    with served(home.env) as made:
        yield made


@pytest.fixture(scope="module")
def library(server: WebServer) -> dict[str, Any]:
    found: dict[str, Any] = server.get("library")
    return found


def as_described(reply: Reply, path: str, method: str = "get") -> Any:  # noqa: ANN401
    """Return what an answer in JSON says, after a comparison with its description."""
    assert complaints(f"/api/v1/{path}", method, reply.status, reply.json) == []
    return reply.json


def id_of(server: WebServer, name: str) -> str:
    """Return the id of the photo with this name."""
    ids = server.get("library")["photos"]["id"]
    photos = (server.get(f"photos/{id_}") for id_ in ids)
    return str(next(photo["id"] for photo in photos if any(file["name"] == name for file in photo["files"])))


def test_status_says_what_the_daemon_does(server: WebServer) -> None:
    """Counts, roots, formats, and that the kernel tells whose connections these are."""
    status = as_described(server.ask("GET", "/api/v1/status"), "status")

    assert status["counts"] == {"indexed": 9, "waiting": 0, "failed": 0, "offline": 0}
    assert (status["web"]["knows_peers"], status["web"]["allow_trash"], status["paused_by"]) == (True, True, "")
    assert [root["state"] for root in status["roots"]] == ["online"]
    assert any(one["live"] and not one["why"] for one in status["formats"])


def test_the_library_is_told_page_by_page(server: WebServer, library: dict[str, Any]) -> None:
    """Each picture once, whatever the size of a page; copies are one picture."""
    found, after = [], ""
    while True:
        reply = server.ask("GET", f"/api/v1/library?n=3&after={after}")
        some = as_described(reply, "library")
        found += some["photos"]["id"]
        if (after := some["next"]) is None:
            break

    assert len(set(found)) == library["total"] == 8
    assert found == library["photos"]["id"]


def test_all_answers_of_a_library_at_rest_have_one_basis(server: WebServer, photos: list[Path]) -> None:
    """Else a page would take its own answer for an old one."""
    similar = f"similar?q={id_of(server, photos[1].name)}"

    assert len({server.get(target)["basis"] for target in (similar, "library", "status")}) == 1


def test_similar_photos_come_in_columns_with_bands_and_a_line(server: WebServer, photos: list[Path]) -> None:
    """All columns have one length, scores fall, and an answer that the browser has is not sent again."""
    id_ = id_of(server, photos[1].name)
    target = f"/api/v1/similar?q={id_}&n=100&min=0.5"
    reply = server.ask("GET", target)
    found = as_described(reply, "similar")
    columns = found["photos"]
    again = server.ask("GET", target, {"If-None-Match": reply.headers["etag"]})
    by_date = as_described(server.ask("GET", f"{target}&sort=date"), "similar")

    assert {len(column) for column in columns.values()} == {found["n"]}
    assert columns["score"] == sorted(columns["score"], reverse=True)
    assert found["cut"] == sum(score >= 0.5 for score in columns["score"]) >= 1
    assert sum(band["n"] for band in found["bands"]) == found["n"] == sum(found["histogram"]["bins"])
    assert id_ not in columns["id"]
    assert all(colour >= 0 for colour in columns["rgb"])
    assert (again.status, again.body) == (304, b"")
    assert by_date["n"] == found["cut"]


def test_a_question_has_photos_weights_crops_folders_and_dates(server: WebServer, photos: list[Path]) -> None:
    """Each of them changes the answer, and an id of a folder needs no memory of the server."""
    one, other = (id_of(server, photo.name) for photo in photos[2:4])
    folders = as_described(server.ask("GET", "/api/v1/folders"), "folders")["folders"]
    below = as_described(server.ask("GET", f"/api/v1/folders?parent={folders[0]['id']}"), "folders")["folders"]
    everywhere = server.get(f"similar?q={one}&not={other}&w={other}:0.5&crop={one}:0,0,0.5,0.5")
    plain = server.get(f"similar?q={one}")
    within = server.get(f"similar?q={one}&in={below[0]['id']}")
    never = server.get(f"similar?q={one}&to=1801")
    none = server.ask("GET", f"/api/v1/similar?q={one}&in={folders[0]['id']}.aaaaaaaa")

    assert [(folder["name"], folder["more"]) for folder in folders] == [("photos", True)]
    assert [(folder["name"], folder["count"]) for folder in below] == [("2019", 6)]
    assert 0 < within["n"] < plain["n"]
    assert everywhere["photos"]["score"] != plain["photos"]["score"]
    assert (never["n"], none.status) == (0, 404)


def test_the_timeline_counts_every_photo(server: WebServer) -> None:
    """By month."""
    months = as_described(server.ask("GET", "/api/v1/timeline"), "timeline")["months"]

    assert sum(month["n"] for month in months) == 8


def test_a_hostile_name_is_shown_escaped(server: WebServer) -> None:
    """Control characters and bytes that are no UTF-8 are escapes in the text; the path itself comes as base64."""
    shown = r"<script>\x1b[2J\n\xff.jpg"
    id_ = id_of(server, shown)
    (file,) = as_described(server.ask("GET", f"/api/v1/photos/{id_}"), "photos/{id}")["files"]

    assert file["name"] == shown
    assert base64.b64decode(file["path_b64"]).endswith(b"/" + HOSTILE)


def test_all_files_of_a_photo_are_told(server: WebServer, photos: list[Path]) -> None:
    """Copies are files of one photo, and a photo that never was is none."""
    id_ = id_of(server, f"copy{photos[0].suffix}")
    photo = as_described(server.ask("GET", f"/api/v1/photos/{id_}"), "photos/{id}")
    (caption,) = as_described(server.post("photos/resolve", {"ids": [id_]}), "photos/resolve", "post")["photos"]
    nobody = server.ask("GET", f"/api/v1/photos/{'a' * 26}")

    assert (photo["state"], len(photo["files"]), caption["copies"]) == ("here", 2, 2)
    assert nobody.status == 404


@pytest.mark.parametrize(("size", "height"), [("S", 256), ("M", 512)])
def test_a_thumbnail_is_a_picture_of_its_own(server: WebServer, photos: list[Path], size: str, height: int) -> None:
    """It may be kept for ever, because its address is its content."""
    target = f"/t/{id_of(server, photos[0].name)}/{size}.jpg"
    reply = server.ask("GET", target)
    again = server.ask("GET", target, {"If-None-Match": reply.headers["etag"]})

    assert (reply.status, reply.headers["content-type"]) == (200, "image/jpeg")
    assert "immutable" in reply.headers["cache-control"]
    with Image.open(io.BytesIO(reply.body)) as image, Image.open(photos[0]) as original:
        assert (image.format, image.height) == ("JPEG", min(height, original.height))
    assert again.status == 304
    assert server.ask("GET", f"/t/{'a' * 26}/S.jpg").status == 404
    assert server.ask("GET", f"/t/{target[3:29]}/Q.jpg").status == 404


def upload(server: WebServer, data: bytes, kind: str = "image/jpeg") -> Reply:
    """Drop a photo on the page."""
    return server.ask("POST", "/api/v1/queries", body=data, kind=kind)


def test_a_dropped_photo_is_a_question_that_can_be_asked_again(
    home: Home, server: WebServer, photos: list[Path]
) -> None:
    """It gets an id, is kept without its metadata for this user alone, and is forgotten on request."""
    file = io.BytesIO()
    with Image.open(photos[7]) as image:
        exif = Image.Exif()
        exif[0x010E] = "a secret"
        image.convert("RGB").save(file, "JPEG", exif=exif)
    taken = as_described(upload(server, file.getvalue()), "queries", "post")
    kept = home.folder / f"cache_home/pixkin/queries/{taken['id']}.jpg"
    modes = (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777)
    has_secret = b"secret" in kept.read_bytes()
    photo = as_described(server.ask("GET", f"/api/v1/photos/{taken['id']}"), "photos/{id}")
    found = server.get(f"similar?q={taken['id']}")
    shown = server.ask("GET", f"/t/{taken['id']}/M.jpg")
    forgotten = server.ask("DELETE", f"/api/v1/queries/{taken['id']}")
    lost = server.ask("GET", f"/api/v1/similar?q={taken['id']}")

    assert (taken["known"], photo["state"]) == ([], "pasted")
    assert (modes, has_secret) == ((0o600, 0o700), False)
    assert found["n"] > 0
    assert (shown.status, forgotten.status, kept.exists()) == (200, 204, False)
    assert lost.status == 404
    assert "no longer kept" in lost.json["detail"]


def test_a_dropped_photo_that_the_library_has_is_told_and_not_kept(
    home: Home, server: WebServer, photos: list[Path]
) -> None:
    """Its id is that of the library's photo."""
    taken = as_described(upload(server, photos[0].read_bytes()), "queries", "post")

    assert len(taken["known"]) == 2
    assert taken["id"] == id_of(server, photos[0].name)
    assert not (home.folder / f"cache_home/pixkin/queries/{taken['id']}.jpg").exists()


@pytest.mark.parametrize("data", [b"no image", b"\xff\xd8\xff\xe0 cut", b""])
def test_what_is_no_photo_is_refused_with_the_reason(server: WebServer, data: bytes) -> None:
    """The worker says why, and nothing is kept."""
    reply = upload(server, data, "application/octet-stream")

    assert reply.status == 422 if data else reply.status in (415, 422)
    assert complaints("/api/v1/queries", "post", reply.status, reply.json) == []
    assert reply.json["detail"]


def test_pausing_and_going_on_reach_the_daemon(server: WebServer) -> None:
    """By you, in words."""
    paused = server.post("pause", {"for_s": 60}).status, server.get("status")["paused_by"]
    resumed = server.post("resume").status, server.get("status")["paused_by"]

    assert (paused, resumed) == ((204, "you"), (204, ""))


class Listener:
    """Reads a stream of events."""

    def __init__(self, server: WebServer, last: str = "") -> None:
        self._sock = socket.create_connection(("127.0.0.1", server.port), timeout=240)
        lines = f"GET /api/v1/events HTTP/1.1\r\nHost: {server.host}\r\nCookie: {server.cookie}\r\n"
        self._sock.sendall(f"{lines}Last-Event-ID: {last}\r\n\r\n".encode() if last else f"{lines}\r\n".encode())
        self.events: queue.Queue[tuple[str, str, Any]] = queue.Queue()
        self._kept: list[tuple[str, str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with self._sock.makefile("rb") as stream:
            said: dict[str, str] = {}
            for line in stream:
                name, _, value = line.decode().rstrip("\r\n").partition(": ")
                if name in ("id", "event", "data"):
                    said[name] = value
                elif not name and said.get("event"):
                    self.events.put((said["event"], said.get("id", ""), json.loads(said["data"])))
                    said = {}
        self.events.put(("closed", "", None))

    def wait(self, name: str) -> tuple[str, Any]:
        """Return the number of the next event of this name, and what it says; those of other names are kept for later."""
        at = 0
        while True:
            if at == len(self._kept):
                self._kept.append(self.events.get(timeout=240))
            event, number, said = self._kept[at]
            if event == name:
                del self._kept[at]
                return number, said
            assert event != "closed", name
            at += 1

    def close(self) -> None:
        """Go away as a browser does."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._sock.close()


def test_events_tell_what_happens_and_nothing_is_lost(home: Home, server: WebServer) -> None:
    """A photo that comes is told with its colour, a match of a standing question by its name; whoever comes again gets the rest."""
    listener = Listener(server)
    listener.wait("status")
    data = picture(31)
    question = as_described(upload(server, data), "queries", "post")["id"]
    begun = as_described(
        server.post("watches", {"question": f"q={question}", "min": 0.5, "name": "boats"}), "watches", "post"
    )
    (watch,) = begun["watches"]
    (home.photos / "new.jpg").write_bytes(data)
    came, indexed = listener.wait("indexed")
    listener.wait("generation")
    _, match = listener.wait("match")
    listener.close()
    again = Listener(server, came)
    again.wait("generation")
    again.close()
    stranger = Listener(server, "0-1")
    _, told = stranger.wait("generation")
    stranger.close()
    arrivals = as_described(server.ask("GET", f"/api/v1/watches/{watch['id']}/arrivals"), "watches/{watch}/arrivals")
    new = server.get("status")["new"]
    seen = server.get(f"watches/{watch['id']}/arrivals?after={arrivals['last']}")
    ended = server.ask("DELETE", f"/api/v1/watches/{watch['id']}").status
    (home.photos / "new.jpg").unlink()
    home.sync()
    wait_for(lambda: server.get("status")["counts"]["indexed"] == 9)  # as the other tests expect it

    assert [question] == indexed["id"]
    assert (match["photo"], match["name"], match["path"]) == (question, "boats", str(home.photos / "new.jpg"))
    assert told == {"missed": True}
    assert [one["photo"] for one in arrivals["arrivals"]] == [question]
    assert (new, seen["arrivals"]) == (1, [])
    assert ended == 204
    assert as_described(server.ask("GET", "/api/v1/watches"), "watches")["watches"] == []


def test_the_server_is_small_and_starts_fast(server: WebServer) -> None:
    """It has at most 60 MB after all that was asked."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    resident_kb = int(status.partition("VmRSS:")[2].split()[0])

    assert resident_kb < 60_000


def test_without_a_daemon_the_page_says_so_and_goes_on_when_it_is_back(photos: list[Path]) -> None:
    """Streams end, so that the page asks; the server itself needs no new start. At the end it says goodbye."""
    with new_home() as home, served(home.env) as server:
        absent = server.ask("GET", "/api/v1/status")
        home.index(photos[0])
        there = server.ask("GET", "/api/v1/status").status
        listener = Listener(server)
        listener.wait("status")
        home.daemons[-1].stop(signal.SIGKILL)
        while listener.events.get(timeout=240)[0] != "closed":
            pass
        listener.close()
        home.start()
        wait_for(lambda: server.ask("GET", "/api/v1/status").status == 200)
        listener = Listener(server)
        listener.wait("status")
        ended = server.stop()
        listener.wait("bye")
        listener.close()

    assert (absent.status, absent.json["daemon"], there) == (503, "absent", 200)
    assert ended == (-signal.SIGTERM, "")


def test_systemd_passes_the_socket_and_it_leaves_when_nobody_asks(home: Home) -> None:
    """As `systemd-socket-activate` does: it listens for it, and starts it with the first connection."""
    if (activate := shutil.which("systemd-socket-activate")) is None:
        pytest.skip("systemd-socket-activate is not installed")
    port = free_port()
    command = [
        activate,
        f"--listen=127.0.0.1:{port}",
        str(Path(sys.executable).parent / "pixkin"),
        "web",
        "--idle",
        "0.5",
    ]
    with subprocess.Popen(command, env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for(lambda: listener(("127.0.0.1", port)) is not None)
        with socket.create_connection(("127.0.0.1", port), timeout=240) as sock:
            sock.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            status = answer(sock).status
        said, _ = process.communicate(timeout=240)

    assert (status, said, process.returncode) == (200, b"", 0)


def groups_of(server: WebServer) -> dict[str, dict[str, Any]]:
    """Return the group of copies and that of the smaller version, when a search has ended."""
    wait_for(lambda: bool(server.get("dupes")["done"]))
    found = as_described(server.ask("GET", "/api/v1/dupes"), "dupes")["groups"]
    named = {one["band"]: one for one in found if one["band"] == "identical"}
    smaller = [one for one in found if any(member["name"] == "smaller.jpg" for member in one["members"])]
    return {**named, **({"smaller": smaller[0]} if smaller else {})}


def test_a_group_says_what_differs_and_what_may_go_and_why(server: WebServer) -> None:
    """The exact copy may go, after the one that stays was read; the smaller version has fewer pixels."""
    shown = {
        name: as_described(server.ask("GET", f"/api/v1/dupes/{one['id']}"), "dupes/{group}")
        for name, one in groups_of(server).items()
    }
    copies, smaller = shown["identical"], shown["smaller"]
    facts = {one["fact"]: one for one in smaller["differing"]}

    assert [(len(one["members"]), one["saving"] > 0) for one in (copies, smaller)] == [(2, True), (2, False)]
    assert copies["proposal"]["read"]
    assert copies["proposal"]["keep"] == [copies["members"][0]["file"]]
    assert copies["proposal"]["aside"] == [copies["members"][1]["file"]]
    assert "exact copy" in copies["proposal"]["reason"]
    assert facts["pixels"]["best"] == [0]
    assert server.ask("GET", f"/api/v1/dupes/{'a' * 26}").status == 404


def test_decisions_are_kept_outside_of_the_store_and_undone(home: Home, server: WebServer) -> None:
    """A decision is the same after a new start, has its plan, and an empty one takes it back."""
    group = groups_of(server)["identical"]
    target = f"dupes/{group['id']}/decision"
    keep, aside = (one["file"] for one in group["members"])
    reply = server.ask("GET", f"/api/v1/dupes/{group['id']}")
    decided = server.post(target, {"keep": [keep], "aside": [aside]}, "PUT", If_Match=reply.headers["etag"])
    stale = server.post(target, {"keep": [keep]}, "PUT", If_Match=reply.headers["etag"])
    careless = server.post(target, {"aside": [aside]}, "PUT")
    stranger = server.post(target, {"keep": [group["id"]]}, "PUT")
    with served(home.env) as other:
        again = other.get(f"dupes/{group['id']}")
        plans = {form: other.ask("GET", f"/api/v1/dupes/plan?format={form}") for form in ("paths", "nul", "json", "sh")}
    undone = server.post(target, {}, "PUT")
    empty = server.ask("GET", "/api/v1/dupes/plan")

    assert complaints("/api/v1/dupes/{group}/decision", "put", 200, decided.json) == []
    assert (decided.status, stale.status, careless.status, stranger.status) == (200, 412, 422, 422)
    assert again["decision"]["aside"] == [aside]
    path = str(next(one["path"] for one in group["members"] if one["file"] == aside))
    assert plans["paths"].body == path.encode() + b"\n"
    assert plans["nul"].body == path.encode() + b"\0"
    assert [one["aside"]["path"] for one in plans["json"].json["steps"]] == [path]
    assert f"&& gio trash -- '{path}'" in plans["sh"].body.decode()
    assert all("attachment" in reply.headers["content-disposition"] for reply in plans.values())
    assert (undone.json["decision"], empty.body) == (None, b"")


def test_nothing_is_proposed_if_the_file_that_stays_cannot_be_read(home: Home, server: WebServer) -> None:
    """It may be damaged, or its drive; then its copy is in no plan either."""
    group = groups_of(server)["identical"]
    kept, aside = group["members"]
    target = f"dupes/{group['id']}"
    server.post(f"{target}/decision", {"keep": [kept["file"]], "aside": [aside["file"]]}, "PUT")
    hidden = home.folder / "hidden"
    os.rename(kept["path"], hidden)
    shown = server.get(target)["proposal"]
    plan = server.get("dupes/plan?format=json")
    os.rename(hidden, kept["path"])
    server.post(f"{target}/decision", {}, "PUT")
    home.sync()

    assert (shown["keep"], shown["aside"], shown["read"]) == ([], [], False)
    assert "cannot be read" in shown["reason"]
    assert kept["path"] not in str(plan["steps"])
    assert any(kept["name"] in said for said in plan["left_out"])


def test_an_exact_copy_goes_to_the_trash_and_comes_back(home: Home, server: WebServer) -> None:
    """Only what was set aside goes, and only if it is a copy; a smaller version stays, with the reason."""
    wait_for(lambda: groups_of(server).keys() == {"identical", "smaller"})
    outcomes = {}
    for name, group in groups_of(server).items():
        keep, aside = (one["file"] for one in group["members"])
        none = server.post(f"dupes/{group['id']}/trash").status
        assert server.post(f"dupes/{group['id']}/decision", {"keep": [keep], "aside": [aside]}, "PUT").status == 200
        outcomes[name] = as_described(server.post(f"dupes/{group['id']}/trash"), "dupes/{group}/trash", "post")
        assert none == 409
    copy = Path(outcomes["identical"]["moved"][0])
    was_there = copy.exists()
    back = as_described(server.post("dupes/undo"), "dupes/undo", "post")
    home.sync()
    wait_for(lambda: "identical" in groups_of(server))
    for group in groups_of(server).values():  # the other tests decide themselves
        server.post(f"dupes/{group['id']}/decision", {}, "PUT")

    assert (was_there, copy.exists(), back) == (False, True, {"back": 1, "missing": []})
    assert outcomes["smaller"]["moved"] == []
    assert "no exact copy" in outcomes["smaller"]["stays"][0]["why"]


def test_photos_that_are_no_duplicates_are_told_apart(server: WebServer) -> None:
    """The daemon remembers it, so no search finds them again; and it is undone by an empty decision."""
    wait_for(lambda: "smaller" in groups_of(server))
    target = f"dupes/{groups_of(server)['smaller']['id']}/decision"
    apart = server.post(target, {"apart": True}, "PUT")
    wait_for(lambda: "smaller" not in groups_of(server))
    with served(server.env) as other:
        found = groups_of(other)
    together = server.post(target, {}, "PUT")
    wait_for(lambda: "smaller" in groups_of(server))

    assert (apart.status, apart.json["decision"]["apart"]) == (200, True)
    assert "smaller" not in found
    assert together.status == 200
