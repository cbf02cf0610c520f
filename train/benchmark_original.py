"""The original pipeline's speed and ours, in one run: ``python -m train.benchmark_original [--json FILE]``.

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
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from core.config import HOME
from core.io import write_json
from core.registry.speed import FACES, frame_with_faces, median_and_p95, times_ms
from core.vision.annotate import annotate
from core.vision.classifier import load_classifier
from core.vision.crops import crop_faces
from core.vision.detector import DEFAULT_PRESET, PRESETS
from core.vision.pipeline import (
    LIVE_SETTINGS,
    PIPELINES,
    ClassicPipeline,
    DetectionSettings,
    build_pipeline,
    detect_masks,
)


def seed_times(frames: dict[int, np.ndarray], repeats: int) -> dict:
    """The seed's way, timed in its own process, so that TensorFlow's threads disturb nothing here."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for faces, frame in frames.items():
            paths[faces] = str(Path(folder) / f"{faces}.png")
            cv2.imwrite(paths[faces], frame)
        done = subprocess.run(
            [sys.executable, "-m", "train.classifier.original"],
            input=json.dumps({"frames": paths, "repeats": repeats}),
            capture_output=True,
            text=True,
            cwd=HOME,
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


def run_benchmark(repeats: int = 40, counts: Sequence[int] = FACES) -> dict:
    """Everything, as a dictionary that JSON can hold; ``frame_ms`` has medians by pipeline and number of faces.

    Args:
        repeats: calls of which a median is taken.
        counts: how many faces the frames hold; 1 must be among them.
    """
    frames = {faces: frame_with_faces(faces) for faces in counts}
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
    for faces in counts:
        crops = np.repeat(crop_faces(head, box, size, classifier.card.margin), faces, axis=0)
        times = times_ms(partial(classifier.probabilities, crops), repeats)
        result.setdefault("classify_ms", {})[str(faces)] = median_and_p95(times)
    # One face the whole way, as predict is timed: cut out, resized, classified.
    one = median_and_p95(times_ms(lambda: classifier.classify(head, box), repeats))
    result["classify_one_ms"], result["classify_one_p95_ms"] = one["median"], one["p95"]
    seed = seed_times(frames, repeats)
    one = median_and_p95(seed["predict_ms"])
    result["predict_one_ms"], result["predict_one_p95_ms"] = one["median"], one["p95"]
    result["predict_over_classify"] = round(one["median"] / result["classify_one_ms"], 1)
    _add_frames(result, "seed", {int(faces): times for faces, times in seed["frame_ms"].items()})
    for name, spec in PIPELINES.items():
        pipeline = build_pipeline(name)
        for preset in PRESETS if spec.uses_preset else (DEFAULT_PRESET,):
            detect = partial(detect_masks, pipeline=pipeline, settings=DetectionSettings(preset=preset))
            _add_frames(
                result,
                name if preset == DEFAULT_PRESET else f"{name} {preset}",
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
    lines += [
        "",
        "640×480 frame".ljust(24) + "".join(f"{f'{faces} faces':>18}" for faces in result["live_frame_ms"]["classic"]),
    ]
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
    parser = argparse.ArgumentParser(prog="python -m train.benchmark_original", description=__doc__, allow_abbrev=False)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--repeats", type=int, default=40)
    given = parser.parse_args()
    result = run_benchmark(given.repeats)
    print(format_result(result))
    if given.json:
        write_json(given.json, result)


if __name__ == "__main__":
    main()
