"""What annotation tools export, beside Pascal VOC, YOLO and COCO: one entry of ``TOOLS`` for each format that is read,
one of ``REFUSED`` for each that is only recognized.

A format says how a file is told, which pictures it names, and how one of its faces is read. Everything else (finding
the picture, clipping boxes, leaving out what is broken, parts of a split) is done by ``core.datasets.readers``.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from core.datasets.notes import NoteError, mentions, read_csv, read_json, read_xml
from core.language import mark, tr


class Face(NamedTuple):
    """One face as an annotation file has it."""

    label: object
    xyxy: tuple[float, float, float, float]
    """Pixels, unless the format counts in shares of the picture."""
    difficult: bool = False


class Named(NamedTuple):
    """What a file says of one picture."""

    picture: str
    """The name that the file has for it."""
    faces: Iterable[Any]
    """As the document has them, each for the format's ``face``."""
    split: str = ""
    """The name of a part, if the file states one."""
    size_wh: tuple[Any, Any] = (None, None)
    """Of the picture as it was annotated, if the file states that."""


@dataclass(frozen=True)
class Tool:
    """A format that is read."""

    title: str
    """In English, as is the next one."""
    made_by: str
    suffix: str
    fits: Callable[[Path], bool]
    """Whether a file, which has a face, is of this format."""
    read: Callable[[Path], Any]
    pictures: Callable[[Any, PurePosixPath], Iterator[Named]]
    """From the document, and the file's path below the set."""
    face: Callable[[Any], Face]
    reads: Callable[[Path], bool] | None = None
    """Whether a file is, though it may have no face; ``fits``, if left out."""
    in_shares: bool = False
    """Whether boxes are shares of the picture's width and height."""
    one_each: bool = False
    """Whether each picture has a file of its own."""


def _begins(pattern: str) -> Callable[[Path], bool]:
    """Whether a file's first two thousand bytes match."""

    def fits(path: Path) -> bool:
        try:
            with path.open("rb") as file:
                return re.search(pattern, file.read(2000).decode("utf-8-sig", "replace"), re.IGNORECASE) is not None
        except OSError:
            return False

    return fits


def _has(*words: bytes) -> Callable[[Path], bool]:
    return lambda path: mentions(path, words)


_has_box_columns = _begins(
    r"\A(?=[^\n]*\b(x_?min|x1|left)\b)(?=[^\n]*\b(y_?max|y2|bottom)\b)(?=[^\n]*\b(class|label|category|class_?name)"
    r"(_name)?\b)(?![^\n]*\bimageid\b)"
)


def _entries(value: object, kind: str = "entries") -> list:
    """A list, or the values of a dictionary."""
    if isinstance(value, Mapping):
        return list(value.values())
    if not isinstance(value, list):
        raise NoteError(tr("it has no list of {things}.").format(things=kind))
    return value


def _each(value: object, kind: str = "entries") -> Iterator[Mapping]:
    return (entry for entry in _entries(value, kind) if isinstance(entry, Mapping))


