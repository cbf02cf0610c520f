"""A data set as one zip, as people corrected it: class folders, Pascal VOC, YOLO or COCO.

What is excluded as a whole is left out. A face that is excluded or difficult keeps its place where the format can say
so: ``difficult`` in Pascal VOC, ``iscrowd`` in COCO; YOLO and class folders leave it out.
"""

import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import cv2
import numpy as np
import yaml

from core.access import for_operators
from core.config import cache_dir
from core.datasets.formats import IMAGE_FOLDERS, NOTE_FOLDERS, SPLITS, DataError, Picture
from core.datasets.index import Index
from core.io import atomic_file, sweep_partial
from core.jobs import Report, no_report
from core.language import mark, tr
from core.quota import check_disk
from core.vision.boxes import square_boxes
from core.vision.crops import cut
from core.vision.images import ImageError, read_image

FORMATS = {
    "class_folders": mark("Class folders"),
    "pascal_voc": "Pascal VOC",
    "yolo": "YOLO",
    "coco": "COCO",
}
# Around a face that is cut out for a class folder, as a share of its longer side: what a classifier wants to see.
MARGIN = 0.25
_NO_NAMES = IMAGE_FOLDERS | SPLITS.keys() | {name for names in NOTE_FOLDERS.values() for name in names}


def formats_of(index: Index) -> tuple[str, ...]:
    """The keys of ``FORMATS`` that a set can be had in: without boxes, class folders alone."""
    return ("class_folders",) if index.pictures and index.pictures[0].whole else tuple(FORMATS)


@for_operators
def export(index: Index, form: str, report: Report = no_report) -> Path:
    """Write the zip beside the set's index, in place of an older one.

    Args:
        index: of the set, with its edits.
        form: a key of ``formats_of``.

    Raises:
        DataError: nothing is left to export.
        QuotaError: the disk is full.
        OSError: the zip cannot be written.
    """
    pictures = [(picture, row) for picture, row in zip(index.pictures, index.rows, strict=True) if not picture.excluded]
    if not pictures:
        raise DataError(tr("Every image of this set is excluded; nothing is left to download."))
    check_disk("data_gb", sum(int(row["bytes"]) for _, row in pictures))
    folder = cache_dir(index.dataset.name) / "export"
    folder.mkdir(parents=True, exist_ok=True)
    sweep_partial(folder)
    path = folder / f"{index.dataset.name}-{form}.zip"
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:  # JPEG files do not get smaller
        write = _Writer(archive, index.classes, form)
        for done, (picture, row) in enumerate(pictures):
            report(done, len(pictures), tr("Packing images"))
            write.picture(picture, (int(row["width"]), int(row["height"])))
        write.end()
    for old in folder.glob("*.zip"):
        if old != path:
            old.unlink(missing_ok=True)
    return path


