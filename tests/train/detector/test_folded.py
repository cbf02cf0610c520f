"""Training with folded normalisation, where PyTorch is installed; Keras runs in processes of its own."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.train.detector.test_train_detector import epochs_written, train, write_street

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"),
]
SAME_ANSWERS = """
import sys
from types import SimpleNamespace
import numpy as np
from train.detector.__main__ import choose_backend

choose_backend()
import keras
import torch
from train.detector.folded import FoldedTrainer
from train.detector.network import build_detector, freeze_base
from train.detector.trainer import DetectorTrainer, keep_layout, read_weights

keep_layout()
model = build_detector(None)
read_weights(model, "models/mask-detector-weights.npz")
freeze_base(model, 2)
trainer = FoldedTrainer.__new__(FoldedTrainer)
trainer.model, trainer.steps = model, 10
trainer.config = SimpleNamespace(base_share=0.4, weight_decay=0.0, epochs=1, warmup=1, learning_rate=1e-3)
DetectorTrainer._compile(trainer)
rng = np.random.default_rng(0)
small = torch.from_numpy(rng.uniform(0, 255, (2, 3, 12, 16)).astype(np.float32))
large = torch.nn.functional.interpolate(small, scale_factor=8, mode="bilinear")
pixels = large.permute(0, 2, 3, 1).contiguous().numpy()
targets = np.zeros((2, 24, 32, 10), np.float32)
targets[..., 1] = 1
targets[:, 12, 16] = 1, 1, 1, 2, 2, 2, 2, 1, 0, 0
plain = lambda: keras.ops.convert_to_numpy(model(pixels, training=False)).copy()
fixed = {v.path: keras.ops.convert_to_numpy(v).copy() for v in model.non_trainable_variables}
before = plain()
same_before = np.abs(trainer._maps(pixels[0].astype(np.uint8)) - keras.ops.convert_to_numpy(
    model(pixels[:1].astype(np.uint8).astype(np.float32), training=False))[0]).max()
losses = [trainer._step(pixels, targets) for _ in range(8)]
after = plain()
same_after = np.abs(trainer._network(torch.from_numpy(pixels)).detach().numpy() - after).max()
kept = all((keras.ops.convert_to_numpy(v) == fixed[v.path]).all() for v in model.non_trainable_variables)
np.savez(sys.argv[1], losses=losses, changed=np.abs(after - before).max(), same_before=same_before,
         same_after=same_after, kept=kept)
"""


def test_the_folded_network_is_the_keras_model_and_trains_its_variables(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SAME_ANSWERS, str(tmp_path / "out.npz")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = dict(np.load(tmp_path / "out.npz"))
    assert said["same_before"] < 1e-3 and said["same_after"] < 1e-3
    assert said["losses"][-1] < 0.6 * said["losses"][0] and said["changed"] > 0.5
    assert said["kept"], "statistics and frozen blocks stay as they are"


def test_an_interrupted_folded_run_resumes_and_is_finished(tmp_path):
    street = write_street(tmp_path / "street", 8)
    settings = [
        *("--start", str(ROOT / "models" / "mask-detector-weights.npz"), "--norms", "folded"),
        *("--windows", "8", "--batch-size", "4", "--side", "64", "--large-share", "0", "--val-share", "0.25"),
    ]
    assert train(tmp_path / "run", [street], *settings, "--epochs", "1").returncode == 0
    again = train(tmp_path / "run", [street], *settings, "--epochs", "2")
    assert again.returncode == 0, again.stderr[-3000:]
    assert "Resuming after epoch 1." in again.stdout and epochs_written(tmp_path / "run") == [1, 2]
    assert (tmp_path / "run" / "model.tflite").is_file()
