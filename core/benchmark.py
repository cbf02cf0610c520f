"""How fast the seed's way and ours are, on this machine, in one run: ``python -m core.benchmark [--json FILE]``.

The frames are 640×480 collages of the sample portrait with 1, 5 and 20 faces. Times are medians and 95th percentiles
in milliseconds, after a warm-up.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from core.annotate import annotate
from core.classifier import load_classifier
from core.crops import crop_faces, resize
from core.detector import DEFAULT_SPEED, SPEEDS
from core.files import write_json
from core.pipeline import (
    LIVE_SETTINGS,
    PIPELINES,
    ClassicPipeline,
    DetectionSettings,
    Pipeline,
    build_pipeline,
    detect_masks,
)
from core.sample import SAMPLE_FACE_XYXY, sample_photo

FRAME_WH = (640, 480)
FACES = (1, 5, 20)
ROOT = Path(__file__).resolve().parent.parent


def frame_with_faces(faces: int) -> np.ndarray:
    """A 640×480 frame with that many copies of the sample's head, bare and masked in turn, on a grey ground."""
    columns, rows = {1: (1, 1), 5: (3, 2), 20: (5, 4)}[faces]
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    cell_w, cell_h = FRAME_WH[0] // columns, FRAME_WH[1] // rows
    side = min(cell_w, cell_h, 240)
    middle_x, middle_y, half = (x1 + x2) // 2, (y1 + y2) // 2, round((y2 - y1) * 0.75)
    frame = np.full((FRAME_WH[1], FRAME_WH[0], 3), 170, np.uint8)
    for i in range(faces):
        # The cut reaches above the photo's edge for a little; the missing rows are left out.
        head = sample_photo(masked=i % 2 == 1)[
            max(0, middle_y - half) : middle_y + half, middle_x - half : middle_x + half
        ]
        head = resize(head, (side, side))
        left = (i % columns) * cell_w + (cell_w - side) // 2
        top = (i // columns) * cell_h + (cell_h - side) // 2
        frame[top : top + side, left : left + side] = head
    return frame


def times_ms(call: Callable[[], object], repeats: int) -> list[float]:
    """Times of repeated calls in milliseconds, after three that do not count."""
    for _ in range(3):
        call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return times


def frame_times_ms(pipeline: Pipeline, settings: DetectionSettings, repeats: int = 15) -> Iterator[tuple[int, float]]:
    """Faces in the frame and median milliseconds, frame by frame; for the page that measures this computer."""
    for faces in FACES:
        detect = partial(detect_masks, frame_with_faces(faces), pipeline, settings)
        yield faces, float(np.median(times_ms(detect, repeats)))


def median_and_p95(times: list[float]) -> dict[str, float]:
    """``median`` and ``p95`` of times in milliseconds."""
    return {"median": round(float(np.median(times)), 3), "p95": round(float(np.percentile(times, 95)), 3)}


def seed_times(frames: dict[int, np.ndarray], repeats: int) -> dict:
    """The seed's way, timed in its own process, so that TensorFlow's threads disturb nothing here."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for faces, frame in frames.items():
            paths[faces] = str(Path(folder) / f"{faces}.png")
            cv2.imwrite(paths[faces], frame)
        done = subprocess.run(
            [sys.executable, "-m", "train.seed_baseline"],
            input=json.dumps({"frames": paths, "repeats": repeats}),
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
    if done.returncode:
        raise RuntimeError(f"The seed's way could not be timed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def stage_times(pipeline: ClassicPipeline, frame: np.ndarray, faces: int, repeats: int) -> dict:
    """Each stage of the classic pipeline by itself; crops and classifier get exactly ``faces`` boxes."""
    settings = DetectionSettings()
    found, _ = pipeline.find_faces(frame, settings.haar)
    boxes = np.resize(found if len(found) else np.array([[100, 100, 200, 220]], np.float32), (faces, 4))
    card = pipeline.classifier.card
    crops = crop_faces(frame, boxes, card.input_size, card.margin)
    detections = detect_masks(frame, pipeline, settings)
    calls = {
        "find_faces": lambda: pipeline.find_faces(frame, settings.haar),
        "crop": lambda: crop_faces(frame, boxes, card.input_size, card.margin),
        "classify": lambda: pipeline.classifier.probabilities(crops),
        "annotate": lambda: annotate(frame, detections),
    }
    return {"faces_found": len(found)} | {name: median_and_p95(times_ms(call, repeats)) for name, call in calls.items()}


def run_benchmark(repeats: int = 40) -> dict:
    """Everything, as a dictionary that JSON can hold; ``frame_ms`` has medians by pipeline and number of faces."""
    frames = {faces: frame_with_faces(faces) for faces in FACES}
    result: dict = {
        "machine": {"cpus": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "repeats": repeats,
        "frame_ms": {},
        "frame_p95_ms": {},
        "live_frame_ms": {},
        "stages_ms": {},
    }
    classifier = load_classifier()
    size = classifier.card.input_size
    head = frames[1]
    box = np.array([[250, 150, 390, 330]], np.float32)
    for faces in FACES:
        crops = np.repeat(crop_faces(head, box, size, classifier.card.margin), faces, axis=0)
        times = times_ms(lambda crops=crops: classifier.probabilities(crops), repeats)
        result.setdefault("classify_ms", {})[str(faces)] = median_and_p95(times)
    # One face the whole way, as predict is timed: cut out, resized, judged.
    one = median_and_p95(times_ms(lambda: classifier.classify(head, box), repeats))
    result["classify_one_ms"], result["classify_one_p95_ms"] = one["median"], one["p95"]
    seed = seed_times(frames, repeats)
    one = median_and_p95(seed["predict_ms"])
    result["predict_one_ms"], result["predict_one_p95_ms"] = one["median"], one["p95"]
    result["predict_over_classify"] = round(one["median"] / result["classify_one_ms"], 1)
    _add_frames(result, "seed", {int(faces): times for faces, times in seed["frame_ms"].items()})
    for name, spec in PIPELINES.items():
        pipeline = build_pipeline(name)
        for speed in SPEEDS if spec.uses_speed else (DEFAULT_SPEED,):
            detect = partial(detect_masks, pipeline=pipeline, settings=DetectionSettings(speed=speed))
            _add_frames(
                result,
                name if speed == DEFAULT_SPEED else f"{name} {speed}",
                {faces: times_ms(partial(detect, frame), repeats) for faces, frame in frames.items()},
            )
        result["live_frame_ms"][name] = {
            str(faces): median_and_p95(times_ms(partial(detect_masks, frame, pipeline, LIVE_SETTINGS), repeats))
            for faces, frame in frames.items()
        }
        if isinstance(pipeline, ClassicPipeline):
            result["stages_ms"][name] = {
                str(faces): stage_times(pipeline, frame, faces, repeats) for faces, frame in frames.items()
            }
    return result


def _add_frames(result: dict, name: str, times_by_faces: dict[int, list[float]]) -> None:
    summaries = {str(faces): median_and_p95(times) for faces, times in times_by_faces.items()}
    result["frame_ms"][name] = {faces: summary["median"] for faces, summary in summaries.items()}
    result["frame_p95_ms"][name] = {faces: summary["p95"] for faces, summary in summaries.items()}


def format_result(result: dict) -> str:
    """The figures as lines of text."""
    lines = [f"{result['machine']['cpus']} cores, median of {result['repeats']} calls (95th percentile), milliseconds"]
    for who, key in (("seed (model.predict)", "predict_one"), ("ours (LiteRT)", "classify_one")):
        lines.append(f"one face, {who:<22}{result[f'{key}_ms']:8.2f} ({result[f'{key}_p95_ms']:.2f})")
    lines.append(f"the seed's way takes {result['predict_over_classify']} times as long")
    lines += ["", "640×480 frame".ljust(24) + "".join(f"{f'{faces} faces':>18}" for faces in FACES)]
    for name, medians in result["frame_ms"].items():
        p95 = result["frame_p95_ms"][name]
        lines.append(name.ljust(24) + "".join(f"{f'{medians[f]:.1f} ({p95[f]:.1f})':>18}" for f in medians))
    for name, by_faces in result["live_frame_ms"].items():
        cells = (f"{times['median']:.1f} ({times['p95']:.1f})" for times in by_faces.values())
        lines.append(f"{name}, live settings".ljust(24) + "".join(f"{cell:>18}" for cell in cells))
    for name, by_faces in result["stages_ms"].items():
        lines += ["", f"stages of {name}"]
        for stage in ("find_faces", "crop", "classify", "annotate"):
            cells = (f"{s[stage]['median']:.1f} ({s[stage]['p95']:.1f})" for s in by_faces.values())
            lines.append(f"  {stage:<22}" + "".join(f"{cell:>18}" for cell in cells))
        lines.append("  faces found".ljust(24) + "".join(f"{s['faces_found']:>18}" for s in by_faces.values()))
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m core.benchmark", description=__doc__, allow_abbrev=False)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--repeats", type=int, default=40)
    given = parser.parse_args()
    result = run_benchmark(given.repeats)
    print(format_result(result))
    if given.json:
        write_json(given.json, result)


if __name__ == "__main__":
    main()
