"""Names of models: from what people call them, and never that of another model."""

from core.registry.store import free_model_name
from core.vision.model_card import ModelCard


def test_a_model_is_called_after_its_run_and_takes_no_others_name(tmp_path):
    def install(name, sha256):
        ModelCard(name, "m.tflite", sha256, ("a", "b"), 224, 0.15, "logits").save(tmp_path / f"{name}.json")

    assert free_model_name("Quick, faces", "1", tmp_path) == "Quick-faces"
    install("Quick-faces", "1")
    assert free_model_name("Quick, faces", "1", tmp_path) == "Quick-faces", "deployed once more"
    assert free_model_name("Quick, faces", "2", tmp_path) == "Quick-faces-2"
    (tmp_path / "Quick-faces-2.json").write_text("damaged")
    assert free_model_name("Quick, faces", "2", tmp_path) == "Quick-faces-3"
    assert free_model_name("in use", "1", tmp_path) == "in-use" and free_model_name("in_use", "1", tmp_path) != "in_use"