def _around(points: Iterable[Any]) -> tuple[float, float, float, float]:
    """The box around points [x, y]."""
    xs, ys = zip(*((float(x), float(y)) for x, y in points), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _corner_box(x: Any, y: Any, width: Any, height: Any) -> tuple[float, float, float, float]:
    """A box given by its upper left corner and its size."""
    x, y, width, height = float(x), float(y), float(width), float(height)
    if width < 0 or height < 0:
        raise NoteError(tr("a box has a width or height below zero."))
    return x, y, x + width, y + height


# CSV, of Roboflow ("TensorFlow object detection"), VoTT and many scripts, and of VIA

COLUMNS = {
    "picture": (
        "filename",
        "file_name",
        "image",
        "image_name",
        "image_path",
        "imagename",
        "img",
        "file",
        "path",
        "name",
    ),
    "label": ("class", "label", "classname", "class_name", "category", "label_name"),
    "x1": ("xmin", "x1", "x_min", "left"),
    "y1": ("ymin", "y1", "y_min", "top"),
    "x2": ("xmax", "x2", "x_max", "right"),
    "y2": ("ymax", "y2", "y_max", "bottom"),
}


def _columns(row: Mapping[str, str]) -> dict[str, str]:
    found = {part: next((name for name in names if name in row), "") for part, names in COLUMNS.items()}
    if missing := [COLUMNS[part][0] for part, name in found.items() if not name]:
        raise NoteError(tr("it has no column {name!r}.").format(name=missing[0]))
    return found


def _csv_pictures(rows: list[dict], note: PurePosixPath) -> Iterator[Named]:
    columns = _columns(rows[0]) if rows else {}
    faces: dict[str, list] = {}
    sizes = {}
    for row in rows:
        if name := row.get(columns["picture"], ""):
            sizes[name] = row.get("width"), row.get("height")
            values = {part: row.get(column, "") for part, column in columns.items()}
            # A row without a class and a box says that the picture shows no face.
            faces.setdefault(name, []).extend([values] if any(values[part] for part in ("label", "x1", "x2")) else [])
    yield from (Named(name, each, size_wh=sizes[name]) for name, each in faces.items())


def _csv_face(row: dict) -> Face:
    return Face(row["label"], _around([(row["x1"], row["y1"]), (row["x2"], row["y2"])]))


def _via_rows(rows: list[dict], note: PurePosixPath) -> Iterator[Named]:
    faces: dict[str, list] = {}
    for row in rows:
        shape = row.get("region_shape_attributes") or "{}"
        faces.setdefault(row.get("filename", ""), []).extend(
            [{"shape": shape, "attributes": row.get("region_attributes") or "{}"}] if shape != "{}" else []
        )
    yield from (Named(name, each) for name, each in faces.items())


# VIA


def _via_pictures(data: Any, note: PurePosixPath) -> Iterator[Named]:
    for entry in _each(data.get("_via_img_metadata", data) if isinstance(data, dict) else data):
        if "filename" in entry:
            regions = _each(entry.get("regions") or [], "regions")
            yield Named(
                str(entry["filename"]),
                [{"shape": r.get("shape_attributes"), "attributes": r.get("region_attributes")} for r in regions],
            )


def _via_face(region: dict) -> Face:
    shape, attributes = (json.loads(part) if isinstance(part, str) else part for part in region.values())
    if not isinstance(shape, Mapping) or not isinstance(attributes, Mapping):
        raise NoteError(tr("a region has no shape."))
    if "all_points_x" in shape:
        box = _around(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
    elif "width" in shape:
        box = _corner_box(shape["x"], shape["y"], shape["width"], shape["height"])
    else:
        rx, ry = shape.get("r", shape.get("rx")), shape.get("r", shape.get("ry"))
        x, y, rx, ry = (float(value) for value in (shape["cx"], shape["cy"], rx, ry))
        box = x - rx, y - ry, x + rx, y + ry
    return Face(_only_attribute(attributes), box)


def _only_attribute(attributes: Mapping) -> object:
    """The class among the attributes that an annotator has made up."""
    usual = ("class", "label", "name", "type", "category", "mask")
    names = [name for name in usual if name in attributes] or list(attributes)
    if len(names) != 1 and not any(name in attributes for name in usual):
        raise NoteError(tr("it has several attributes, and none is called class."))
    value = attributes[names[0]]
    if isinstance(value, Mapping):  # check boxes
        ticked = [name for name, state in value.items() if state]
        if len(ticked) != 1:
            raise NoteError(tr("it has more than one class, or none."))
        return ticked[0]
    return value


# One JSON for many pictures


def _createml_pictures(data: Any, note: PurePosixPath) -> Iterator[Named]:
    for entry in _each(data):
        name = entry.get("image") or entry.get("imagefilename")
        if isinstance(name, str):
            faces = entry.get("annotations") or entry.get("annotation") or []
            yield Named(name, _entries(faces, "annotations"))


def _createml_face(entry: Any) -> Face:
    at = entry["coordinates"]
    x, y, width, height = (float(at[key]) for key in ("x", "y", "width", "height"))
    box = _corner_box(x - width / 2, y - height / 2, width, height)  # x and y are the centre's
    return Face(entry["label"], box)


def _datumaro_pictures(data: Any, note: PurePosixPath) -> Iterator[Named]:
    names = [label["name"] for label in data["categories"]["label"]["labels"]]
    for item in _each(data["items"], "items"):
        path = (item.get("image") or {}).get("path") or item["id"]
        yield Named(str(path), [(face, names) for face in _each(item.get("annotations") or [])], note.stem)


def _datumaro_face(pair: tuple) -> Face:
    entry, names = pair
    number = entry["label_id"]
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise NoteError(
            tr("class {name} is not among the {count} that it names.").format(name=number, count=len(names))
        )
    if entry.get("type") == "polygon":
        return Face(names[number], _around(zip(entry["points"][::2], entry["points"][1::2], strict=True)))
    return Face(names[number], _corner_box(*entry["bbox"]))


def _label_studio_pictures(data: Any, note: PurePosixPath) -> Iterator[Named]:
    for task in _each(data):
        data = task.get("data")
        values = data if isinstance(data, Mapping) else task
        name = next((v for k, v in values.items() if isinstance(v, str) and k not in ("created_at", "updated_at")), "")
        name = next((values[key] for key in ("image", "img", "photo") if isinstance(values.get(key), str)), name)
        if "annotations" in task:
            done = [each for each in _each(task["annotations"]) if not each.get("was_cancelled")]
            results = done[-1].get("result", []) if done else None
        else:  # "JSON-MIN"
            results = next((v for v in task.values() if isinstance(v, list) and v and isinstance(v[0], Mapping)), [])
        if results is not None:  # else nobody has looked at it
            yield Named(name, [each for each in _each(results) if _label_studio_kind(each)])


def _label_studio_kind(result: Mapping) -> str:
    """What a result calls its list of labels, such as ``rectanglelabels``; nothing for what is no region."""
    value = result.get("value", result)
    return next((key for key in value if key.endswith("labels")), "") if isinstance(value, Mapping) else ""


def _label_studio_face(result: Any) -> Face:
    value = result.get("value", result)
    (label,) = value[_label_studio_kind(result)]
    if "points" in value:
        box = _around(value["points"])
    elif "width" in value:
        box = _corner_box(value["x"], value["y"], value["width"], value["height"])
    else:
        raise NoteError(tr("a region is neither a rectangle nor a polygon."))
    x1, y1, x2, y2 = (side / 100 for side in box)
    return Face(label, (x1, y1, x2, y2))


def _vott_pictures(data: Any, note: PurePosixPath) -> Iterator[Named]:
    for entry in _each(data["assets"]) if "assets" in data else [data]:
        if "regions" in entry:
            yield Named(str(entry["asset"]["name"]), _entries(entry["regions"], "regions"))


def _vott_face(region: Any) -> Face:
    box, tags = region["boundingBox"], region["tags"]
    if len(tags) != 1:
        raise NoteError(tr("it has more than one class, or none."))
    return Face(tags[0], _corner_box(box["left"], box["top"], box["width"], box["height"]))


# One JSON for each picture


def _labelme_pictures(data: Any, note: PurePosixPath) -> Iterator[Named]:
    size_wh = data.get("imageWidth"), data.get("imageHeight")
    yield Named(str(data.get("imagePath") or note.stem), _entries(data["shapes"], "shapes"), size_wh=size_wh)


def _labelme_face(shape: Any) -> Face:
    points = shape["points"]
    if shape.get("shape_type") == "circle":
        (x, y), (px, py) = points
        r = ((float(px) - x) ** 2 + (float(py) - y) ** 2) ** 0.5
        return Face(shape["label"], (x - r, y - r, x + r, y + r))
    return Face(shape["label"], _around(points))


def _supervisely_pictures(data: Any, note: PurePosixPath) -> Iterator[Named]:
    yield Named(note.stem, _entries(data["objects"], "objects"))


def _supervisely_face(entry: Any) -> Face:
    return Face(entry["classTitle"], _around(entry["points"]["exterior"]))


# CVAT


def _cvat_pictures(root: Any, note: PurePosixPath) -> Iterator[Named]:
    for image in root.iter("image"):
        size_wh = image.get("width"), image.get("height")
        yield Named(image.get("name") or "", list(image), image.get("subset") or "", size_wh)


def _cvat_face(element: Any) -> Face:
    if element.tag == "box":
        corners = [(element.get("xtl"), element.get("ytl")), (element.get("xbr"), element.get("ybr"))]
    elif element.get("points"):
        corners = [point.split(",") for point in element.get("points").split(";")]
    else:
        raise NoteError(tr("a {tag} is no box.").format(tag=element.tag))
    return Face(element.get("label"), _around(corners))


TOOLS = {
    "cvat": Tool("CVAT", "CVAT", ".xml", _has(b"<annotations", b"<image "), read_xml, _cvat_pictures, _cvat_face),
    "createml": Tool(
        "CreateML",
        "CreateML",
        ".json",
        _has(b'"coordinates"', b'"annotation', b'"label"'),
        read_json,
        _createml_pictures,
        _createml_face,
    ),
    "datumaro": Tool(
        "Datumaro", "Datumaro", ".json", _has(b'"items"', b'"label_id"'), read_json, _datumaro_pictures, _datumaro_face
    ),
    "label_studio": Tool(
        "Label Studio JSON",
        "Label Studio",
        ".json",
        lambda path: mentions(path, (b'"rectanglelabels"',)) or mentions(path, (b'"polygonlabels"',)),
        read_json,
        _label_studio_pictures,
        _label_studio_face,
        in_shares=True,
    ),
    "via": Tool(
        "VIA (VGG Image Annotator)",
        "VIA",
        ".json",
        _has(b'"region_attributes"', b'"filename"'),
        read_json,
        _via_pictures,
        _via_face,
    ),
    "vott": Tool("VoTT", "VoTT", ".json", _has(b'"boundingBox"', b'"asset"'), read_json, _vott_pictures, _vott_face),
    "labelme": Tool(
        "LabelMe",
        "LabelMe",
        ".json",
        _has(b'"shapes"', b'"imagePath"'),
        read_json,
        _labelme_pictures,
        _labelme_face,
        one_each=True,
    ),
    "supervisely": Tool(
        "Supervisely",
        "Supervisely",
        ".json",
        _has(b'"classTitle"', b'"exterior"'),
        read_json,
        _supervisely_pictures,
        _supervisely_face,
        reads=_has(b'"objects"'),
        one_each=True,
    ),
    "via_csv": Tool(
        "VIA (VGG Image Annotator), CSV",
        "VIA",
        ".csv",
        _has(b"region_shape_attributes", b"filename"),
        read_csv,
        _via_rows,
        _via_face,
    ),
    "csv": Tool(
        mark("CSV with boxes"), mark("Roboflow as CSV"), ".csv", _has_box_columns, read_csv, _csv_pictures, _csv_face
    ),
}


# Recognized and refused


@dataclass(frozen=True)
class Refused:
    """A format that is recognized, so that people are told what to do instead."""

    title: str
    suffixes: tuple[str, ...]
    fits: Callable[[Path], bool]
    advice: str
    perhaps_odd: bool = False
    """Whether such a file may lie beside class folders without a meaning for them."""


BOXES = mark("Export the set as YOLO, COCO or Pascal VOC instead.")


FACE_LIST = r"\A[^\n]+\.(jpe?g|png)\s*\n\s*\d+\s*\n\s*-?[\d.]+ +-?[\d.]+ +-?[\d.]+ +-?[\d.]+"
REFUSED = (
    Refused(
        mark("the face list of WIDER FACE or FDDB"),
        (".txt",),
        _begins(FACE_LIST),
        mark("It says where faces are, but not whether they wear a mask."),
    ),
    Refused(mark("an Open Images table"), (".csv",), _begins(r"\A[^\n]*imageid[^\n]*labelname"), BOXES),
    Refused(
        mark("CVAT for video"),
        (".xml",),
        _has(b"<annotations", b"<track"),
        mark('Export it as "CVAT for images", YOLO or COCO.'),
    ),
    Refused(mark("a VIA 3 project"), (".json",), _has(b'"vid_list"', b'"metadata"'), BOXES),
    Refused(mark("COCO panoptic"), (".json",), _has(b'"segments_info"'), mark("Export it as COCO with boxes.")),
    Refused(mark("brush masks of Label Studio"), (".json",), _has(b'"brushlabels"'), BOXES),
    Refused(mark("JSON lines"), (".jsonl",), lambda path: True, BOXES, perhaps_odd=True),
    Refused(
        mark("a table of classes for whole images"),
        (".csv",),
        _begins(r"\A\s*\"?(filename|image|file|id)\b"),
        mark("Export it as folders, one for each class, or give it columns filename, class, xmin, ymin, xmax, ymax."),
        perhaps_odd=True,
    ),
    Refused(
        mark("the YOLO list of Keras or PyTorch"),
        (".txt",),
        _begins(r"\A[^\n]*\.(jpe?g|png)( \d+,\d+,\d+,\d+,\d+)"),
        mark("Export it as YOLO with one .txt for each image, for example YOLOv8."),
    ),
)
