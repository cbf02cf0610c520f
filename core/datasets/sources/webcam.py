"""Pictures that people take of themselves: cut to the face, kept under a label, and deleted at one word.

They are an ordinary data set of class folders on this server. Nothing is stored with them but the pixels of the face
and its surroundings: no name, no place, no time.
"""

import re
import secrets
import shutil
import unicodedata
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np

from core.access import for_operators
from core.config import cache_dir, data_dir
from core.datasets.class_folders import GENERIC
from core.datasets.formats import SPLITS, DataError, clean_label
from core.datasets.store import CARD, INCOMING, LINK, clean_name, delete_dataset, names_lock, publish, sweep_data
from core.io import read_json, scratch_folder, write_atomic
from core.language import mark, tr
from core.quota import check_disk
from core.vision.boxes import clip_boxes, square_boxes
from core.vision.crops import cut, fit_within
from core.vision.images import encode_image

DEFAULT_NAME = "webcam-samples"
# Around the face, as a share of its longer side: enough for views that are turned or shifted.
MARGIN = 0.3
MAX_SIDE = 640
MAX_LABEL = 40
# Folders of these names mean something else in a data set, and the last ones cannot exist on Windows.
RESERVED = {*SPLITS, *GENERIC, "con", "nul", "aux"}


def sample_label(text: str) -> str:
    """A label that somebody typed, fit to be a folder's name: letters and digits of any script, - and _.

    Raises:
        DataError: it has other characters, is too long, or means something else in a data set.
    """
    label = unicodedata.normalize("NFC", text.strip())
    if not re.fullmatch(r"[^\W_](?:[\w-]*[^\W_])?", label) or len(label) > MAX_LABEL:
        words = tr("A label is made of letters and digits, with - and _ between them, at most {count}.")
        raise DataError(words.format(count=MAX_LABEL))
    if label.casefold() in RESERVED:
        words = tr("{label!r} has a meaning of its own in data sets; choose another label.")
        raise DataError(words.format(label=label))
    return clean_label(label)


@for_operators
def add_sample(dataset_name: str, frame_bgr: np.ndarray, face_xyxy: np.ndarray, label: str) -> str:
    """Keep one face. The caller has asked the person for consent.

    Args:
        dataset_name: the set, made if it is new.
        frame_bgr: (h, w, 3) uint8, the camera's picture; only the face and its surroundings are kept.
        face_xyxy: (4,) in pixels of the frame.
        label: what it is to be called.

    Returns:
        The picture's key in the set.

    Raises:
        DataError: the label or name cannot be used, or the name belongs to another data set.
    """
    label = sample_label(label)
    box = clip_boxes(square_boxes(face_xyxy, MARGIN), frame_bgr.shape[1::-1])[0]
    picture, _ = fit_within(cut(frame_bgr, np.rint(box)), MAX_SIDE)
    with names_lock():
        folder = _folder(dataset_name)
        check_disk("data_gb")
        _, last = _newest(folder)
        # The number keeps the order; the rest, which nobody can guess, keeps two pictures of one moment apart.
        key = f"{label}/{last + 1:06}-{secrets.token_hex(8)}.jpg"
        if folder.exists():
            _write(folder / key, picture)
        else:
            sweep_data()
            # With its card at once: a folder without one would not be known as own pictures, and not be deleted here.
            with scratch_folder(folder.parent, INCOMING, purpose=folder.name) as made:
                _write(made / key, picture)
                publish(made, folder.name, _card(folder.name))
    return key


def sample_sets() -> list[str]:
    """Names of the data sets of webcam samples that there are."""
    cards = sorted(data_dir().glob(f"*{CARD}"))
    return [name for card in cards if _is_own(data_dir() / (name := card.name.removesuffix(CARD)))]


def count_samples(dataset_name: str) -> dict[str, int]:
    """Pictures per label, by label; empty if there is no such set yet."""
    counts = Counter(path.parent.name for path in _pictures(_folder(dataset_name)))
    return dict(sorted(counts.items()))


@for_operators
def delete_last(dataset_name: str) -> str | None:
    """Delete the picture that was taken last; its key, or ``None`` if there is none."""
    with names_lock():
        folder = _folder(dataset_name)
        path, _ = _newest(folder)
        if path is None:
            return None
        if len(_pictures(folder)) == 1:
            delete_dataset(folder.name)
        else:
            # The thumbnail goes with its picture, and before it; the gallery makes the others again.
            shutil.rmtree(cache_dir(folder.name), ignore_errors=True)
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        return path.relative_to(folder).as_posix()


@for_operators
def delete_all(dataset_name: str) -> int:
    """Delete every picture, with edits, thumbnails and everything else known of them; how many there were."""
    with names_lock():
        folder = _folder(dataset_name)
        count = len(_pictures(folder))
        if folder.exists():
            delete_dataset(folder.name)
        return count


def _folder(dataset_name: str) -> Path:
    """The set's folder, which need not exist.

    Raises:
        DataError: a data set of this name is there and holds other pictures; those are never touched.
    """
    name = clean_name(dataset_name)
    folder = data_dir() / name
    if (folder.exists() and not _is_own(folder)) or folder.is_symlink() or (data_dir() / f"{name}{LINK}").exists():
        words = tr("The data set {name!r} does not hold webcam samples; choose another name.")
        raise DataError(words.format(name=name))
    return folder


def _is_own(folder: Path) -> bool:
    return read_json(folder.parent / f"{folder.name}{CARD}").get("own") is True


def _write(path: Path, picture_bgr: np.ndarray) -> None:
    write_atomic(path, lambda temporary: temporary.write_bytes(encode_image(picture_bgr)))


def _card(name: str) -> dict:
    return {
        "title": mark("Webcam samples") if name == DEFAULT_NAME else name,
        "about": mark("Photos taken with the camera of a visitor, by people who agreed to it."),
        "drawn": False,
        "own": True,
        "date": date.today().isoformat(),
    }


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*.jpg") if not path.name.startswith("."))


def _newest(folder: Path) -> tuple[Path | None, int]:
    """The last picture and its number, 0 if there is none."""
    numbered = [(int(match[1]), path) for path in _pictures(folder) if (match := re.match(r"(\d+)-", path.name))]
    number, path = max(numbered, default=(0, None))
    return path, number
