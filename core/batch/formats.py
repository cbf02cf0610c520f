"""What is made of the results at the end: a table, and files for annotation tools. Each replaces an older one whole."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from core.batch.results import SCRATCH, Results
from core.datasets.archive import split_suffix
from core.datasets.export import voc_xml, yolo_lines
from core.io import put_out_of_sight, remove, scratch_folder, write_atomic
from core.vision.boxes import turn_boxes
from core.vision.classes import vocabulary
from core.vision.stats import FrameStats
from core.vision.tables import UNKNOWN, write_csv

Record = dict[str, Any]
UNREADABLE, PEOPLE = "unreadable.csv", "people.csv"
PEOPLE_COLUMNS = ("film", "person", "result", "confidence", "from_s", "to_s")


@dataclass
class Summary:
    """What the results say as a whole."""

    photos: int
    """Those that were looked at."""
    films: int
    stats: FrameStats
    unreadable: list[tuple[str, str]]
    """Source and reason."""


class Records:
    """The photos of the results in the order of their names, read from the disk one after the other."""

    def __init__(self, results: Results):
        self._results = results
        places, counts = [], Counter[str]()
        self.films: list[Record] = []
        self.unreadable: list[Record] = []
        for place, record in results.lines():
            if "problem" in record:
                self.unreadable.append({key: record[key] for key in ("photo", "source", "problem")})
            elif "people" in record:
                self.films.append({key: record[key] for key in ("photo", "people")})
            else:
                places.append((record["photo"], place))
                counts.update(face["result"] for face in record["faces"])
        self._places = [place for _, place in sorted(places)]
        for records in (self.films, self.unreadable):
            records.sort(key=lambda record: record["photo"])
        self.classes = vocabulary(tuple(sorted(set(counts) - {UNKNOWN})))
        """What the faces were classified as, without ``UNKNOWN``."""
        self.names = (*self.classes, *([UNKNOWN] if counts[UNKNOWN] else []))
        """The same with it, if there are such faces."""
        self.stats = FrameStats(tuple(counts[name] for name in self.classes), self.classes, counts[UNKNOWN])

    def __iter__(self) -> Iterator[Record]:
        with self._results.path.open("rb") as file:
            for place in self._places:
                file.seek(place)
                yield json.loads(file.readline())

    def __len__(self) -> int:
        return len(self._places)

    def rows(self) -> Iterator[Record]:
        """A row for each face."""
        for record in self:
            yield from record["faces"]


def write_formats(results: Results, formats: tuple[str, ...]) -> Summary:
    """Write the results in these formats, keys of ``FORMATS``, and the list of what could not be read.

    Raises:
        OSError: they cannot be written; each format is then the old one or the new one.
    """
    records = Records(results)
    for name in formats:
        FORMATS[name](results.folder, records)
    if records.films:
        rows = ({"film": film["photo"]} | person for film in records.films for person in film["people"])
        _write_text(results.folder / PEOPLE, lambda file: write_csv(file, rows, PEOPLE_COLUMNS))
    path = results.folder / UNREADABLE
    if records.unreadable:
        _write_text(path, lambda file: write_csv(file, records.unreadable, ("photo", "source", "problem")))
    else:
        path.unlink(missing_ok=True)
    unreadable = [(record["source"], record["problem"]) for record in records.unreadable]
    return Summary(len(records), len(records.films), records.stats, unreadable)


def _write_text(path: Path, write: Callable[[Any], object]) -> None:
    def fill(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            write(file)

    write_atomic(path, fill)


def _write_csv(folder: Path, records: Records) -> None:
    _write_text(folder / "faces.csv", lambda file: write_csv(file, records.rows()))


def _write_jsonl(folder: Path, records: Records) -> None:
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    _write_text(folder / "faces.jsonl", lambda file: file.writelines(lines))


# For annotation tools: the photos as they are stored, not turned. A face without a prediction is of a class of its own.


def _stored(record: Record) -> tuple[tuple[int, int], np.ndarray]:
    """Size of the photo as it is stored, and its boxes (n, 4)."""
    size_wh, back = (record["width"], record["height"]), -record["turned"] % 4
    boxes = np.array([[face[key] for key in ("x1", "y1", "x2", "y2")] for face in record["faces"]], np.float32)
    return size_wh[::-1] if back % 2 else size_wh, turn_boxes(boxes, back, size_wh)


def _write_coco(folder: Path, records: Records) -> None:
    def images() -> Iterator[dict]:
        for number, record in enumerate(records, start=1):
            (width, height), _ = _stored(record)
            yield {"id": number, "file_name": record["photo"], "width": width, "height": height}

    def annotations() -> Iterator[dict]:
        face_number = 0
        for number, record in enumerate(records, start=1):
            for face, (x1, y1, x2, y2) in zip(record["faces"], _stored(record)[1].tolist(), strict=True):
                face_number += 1
                yield {
                    "id": face_number,
                    "image_id": number,
                    "category_id": records.names.index(face["result"]) + 1,
                    "bbox": [round(value, 1) for value in (x1, y1, x2 - x1, y2 - y1)],
                    "area": round((x2 - x1) * (y2 - y1), 1),
                    "iscrowd": 0,
                    "score": face["confidence"],
                }

    def write(file: Any) -> None:
        file.write(f'{{"categories": {json.dumps([{"id": i, "name": n} for i, n in enumerate(records.names, 1)])}')
        for key, values in (("images", images()), ("annotations", annotations())):
            file.write(f',\n"{key}": [')
            for i, value in enumerate(values):
                file.write((",\n" if i else "\n") + json.dumps(value, ensure_ascii=False))
            file.write("]")
        file.write("}\n")

    _write_text(folder / "coco" / "annotations.json", write)


def _write_voc(folder: Path, records: Records) -> None:
    def text(record: Record) -> str:
        size_wh, boxes = _stored(record)
        results = [face["result"] for face in record["faces"]]
        faces = ((name, name == UNKNOWN, box) for name, box in zip(results, boxes.tolist(), strict=True))
        return voc_xml(record["photo"].rpartition("/")[2], size_wh, faces)

    _write_files(folder / "voc" / "annotations", ".xml", records, text)


def _write_yolo(folder: Path, records: Records) -> None:
    def text(record: Record) -> str:
        size_wh, boxes = _stored(record)
        numbers = [records.names.index(face["result"]) for face in record["faces"]]
        return yolo_lines(size_wh, zip(numbers, boxes.tolist(), strict=True))

    _write_files(folder / "yolo" / "labels", ".txt", records, text)
    names = yaml.safe_dump({"train": "images", "names": dict(enumerate(records.names))}, allow_unicode=True)
    _write_text(folder / "yolo" / "data.yaml", lambda file: file.write(names))


def _write_files(target: Path, suffix: str, records: Records, text: Callable[[Record], str]) -> None:
    """A file for each photo, below a folder that replaces the older one as a whole."""
    target.parent.mkdir(exist_ok=True)
    with scratch_folder(target.parent.parent, SCRATCH) as scratch:
        for record in records:
            path = scratch / (split_suffix(record["photo"])[0] + suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(record), encoding="utf-8")
        old = put_out_of_sight(target, SCRATCH) if target.exists() else None
        scratch.rename(target)
    if old:
        remove(old)


FORMATS: dict[str, Callable[[Path, Records], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "coco": _write_coco,
    "voc": _write_voc,
    "yolo": _write_yolo,
}
