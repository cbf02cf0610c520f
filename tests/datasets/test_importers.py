import errno
import functools
import hashlib
import http.server
import io
import stat
import struct
import threading
import zipfile

import cv2
import numpy as np
import pytest

from core.datasets.archive import Limits, safe_part
from core.datasets.faces import read_samples
from core.datasets.importers import fetch_report_set, import_zip, make_demo_set
from core.datasets.sources import prajnasb as report_set
from core.datasets.store import DataError, list_datasets, read_pictures
from core.io import scratch_folder
from core.jobs import Cancelled
from core.language import using
from core.vision.images import read_image
from tests.helpers import noise_picture, voc_xml


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MASK_ALLOWED_DIRS", raising=False)
    return tmp_path / "data"


@functools.cache
def picture(seed=1, extension=".jpg"):
    return cv2.imencode(extension, noise_picture(seed, (80, 60)))[1].tobytes()


GOOD = {"with_mask/1.jpg": picture(1), "with_mask/2.jpg": picture(2), "without_mask/1.jpg": picture(3)}


def zip_of(members, **options):
    """An archive of name (or ZipInfo) to bytes, with names exactly as given."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return file


def keys(result):
    return [each.key for each in read_pictures(result.dataset.folder)]


def nothing_left(folder):
    return not folder.exists() or [path.name for path in folder.iterdir() if path.name != ".lock"] == []


def test_a_zip_of_class_folders(data_folder):
    reports = []
    result = import_zip(zip_of(GOOD), "My faces", lambda *how_far: reports.append(how_far))
    assert result.dataset.name == "My-faces" and result.dataset.layout == "class_folders"
    assert (result.pictures, result.broken, result.ignored) == (3, [], [])
    assert keys(result) == list(GOOD)
    assert (data_folder / "My-faces" / "with_mask" / "1.jpg").read_bytes() == GOOD["with_mask/1.jpg"]
    assert list_datasets() == [result.dataset] and result.dataset.card["title"] == "My faces"
    assert reports[-1][:2] == (3, 3)
    assert sorted(path.name for path in data_folder.iterdir()) == [".lock", "My-faces", "My-faces.card.json"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({f"set/{k}": v for k, v in GOOD.items()}, list(GOOD), id="one top folder"),
        pytest.param({f"a/b/{k}": v for k, v in GOOD.items()}, list(GOOD), id="two of them"),
        pytest.param({"only class/1.jpg": picture()}, ["only class/1.jpg"], id="one class"),
        pytest.param({"train/x/1.jpg": picture()}, ["train/x/1.jpg"], id="one part"),
        pytest.param({"x\\1.jpg": picture()}, ["x/1.jpg"], id="backslashes"),
        pytest.param({"./x//1.jpg": picture()}, ["x/1.jpg"], id="dots and double slashes"),
    ],
)
def test_wrapping_folders_are_taken_off(members, expected):
    assert keys(import_zip(zip_of(members), "new")) == expected


def test_annotated_sets_keep_pictures_and_annotations_together():
    members = {
        "set/images/A.jpg": picture(1),
        "set/images/a.jpg": picture(2),
        "set/images/what?.jpg": picture(3),
        "set/annotations/a.xml": voc_xml([("small a", (1, 1, 40, 40))], (80, 60)),
        "set/annotations/A.xml": voc_xml([("capital a", (1, 1, 40, 40))], (80, 60)),
        "set/annotations/what?.xml": voc_xml([("mark", (1, 1, 40, 40))], (80, 60)),
        "set/test.txt": "what?.jpg\n",
        "set/notes.json": "{}",
    }
    result = import_zip(zip_of(members), "new")
    found = {p.path.read_bytes(): p.labels for p in read_pictures(result.dataset.folder)}
    assert found == {picture(1): ("capital a",), picture(2): ("small a",), picture(3): ("mark",)}
    assert len({p.key.casefold() for p in read_pictures(result.dataset.folder)}) == 3
    assert result.ignored == ["set/notes.json: not needed for this layout"]


def test_a_broken_annotation_takes_its_picture_out():
    members = {
        "images/a.jpg": picture(1),
        "images/b.jpg": picture(2),
        "annotations/a.xml": voc_xml([("x", (1, 1, 40, 40))], (80, 60)),
        "annotations/b.xml": "<annotation>",
    }
    result = import_zip(zip_of(members), "new")
    assert keys(result) == ["images/a.jpg"] and result.pictures == 1
    assert result.broken[0].startswith("annotations/b.xml: ")


def test_broken_pictures_are_listed():
    members = {**GOOD, "with_mask/bad.jpg": b"no picture", "with_mask/half.jpg": picture()[:300], "x/empty.png": b""}
    result = import_zip(zip_of(members), "new")
    assert keys(result) == list(GOOD)
    assert [line.split(":")[0] for line in result.broken] == ["with_mask/bad.jpg", "with_mask/half.jpg", "x/empty.png"]


def test_the_reasons_are_in_the_language_of_who_imports(monkeypatch):
    def decode(data):  # in another thread
        if data == b"odd":
            raise RuntimeError

    monkeypatch.setattr("core.datasets.archive.decode_image", decode)
    with using("fr"):
        result = import_zip(zip_of({"with_mask/1.jpg": picture(), "with_mask/2.jpg": b"odd"}), "odd")
    assert result.broken == ["with_mask/2.jpg: Cette image est illisible\u202f; enregistrez-la de nouveau."]


def test_a_member_damaged_within_the_archive_is_listed():
    data = bytearray(zip_of(list(GOOD.items()) + [("with_mask/3.jpg", b"x" * 50_000)]).getvalue())
    start = data.index(b"with_mask/2.jpg") + len("with_mask/2.jpg")
    data[start + 40 : start + 60] = b"\xff" * 20
    result = import_zip(io.BytesIO(data), "new")
    assert "with_mask/2.jpg" not in keys(result) and "with_mask/1.jpg" in keys(result)
    assert any(line.startswith("with_mask/2.jpg: damaged") for line in result.broken)


def special(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        pytest.param("../evil.jpg", picture(), "leads out", id="parent folder"),
        pytest.param("x/../../../evil.jpg", picture(), "leads out", id="parent folder further in"),
        pytest.param("..\\..\\evil.jpg", picture(), "leads out", id="parent folder of Windows"),
        pytest.param("/tmp/evil.jpg", picture(), "leads out", id="absolute"),
        pytest.param("\\\\server\\evil.jpg", picture(), "leads out", id="another server"),
        pytest.param("C:/evil.jpg", picture(), "leads out", id="drive letter"),
        pytest.param("C:\\evil.jpg", picture(), "leads out", id="drive letter and backslash"),
        pytest.param(special("with_mask/l.jpg", stat.S_IFLNK | 0o777), b"/etc/passwd", "a link", id="link"),
        pytest.param(special("with_mask/d.jpg", stat.S_IFCHR | 0o666), b"", "a link or device", id="device"),
        pytest.param(special("with_mask/f.jpg", stat.S_IFIFO | 0o666), b"", "a link or device", id="pipe"),
        pytest.param("more.zip", zip_of(GOOD).getvalue(), "archive within", id="nested zip"),
        pytest.param("with_mask/run.py", b"print()", "neither an image", id="a program"),
        pytest.param("with_mask/x.psd", b"8BPS", "neither an image", id="a picture of another kind"),
        pytest.param("a/" * 20 + "x.jpg", picture(), "deep", id="deep folders"),
        pytest.param("loose.jpg", picture(), "nothing says", id="a picture without a class"),
        pytest.param("readme.txt", b"hello", "not needed", id="a note"),
    ],
)
def test_what_is_not_taken_is_listed(tmp_path, data_folder, name, data, reason):
    result = import_zip(zip_of([*GOOD.items(), (name, data)]), "new")
    assert keys(result) == list(GOOD) and result.broken == []
    assert len(result.ignored) == 1 and reason in result.ignored[0]
    inside = [path.relative_to(data_folder / "new").as_posix() for path in (data_folder / "new").rglob("[!.]*.*")]
    assert sorted(inside) == sorted(GOOD)
    assert not any(path.is_symlink() for path in data_folder.rglob("*"))
    assert not [path for path in tmp_path.rglob("*evil*")]


def test_the_litter_of_file_managers_is_not_even_listed():
    junk = [
        "__MACOSX/with_mask/._1.jpg",
        ".DS_Store",
        "with_mask/Thumbs.db",
        "with_mask/.hidden.jpg",
        "with_mask/desktop.ini",
    ]
    result = import_zip(zip_of({**GOOD, **dict.fromkeys(junk, b"x")}), "new")
    assert keys(result) == list(GOOD) and result.ignored == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice():
    result = import_zip(zip_of([*GOOD.items(), ("with_mask/1.jpg", picture(9))]), "new")
    assert result.ignored == ["with_mask/1.jpg: the same name comes twice"]
    assert (result.dataset.folder / "with_mask" / "1.jpg").read_bytes() == GOOD["with_mask/1.jpg"]


def test_names_that_a_disk_cannot_keep():
    names = ["with_mask/" + "long" * 60 + ".jpg", "with_mask/" + "long" * 61 + ".jpg", "with_mask/con.jpg"]
    names += ["with_mask/a:b.jpg", "with_mask/tab\there.jpg", "with_mask/顔.jpg", "with_mask/1.JPG", "With_Mask/1.jpg"]
    result = import_zip(zip_of({**GOOD, **{name: picture(20 + i) for i, name in enumerate(names)}}), "new")
    found = keys(result)
    assert len(found) == 11 and len({key.casefold() for key in found}) == 11
    assert all(len(part.encode()) <= 100 for key in found for part in key.split("/"))
    assert not any(set(key) & set(':\t*?"<>|\\') for key in found)
    assert "with_mask/顔.jpg" in found and "with_mask/_con.jpg" in found


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "...", " ", "a/b", "a\\b", "a\0b", "NUL", "com1.x", "x" * 999, "é" * 200, "\u202egpj.exe", "a."],
)
def test_safe_parts_are_safe(text):
    part = safe_part(text)
    assert part and part not in (".", "..") and len(part.encode()) <= 82
    assert not set(part) & set('/\\:*?"<>|\0\u202e') and part == part.strip(" .")
    assert safe_part(text) == part


# Refused as a whole


def encrypted():
    data = bytearray(zip_of(GOOD).getvalue())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(mark, start + 1)) >= 0:
            data[start + place] |= 1
    return io.BytesIO(data)


def lying_about_size():
    """Headers that promise ten bytes for a member of a megabyte."""
    data = bytearray(zip_of({"x/1.jpg": b"\0" * 1_000_000}).getvalue())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + place, 10)
    return io.BytesIO(data)


SMALL = Limits(members=100, total_bytes=600_000, picture_bytes=400_000, ratio=100, ratio_from_bytes=100_000)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        pytest.param(lambda: io.BytesIO(b""), "not a zip", id="empty"),
        pytest.param(lambda: io.BytesIO(b"PK\x03\x04 and no more"), "not a zip", id="cut off"),
        pytest.param(lambda: io.BytesIO(picture()), "not a zip", id="a picture"),
        pytest.param(lambda: zip_of({}), "no images", id="no members"),
        pytest.param(lambda: zip_of({"a/b.txt": b"x"}), "no images", id="no pictures"),
        pytest.param(lambda: zip_of({"1.jpg": picture(), "2.jpg": picture()}), "lie loose", id="no class folders"),
        pytest.param(lambda: zip_of({"x/1.jpg": b"bad"}), "no images", id="only broken pictures"),
        pytest.param(encrypted, "password", id="encrypted"),
        pytest.param(lambda: zip_of({f"x/{i}.jpg": b"" for i in range(101)}), "more than 100 files", id="many members"),
        pytest.param(
            lambda: zip_of({f"x/{i}.jpg": b"\0" * 90_000 for i in range(9)}), "unpacks to more than", id="large in all"
        ),
        pytest.param(lambda: zip_of({"x/1.txt": b"\0" * 500_000, "x/1.jpg": b""}), "100 times", id="a bomb"),
        pytest.param(
            lambda: zip_of({"images/1.jpg": picture(), "annotations/c.json": b'{"images" "annotations" "categories"'}),
            r"This archive holds no labelled images. annotations/c\.json: it is no complete JSON",
            id="broken COCO",
        ),
    ],
)
def test_an_archive_that_is_refused_leaves_nothing(data_folder, file, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        import_zip(file(), "new", limits=SMALL)
    assert nothing_left(data_folder)
    assert str(data_folder) not in str(caught.value)


def test_bytes_are_counted_and_not_believed(data_folder):
    with pytest.raises(DataError, match="no images"):
        import_zip(lying_about_size(), "new", limits=SMALL)
    assert nothing_left(data_folder)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_cannot_be_stopped_are_refused(data_folder, method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x/1.jpg", picture())
    with pytest.raises(DataError, match="ordinary"):
        import_zip(file, "new")
    assert nothing_left(data_folder)


def test_a_table_of_contents_of_gigabytes_is_not_read():
    limits = Limits(list_bytes=2000)
    with pytest.raises(DataError, match="more than"):
        import_zip(zip_of({f"x/{i}.jpg": b"" for i in range(100)}), "new", limits=limits)


def test_a_picture_too_large_for_the_limit_is_listed():
    big = np.random.default_rng(0).bytes(500_000)
    limits = Limits(picture_bytes=400_000)
    result = import_zip(zip_of({**GOOD, "with_mask/big.jpg": big}), "new", limits=limits)
    assert keys(result) == list(GOOD) and "larger than" in result.broken[0]


def test_a_cancelled_import_leaves_nothing(data_folder):
    def stop(done, total, text=""):
        raise Cancelled

    with pytest.raises(Cancelled):
        import_zip(zip_of({f"x/{i}.jpg": picture() for i in range(40)}), "new", stop)
    assert nothing_left(data_folder)


def test_a_full_disk_gets_a_sentence(data_folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(DataError, match="disk is full"):
        import_zip(zip_of(GOOD), "new")
    assert nothing_left(data_folder)


def test_a_taken_name_gets_a_sentence():
    import_zip(zip_of(GOOD), "new")
    with pytest.raises(DataError, match="choose another name"):
        import_zip(zip_of(GOOD), "NEW")


def test_what_a_killed_app_left_is_swept_away(data_folder):
    left = data_folder / ".incoming-1-x"
    (left / "set").mkdir(parents=True)
    with scratch_folder(data_folder, ".incoming-") as of_a_living_app:
        import_zip(zip_of(GOOD), "new")
        assert not left.exists() and of_a_living_app.exists()
    assert sorted(path.name for path in data_folder.iterdir()) == [".lock", "new", "new.card.json"]


# The demonstration set


def test_the_demonstration_set_is_always_the_same():
    first, second = make_demo_set(), make_demo_set()
    assert (first.dataset.name, second.dataset.name) == ("demonstration", "demonstration-2")
    assert first.dataset.card["drawn"] and "Demonstration" in first.dataset.card["title"]
    pictures = read_pictures(first.dataset.folder)
    assert len(pictures) == first.pictures == 48
    assert {p.labels[0] for p in pictures} == {"with_mask", "without_mask"}
    for path in (p.path for p in pictures):
        assert path.read_bytes() == (second.dataset.folder / path.relative_to(first.dataset.folder)).read_bytes()
        height, width = read_image(path).shape[:2]
        assert height > width
    assert len(read_samples(first.dataset.folder, 0.15)) == 48


# The report's set


@pytest.fixture
def github(tmp_path, monkeypatch):
    """A stand-in for GitHub with five pictures, and the list that goes with it."""
    root, asked = tmp_path / "github", []
    lines = []
    for i, name in enumerate(
        ["with_mask/0-a b.jpg", "with_mask/1.jpg", "with_mask/2.jpg", "without_mask/1.jpg", "without_mask/2.jpg"]
    ):
        data = picture(50 + i)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
        lines.append(f"{name}\t{len(data)}\t{hashlib.sha256(data).hexdigest()}\n")
    (tmp_path / "list.tsv").write_text("".join(lines))
    monkeypatch.setattr(report_set, "MANIFEST", tmp_path / "list.tsv")
    monkeypatch.setattr(report_set, "WAIT_S", 0.01)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(root))

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.root, server.asked, server.url = root, asked, f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


def test_the_reports_set_is_fetched_and_checked(github, data_folder):
    reports = []
    result = fetch_report_set(lambda *how_far: reports.append(how_far[:2]), github.url)
    assert result.dataset.name == "prajnasb" and result.pictures == 5 and result.dataset.card["drawn"]
    assert keys(result)[0] == "with_mask/0-a b.jpg"
    assert reports[0] == (0, 5) and reports[-1] == (5, 5)
    assert sorted(path.name for path in data_folder.iterdir()) == [".lock", "prajnasb", "prajnasb.card.json"]
    with pytest.raises(DataError, match="already"):
        fetch_report_set(base_url=github.url)


def test_an_interrupted_fetch_goes_on_where_it_stopped(github, data_folder):
    hidden = github.root / "without_mask" / "2.jpg"
    hidden.rename(github.root / "away")
    with pytest.raises(DataError, match=r"404 for without_mask/2\.jpg.*kept"):
        fetch_report_set(base_url=github.url)
    assert list_datasets() == []
    hidden.parent.mkdir(exist_ok=True)
    (github.root / "away").rename(hidden)
    partial = data_folder / ".partial-prajnasb"
    here = {path.relative_to(partial).as_posix() for path in partial.rglob("*.jpg")}
    if "with_mask/1.jpg" in here:  # half a file from a killed app is not taken for a whole one
        (partial / "with_mask" / "1.jpg").write_bytes(picture(51)[:-1])
        here.remove("with_mask/1.jpg")
    github.asked.clear()
    assert fetch_report_set(base_url=github.url).pictures == 5
    assert len(github.asked) == 5 - len(here)


def test_other_bytes_than_published_are_refused(github, data_folder):
    (github.root / "with_mask" / "2.jpg").write_bytes(picture(99))
    with pytest.raises(DataError, match=r"with_mask/2\.jpg did not arrive as it was published"):
        fetch_report_set(base_url=github.url)
    assert not (data_folder / ".partial-prajnasb" / "with_mask" / "2.jpg").exists()


def test_without_a_connection_there_is_a_sentence(github):
    url = github.url
    github.shutdown()
    github.server_close()
    with pytest.raises(DataError, match="There is no connection to GitHub"):
        fetch_report_set(base_url=url)


def test_a_cancelled_fetch_keeps_what_arrived(github, data_folder):
    def stop(done, total, text=""):
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch_report_set(stop, github.url)
    assert list_datasets() == [] and list((data_folder / ".partial-prajnasb").rglob("*.jpg"))
    assert fetch_report_set(base_url=github.url).pictures == 5


def test_the_list_of_the_reports_set_is_whole():
    files = report_set.read_manifest()
    assert len(files) == len({file.path for file in files}) == 1376
    assert sum(file.path.startswith("with_mask/") for file in files) == 690
    assert sum(file.path.startswith("without_mask/") for file in files) == 686
    assert all(len(file.sha256) == 64 and file.size > 0 and ".." not in file.path for file in files)


@pytest.mark.parametrize(
    ("answer", "ref"),
    [
        pytest.param(b"cdcf450" + b"0" * 33, "cdcf450" + "0" * 33, id="the full hash"),
        pytest.param(b'{"message": "API rate limit exceeded"}', "master", id="too many questions"),
        pytest.param(OSError("offline"), "master", id="offline"),
    ],
)
def test_where_the_files_are(monkeypatch, answer, ref):
    def get(url, limit, accept):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(report_set, "_get", get)
    assert report_set._github_url() == (
        f"https://raw.githubusercontent.com/prajnasb/observations/{ref}/experiements/data"
    )
