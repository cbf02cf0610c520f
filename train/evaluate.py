"""Score a pipeline on annotated photos: ``python -m train.evaluate --data DIR``.

Prints a table and, with ``--json``, writes the same figures to a file. ``core.vision.metrics`` says what each
figure means.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Collection, Mapping
from datetime import date
from pathlib import Path

import numpy as np
import supervision as sv

from core.config import models_dir
from core.datasets.extra import add_extra, read_extra
from core.datasets.faces import AnnotatedPhoto, DataError, annotated_photos, read_list
from core.datasets.slices import SLICES, NotedFaces, read_slices, slices_of
from core.datasets.store import read_pictures
from core.io import write_json
from core.registry.leaderboard import SCORES, Row, record
from core.registry.leaderboard import SLICES as SLICES_FOLDER
from core.vision.classes import CLASS_NAMES
from core.vision.detections import FACE_SCORE, PREDICTED
from core.vision.detector import PRESETS
from core.vision.haar import HaarSettings
from core.vision.images import ImageError, read_image
from core.vision.metrics import Evaluation, EvaluationResult, match_photo
from core.vision.model_card import USES, load_card
from core.vision.pipeline import (
    DEFAULT_PIPELINE,
    LIVE_SETTINGS,
    PHOTO_SETTINGS,
    PIPELINES,
    DetectionSettings,
    build_pipeline,
    detect_masks,
    least_face_scores,
)
from core.vision.slices import Slices

# Average precision ranks the faces that are at least this likely; less likely ones could hardly change it.
RANKED_FROM = 0.01


def evaluate(
    photos: list[AnnotatedPhoto],
    detect: Callable[[np.ndarray], sv.Detections],
    min_face_px: float = 24,
    min_confidence: float = DetectionSettings().min_confidence,
    min_face_score: Callable[[np.ndarray, np.ndarray], np.ndarray] | float = 0.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    noted: Mapping[str, Mapping[str, NotedFaces]] | None = None,
) -> EvaluationResult:
    """Run a detector over photos, in order.

    Args:
        photos: photos with their true boxes.
        detect: BGR frame to detections; everything it reports is ranked for average precision.
        min_face_px: smaller annotated faces are ignored.
        min_confidence: what is less sure is shown without a prediction.
        min_face_score: what is less likely a face is ranked, but not shown; a number, or
            what gives one for each box from frame and boxes.
        progress: called with photos done and photos in all.
        noted: what ``read_slices`` read, by its kind; figures of these slices are added.

    Raises:
        DataError: what is noted is of no face in these photos.
    """
    evaluation = Evaluation(min_face_px)
    slices = {kind: Slices(SLICES[kind], min_face_px) for kind in noted or {}}
    for done, photo in enumerate(photos, start=1):
        frame = read_image(photo.path)
        started = time.perf_counter()
        ranked = detect(frame)
        elapsed_ms = (time.perf_counter() - started) * 1000
        least = min_face_score(frame, ranked.xyxy) if callable(min_face_score) else min_face_score
        shown = ranked[ranked.data[FACE_SCORE] >= least]
        shown.data[PREDICTED] = shown.confidence >= min_confidence
        evaluation.update(shown, photo.truth, elapsed_ms, ranked, photo.ignored_xyxy)
        for kind, of_photo in (noted or {}).items():
            match = match_photo(shown, photo.truth.xyxy, photo.truth.class_id, photo.ignored_xyxy)
            slices[kind].add(match, slices_of(photo.truth.xyxy, of_photo.get(photo.path.stem)))
        progress(done, len(photos))
    rows = {kind: each.rows() for kind, each in slices.items()}
    if empty := [kind for kind, of_kind in rows.items() if not of_kind]:
        raise DataError(f"The file with each face's {empty[0]} names no face that counts in these photos.")
    return dataclasses.replace(evaluation.compute(), slices=rows)


def select_photos(
    photos: list[AnnotatedPhoto], list_path: Path | None, excluded: Collection[str] = ()
) -> list[AnnotatedPhoto]:
    """The photos that a list names, or all.

    Args:
        photos: to choose from.
        list_path: file with the names.
        excluded: names, without extension, that the list may hold though they are not among the photos.

    Raises:
        DataError: the list names photos that are not there.
    """
    if list_path is None:
        return photos
    try:
        wanted = read_list(list_path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The list {list_path} cannot be read: {error}") from None
    missing = wanted - {photo.path.stem for photo in photos} - set(excluded)
    if missing:
        raise DataError(f"{list_path} names {len(missing)} photos that are not in the data, {min(missing)} for one.")
    return [photo for photo in photos if photo.path.stem in wanted]


def format_table(title: str, result: EvaluationResult) -> str:
    """The figures as lines of text."""
    percent = lambda value: "-" if value is None else f"{value:.1%}"  # noqa: E731
    number = lambda value, digits=3: "-" if value is None else f"{value:.{digits}f}"  # noqa: E731
    two_digits = lambda value: number(value, 2)  # noqa: E731

    def interval(name: str, show: Callable[[float], str] = percent) -> str:
        return "{} to {}".format(*map(show, result.intervals[name])) if name in result.intervals else ""

    def size(row: dict) -> tuple[str, str, str]:
        upper = f"to {row['to_px']}" if row["to_px"] else "and more"
        share = row["found"] / row["faces"] if row["faces"] else None
        return f"  {row['from_px']} {upper} px", percent(share), f"{row['faces']} faces"

    def slices(kind: str, its: list[dict]) -> list[tuple[str, str, str]]:
        def line(row: dict, name: str, rate: str, value: float | None, n: int) -> tuple[str, str, str]:
            low_high = "{} to {}".format(*map(percent, row["intervals"][rate])) if rate in row["intervals"] else ""
            return name, percent(value), f"{low_high:<15}  {n} faces"

        lines = [(f"by {kind}: face recall", "", "95 %:")]
        lines += [line(row, f"  {row['name']}", "found", row["found"] / row["faces"], row["faces"]) for row in its]
        for title, rate, of in (
            ("binary accuracy", "found_and_right_two_state", "two_state_faces"),
            ("without a mask, classified as masked", "bare_shown_as_masked", "bare_faces"),
        ):
            lines.append((f"by {kind}: {title}", "", ""))
            lines += [line(row, f"  {row['name']}", rate, row[rate], row[of]) for row in its]
        return lines

    rows = [
        ("images", str(result.photos), ""),
        (f"faces of {result.min_face_px:g} px and more", str(result.faces), "95 %:"),
        ("face recall", percent(result.found), interval("found")),
        ("accuracy, missed faces counted as wrong", percent(result.found_and_right), interval("found_and_right")),
        ("  with a mask", percent(result.mask_found_and_right), ""),
        ("  without a mask", percent(result.bare_found_and_right), ""),
        ("binary accuracy", percent(result.found_and_right_two_state), interval("found_and_right_two_state")),
        ("without a mask, classified as masked", percent(result.bare_shown_as_masked), ""),
        ("face recall, 12 to 24 px", percent(result.small_found), ""),
        ("images with a face shown", percent(result.photos_with_a_face_shown), ""),
        (
            "false alarms per image",
            two_digits(result.false_alarms_per_photo),
            interval("false_alarms_per_photo", two_digits),
        ),
        *((f"AP at IoU 0.5, {name}", number(result.ap50[name]), "") for name in CLASS_NAMES),
        ("mAP50, two classes", number(result.map50_two_state), ""),
        ("mAP50, three classes", number(result.map50_three_state), ""),
        ("calibration error", number(result.verdict_calibration_error), ""),
        ("median time per image", f"{number(result.median_ms, 1)} ms", ""),
        ("face recall by size", "", ""),
        *map(size, result.by_size),
        *(line for kind, its in result.slices.items() for line in slices(kind, its)),
    ]
    width = max(len(name) for name, *_ in rows)
    return "\n".join([title, *(f"  {name:<{width}}  {value:>8}  {more}".rstrip() for name, value, more in rows)])


def main(arguments: list[str] | None = None) -> EvaluationResult:
    """Command line.

    Raises:
        DataError, ImageError, ModelError: what was asked for cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="python -m train.evaluate", description="Score a pipeline on annotated photos.", allow_abbrev=False
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="photos with boxes: Pascal VOC, YOLO or COCO"
    )
    parser.add_argument("--pipeline", default=DEFAULT_PIPELINE, choices=tuple(PIPELINES))
    parser.add_argument("--model", metavar="NAME", help="a model of models/ in place of the pipeline's own")
    parser.add_argument("--preset", choices=tuple(PRESETS), help="how closely it looks; by default as for its --use")
    parser.add_argument("--list", type=Path, metavar="FILE", help="names of the photos to use, one per line")
    parser.add_argument(
        "--extra", type=Path, metavar="FILE", help="faces that the annotations lack (core.datasets.extra)"
    )
    parser.add_argument("--poses", type=Path, metavar="FILE", help="poses of faces (core.datasets.slices): a row each")
    parser.add_argument("--coverings", type=Path, metavar="FILE", help="what covers faces, likewise")
    parser.add_argument("--use", default="photo", choices=USES, help="whose score a face needs to be shown")
    parser.add_argument("--min-face", type=float, default=24, metavar="PX", help="ignore smaller faces, default 24")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument(
        "--record", action="store_true", help="keep the figures for the app's model page; of slices, these alone"
    )
    given = parser.parse_args(arguments)

    defaults = {"photo": PHOTO_SETTINGS, "live": LIVE_SETTINGS}[given.use]
    preset = given.preset or defaults.preset
    pictures = read_pictures(given.data)
    excluded = {picture.path.stem for picture in pictures if picture.excluded}
    photos = select_photos(annotated_photos(pictures, given.data), given.list, excluded)
    extra = read_extra(given.extra) if given.extra else {}
    photos = [add_extra(photo, extra.get(photo.path.stem)) for photo in photos]
    files = {"pose": given.poses, "covering": given.coverings}
    noted = {kind: read_slices(file, kind) for kind, file in files.items() if file}
    pipeline = build_pipeline(given.pipeline, given.model)
    # The cascade's boxes may come out a little smaller than the annotated face: do not cut them off at the very limit.
    settings = DetectionSettings(
        min_confidence=0,
        haar=HaarSettings(min_face_px=given.min_face * 0.7),
        preset=preset,
        min_face_score=RANKED_FROM,
    )
    as_shown = dataclasses.replace(defaults, preset=preset)

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done}/{total} photos", end="\n" if done == total else "", file=sys.stderr, flush=True)

    result = evaluate(
        photos,
        lambda frame: detect_masks(frame, pipeline, settings),
        given.min_face,
        min_face_score=lambda frame, xyxy: least_face_scores(pipeline, as_shown, frame, xyxy),
        progress=progress,
        noted=noted,
    )
    spec = PIPELINES[given.pipeline]
    who = given.pipeline + (f" ({preset}, {given.use})" if spec.uses_preset else "")
    on = given.data.name + (f", {given.list.name}" if given.list else "") + (", completed" if given.extra else "")
    print(format_table(f"{who} on {on}", result))
    if given.json:
        write_json(
            given.json, {"pipeline": given.pipeline, "preset": preset, "use": given.use, **dataclasses.asdict(result)}
        )
    if given.record:
        card = load_card(models_dir() / f"{given.model or spec.default_model}.json")
        figures, today, folder = dataclasses.asdict(result), date.today().isoformat(), models_dir() / SCORES
        if noted:
            figures = {name: figures[name] for name in ("photos", "faces", "min_face_px", "slices")}
            folder /= SLICES_FOLDER
        record(on, Row(given.pipeline, preset if spec.uses_preset else "", card.sha256, today, figures), folder)
    return result


if __name__ == "__main__":
    try:
        main()
    except (DataError, ImageError, ValueError) as error:  # ModelError is a ValueError
        sys.exit(f"train.evaluate: {error}")
