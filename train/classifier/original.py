"""The original pipeline, as the student's report describes it, timed: ``model.predict``, face by face.

Run by ``train.benchmark_original`` in a process of its own, because it imports TensorFlow: reads a JSON object from
standard input, prints one. Weights are random: they do not change the time.
"""

import json
import os
import sys
from functools import partial
from typing import Any

import cv2
import numpy as np

from core.registry.speed import times_ms


def time_seed(frames: dict[str, str], repeats: int) -> dict:
    """Time the seed's pipeline.

    Args:
        frames: picture files by their number of faces.
        repeats: timed calls each.

    Returns:
        ``predict_ms``: times of one face; ``frame_ms``: by number of faces, times of a frame; all in milliseconds.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from train.classifier.network import INPUT_SIZE, build_classifier

    model = build_classifier(2, imagenet_weights=None)
    folder = cv2.data.haarcascades  # type: ignore[attr-defined]  # missing in OpenCV's stubs
    cascade = cv2.CascadeClassifier(folder + "haarcascade_frontalface_default.xml")

    def predict(face_bgr: np.ndarray) -> np.ndarray:
        face = cv2.resize(cv2.cvtColor(face_bgr, cv2.COLOR_BGR2RGB), (INPUT_SIZE, INPUT_SIZE))
        return model.predict(face[None].astype(np.float32), verbose=0)

    def whole(frame: np.ndarray) -> None:
        for x, y, w, h in cascade.detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)):
            predict(frame[y : y + h, x : x + w])

    face = np.full((120, 100, 3), 127, np.uint8)
    result: dict[str, Any] = {"predict_ms": times_ms(lambda: predict(face), repeats), "frame_ms": {}}
    for faces, path in frames.items():
        frame = cv2.imread(path)
        if frame is None:
            raise ValueError(f"{path} is no picture.")
        result["frame_ms"][faces] = times_ms(partial(whole, frame), max(3, repeats // 4))
    return result


if __name__ == "__main__":
    request = json.load(sys.stdin)
    answer = time_seed(request["frames"], request["repeats"])
    print(json.dumps(answer))