class _Writer:
    """Fills the zip, picture by picture."""

    def __init__(self, archive: zipfile.ZipFile, classes: tuple[str, ...], form: str):
        self.archive, self.classes, self.form = archive, classes, form
        self.names: set[str] = set()
        self.splits: set[str] = set()
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def picture(self, picture: Picture, size_wh: tuple[int, int]) -> None:
        if self.form == "class_folders":
            self._class_folders(picture)
            return
        self.splits.add(picture.split)
        name = self._free(PurePosixPath("images", picture.split), _plain_path(picture), picture.path.suffix)
        self.archive.write(picture.path, name)
        note = PurePosixPath(name).relative_to("images").with_suffix("")
        boxes = picture.xyxy.tolist()
        if self.form == "pascal_voc":
            faces = [(label, i not in picture.counted, boxes[i]) for i, label in enumerate(picture.labels)]
            self.archive.writestr(f"annotations/{note}.xml", voc_xml(PurePosixPath(name).name, size_wh, faces))
        elif self.form == "yolo":
            counted = [(self.classes.index(picture.labels[i]), boxes[i]) for i in picture.counted]
            self.archive.writestr(f"labels/{note}.txt", yolo_lines(size_wh, counted))
        else:
            self._coco(picture, name, size_wh)

    def end(self) -> None:
        if self.form == "yolo":
            parts = {part: str(PurePosixPath("images", part)) for part in sorted(self.splits - {""})}
            names = {**(parts or {"train": "images"}), "names": dict(enumerate(self.classes))}
            self.archive.writestr("data.yaml", yaml.safe_dump(names, allow_unicode=True))
        elif self.form == "coco":
            categories = [{"id": i, "name": name} for i, name in enumerate(self.classes, 1)]
            whole = {"images": self.images, "annotations": self.annotations, "categories": categories}
            self.archive.writestr("annotations.json", json.dumps(whole, ensure_ascii=False))

    def _free(self, folder: PurePosixPath, stem: str, suffix: str) -> str:
        """A path that no other picture has, whatever its suffix: its annotation shares the stem."""
        name, number = f"{folder}/{stem}", 2
        while name.casefold() in self.names:
            name, number = f"{folder}/{stem}-{number}", number + 1
        self.names.add(name.casefold())
        return f"{name}{suffix.lower()}"

    def _class_folders(self, picture: Picture) -> None:
        if picture.whole:
            self.archive.write(picture.path, self._in_class(picture, picture.labels[0], picture.path.suffix))
            return
        if not picture.counted:
            return
        try:
            frame = read_image(picture.path)
        except ImageError:
            return  # readable when it was indexed, gone or broken since
        for i in picture.counted:
            square = square_boxes(picture.xyxy[i], MARGIN)[0]
            crop = cut(frame, np.rint(square))
            jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            self.archive.writestr(self._in_class(picture, picture.labels[i], ".jpg"), jpeg)

    def _in_class(self, picture: Picture, label: str, suffix: str) -> str:
        folder = PurePosixPath(
            picture.split, "".join("_" if c in '/\\:*?"<>|' else c for c in label).strip(". ") or "_"
        )
        return self._free(folder, _plain_path(picture, whole=picture.whole).replace("/", "-"), suffix)

    def _coco(self, picture: Picture, name: str, size_wh: tuple[int, int]) -> None:
        number = len(self.images) + 1
        self.images.append({"id": number, "file_name": name, "width": size_wh[0], "height": size_wh[1]})
        for i, (label, box) in enumerate(zip(picture.labels, picture.xyxy.tolist(), strict=True)):
            x1, y1, x2, y2 = (round(value, 2) for value in box)
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": number,
                    "category_id": self.classes.index(label) + 1,
                    "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                    "area": round((x2 - x1) * (y2 - y1), 2),
                    "iscrowd": int(i not in picture.counted),
                }
            )


def _plain_path(picture: Picture, whole: bool = False) -> str:
    """The picture's path in its set without what the zip says by its own folders, and without its suffix.

    Args:
        picture: any.
        whole: it comes from class folders, of which the last is its class.
    """
    folders = [part for part in PurePosixPath(picture.key).parts[:-1] if part.casefold() not in _NO_NAMES]
    return "/".join([*(folders[:-1] if whole else folders), os.path.splitext(picture.path.name)[0]])  # noqa: PTH122


def voc_xml(name: str, size_wh: tuple[int, int], faces: Iterable[tuple[str, bool, Sequence[float]]]) -> str:
    """A picture's annotation as Pascal VOC has it.

    Args:
        name: the picture's file name.
        size_wh: of the picture.
        faces: class, whether it is difficult, and box in pixels.
    """
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = name
    size = ElementTree.SubElement(root, "size")
    for side, value in zip(("width", "height", "depth"), (*size_wh, 3), strict=True):
        ElementTree.SubElement(size, side).text = str(value)
    for label, difficult, (x1, y1, x2, y2) in faces:
        face = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(face, "name").text = label
        ElementTree.SubElement(face, "difficult").text = str(int(difficult))
        place = ElementTree.SubElement(face, "bndbox")
        # Pascal VOC counts pixels from 1.
        for side, corner in zip(("xmin", "ymin", "xmax", "ymax"), (x1 + 1, y1 + 1, x2, y2), strict=True):
            ElementTree.SubElement(place, side).text = f"{corner:.1f}"
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def yolo_lines(size_wh: tuple[int, int], faces: Iterable[tuple[int, Sequence[float]]]) -> str:
    """A picture's annotation as YOLO has it.

    Args:
        size_wh: of the picture.
        faces: number of the class, and box in pixels.
    """
    (width, height), lines = size_wh, []
    for number, (x1, y1, x2, y2) in faces:
        shares = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
        lines.append(" ".join([str(number), *(f"{share:.6f}" for share in shares)]) + "\n")
    return "".join(lines)
