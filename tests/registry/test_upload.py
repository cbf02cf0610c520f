"""Model files from outside: good ones are kept, broken and hostile ones get a sentence and leave nothing behind."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import models_dir
from core.datasets.spellings import likely_meanings, plain_meanings
from core.jobs import Cancelled
from core.language import using
from core.registry import upload as uploaded_model
from core.registry.sandbox import run_apart
from core.registry.upload import (
    HDF5_ID,
    ModelFacts,
    check_litert,
    install_uploaded,
    open_upload,
    open_uploads,
    read_labels,
)
from core.vision.brought import AnyClassifier
from core.vision.classifier import load_classifier
from core.vision.model_card import PIXELS, ModelError, load_card
from train.export import convert
from train.export.convert import ConvertError, check_archive, convert_keras, convert_onnx

HERE = Path(__file__).parent
GOOD = models_dir() / load_card(models_dir() / "mask-classifier.json").file
DETECTOR = models_dir() / load_card(models_dir() / "mask-detector.json").file
FACTS = ModelFacts(input_size=224, classes=2, output="logits", ms_per_face=2.0)


def test_a_good_file_is_tried_and_classifies_faces_afterwards(tmp_path):
    facts = check_litert(GOOD)
    assert (facts.input_size, facts.classes, facts.output) == (224, 2, "logits") and facts.ms_per_face > 0
    ((bare, masked),) = facts.answers.values()
    assert bare[1] > 0.9 and masked[0] > 0.9 and sum(bare) == pytest.approx(1), "it knows the sample"
    card = install_uploaded(GOOD, facts, "mine", ("hat", "no hat"), folder=tmp_path)
    assert load_card(tmp_path / "mine.json") == card and card.classes == ("hat", "no hat")
    assert load_classifier("mine", tmp_path).card.name == "mine"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        pytest.param(lambda: b"", "no LiteRT model", id="empty"),
        pytest.param(lambda: b"PK\3\4" + b"x" * 100, "no LiteRT model", id="a zip"),
        pytest.param(lambda: bytes(51_000_000), "51 MB", id="too large"),
        pytest.param(
            lambda: b"\x1c\0\0\0TFL3" + b"\xff" * 500, "cannot be run here|crash", id="rubbish after the mark"
        ),
        pytest.param(lambda: GOOD.read_bytes()[:-600_000], "cannot be|crash", id="cut off"),
        pytest.param(DETECTOR.read_bytes, "1 inputs and 3 outputs", id="a model of another kind"),
    ],
)
def test_a_bad_file_gets_a_sentence(make, sentence, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(make())
    with pytest.raises(ModelError, match=sentence) as caught:
        check_litert(path)
    assert "\n" not in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_the_process_of_a_trial_speaks_the_visitors_language():
    with using("fr"), pytest.raises(ModelError, match=r"^Entrées de ce modèle.*sorties"):
        check_litert(DETECTOR)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        pytest.param((-11, "", ""), "crash", id="a crash"),
        pytest.param((None, "", ""), "did not answer", id="no answer"),
        pytest.param((0, "what?", ""), "cannot be tried", id="an answer that makes no sense"),
        pytest.param((1, "", "core.registry.upload: Too slow."), "^Too slow.$", id="its own sentence"),
    ],
)
def test_what_happens_to_the_trial_is_told(answer, sentence, monkeypatch):
    monkeypatch.setattr(uploaded_model, "run_apart", lambda *given, **more: answer)
    with pytest.raises(ModelError, match=sentence):
        check_litert(GOOD)


def test_a_process_that_does_not_end_is_ended():
    assert run_apart("http.server", "0", "--bind", "127.0.0.1", limit_s=0.3)[0] is None


def test_a_trial_can_be_stopped():
    def stop(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        run_apart("http.server", "0", "--bind", "127.0.0.1", limit_s=60, report=stop)


@pytest.mark.parametrize(
    ("name", "classes", "sentence"),
    [
        pytest.param("new", ("a",), "2 classes, 1 names", id="a class short"),
        pytest.param("new", ("a", "a"), "all different", id="the same class twice"),
        pytest.param("new", ("a", " "), "all different", id="an empty class"),
        pytest.param("../new", ("a", "b"), "letters, digits", id="a path as name"),
        pytest.param("", ("a", "b"), "letters, digits", id="no name"),
        pytest.param("taken", ("a", "b"), "already", id="a name that is taken"),
        pytest.param("in_use", ("a", "b"), "cannot be", id="a name of the app's own"),
    ],
)
def test_names_that_do_not_fit_are_refused_and_nothing_is_kept(name, classes, sentence, tmp_path):
    (tmp_path / "taken.json").write_text("{}")
    with pytest.raises(ModelError, match=sentence):
        install_uploaded(GOOD, FACTS, name, classes, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.json"]


def layer(name, module="keras.layers", **config):
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def keras_file(path, *layers, weights=b"\x89HDF\r\n\x1a\n", config=None, **members):
    """A file as Keras writes it, with these layers; nothing in it was ever a network."""
    if config is None:
        config = layer("Sequential", "keras", layers=list(layers))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", config if isinstance(config, bytes) else json.dumps(config))
        file.writestr("model.weights.h5", weights)
        for name, data in members.items():
            file.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("file", "bare"),
    [
        pytest.param("like_teachable_machine", [0.522, 0.478], id="softmax over pixels -1..1"),
        pytest.param("one_sigmoid", [0.478, 0.522], id="one sigmoid is the second of two classes"),
    ],
)
def test_a_float_model_answers_for_each_scale_of_pixels(file, bare):
    facts = check_litert(HERE / f"{file}.tflite")
    assert (facts.classes, facts.output) == (2, "probabilities") and list(facts.answers) == list(PIXELS)
    assert facts.answers["-1..1"][0] == pytest.approx(bare, abs=1e-3)
    assert facts.answers["0..1"][0] != pytest.approx(bare, abs=0.3)


def zipped(**members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, data in members.items():
            file.writestr(name.replace("__", "/").replace("_", "."), data)
    return made.getvalue()


LITERT, H5 = b"\0\0\0\0TFL3 and more", HDF5_ID + b" and more"
LABELS = "0 With Mask\n1 Without Mask\n"


@pytest.mark.parametrize(
    ("data", "kind", "labels"),
    [
        pytest.param(LITERT, "tflite", (), id="LiteRT"),
        pytest.param(H5, "h5", (), id="Keras 2"),
        pytest.param(zipped(a_tflite=LITERT, labels_txt=LABELS), "tflite", ("With Mask", "Without Mask"), id="zip"),
        pytest.param(zipped(k_h5=H5, labels_txt="\ufeff1 b\n0 a"), "h5", ("a", "b"), id="numbers give the order"),
        pytest.param(zipped(d__a_tflite=LITERT, __MACOSX__a_tflite=b"x"), "tflite", (), id="a Mac's, in a folder"),
        pytest.param(LITERT + zipped(labels_txt="Mask\nNo mask"), "tflite", ("Mask", "No mask"), id="with metadata"),
    ],
)
def test_a_model_is_found_in_what_is_uploaded(data, kind, labels):
    found = open_upload(data)
    assert (found.kind, found.labels) == (kind, labels) and found.data.startswith((LITERT, H5))


@pytest.mark.parametrize("model", [H5, zipped(keras_model_h5=H5, labels_txt="0 a\n1 b")])
def test_a_list_of_class_names_may_come_beside_the_model(model):
    found = open_uploads({"labels.txt": LABELS.encode(), "keras_model": model})
    assert (found.kind, found.data, found.labels) == ("h5", H5, ("With Mask", "Without Mask"))


@pytest.mark.parametrize(
    ("files", "pixels"),
    [
        pytest.param({"converted_keras.zip": zipped(keras__model_h5=H5)}, "", id="another name"),
        pytest.param({"c.zip": zipped(keras_model_h5=H5).replace(b"keras.model", b"keras_model")}, "-1..1", id="zip"),
        pytest.param({"model_unquant.tflite": LITERT}, "-1..1", id="unpacked"),
        pytest.param({"labels.txt": b"a", "keras_model.h5": H5}, "-1..1", id="with its list"),
        pytest.param({"mine.tflite": LITERT}, "", id="from elsewhere"),
    ],
)
def test_the_scale_of_teachable_machines_pixels_is_known(files, pixels):
    assert open_uploads(files).pixels == pixels


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        pytest.param({"Labels.TXT": b"a"}, "choose the model's file", id="a list alone"),
        pytest.param({"a.h5": H5, "b.tflite": LITERT}, "one model", id="two models"),
        pytest.param({"a.h5": H5, "a.txt": b"a", "b.txt": b"b"}, "one model", id="two lists"),
        pytest.param({"a.h5": H5, "a.txt": b"a\n" * 60_000}, "far too long", id="a long list"),
    ],
)
def test_files_that_do_not_belong_together_get_a_sentence(files, sentence):
    with pytest.raises(ModelError, match=sentence):
        open_uploads(files)


@pytest.mark.parametrize(
    ("labels", "meanings"),
    [
        pytest.param("0 Mask\n1 No mask", ("with_mask", "without_mask"), id="Teachable Machine"),
        pytest.param("mask on\nmask off", ("with_mask", "without_mask"), id="on and off"),
        pytest.param("Masked\nUnmasked", ("with_mask", "without_mask"), id="masked"),
        pytest.param("without_mask\nwith_mask", ("without_mask", "with_mask"), id="this project's"),
        pytest.param("NoMask\nMask\nIncorrect", ("without_mask", "with_mask", "mask_weared_incorrect"), id="three"),
        pytest.param("0 Avec masque\n1 Sans masque", ("with_mask", "without_mask"), id="French"),
        pytest.param("Masque\nPas de masque", ("with_mask", "without_mask"), id="French, short"),
        pytest.param("Class 1\nClass 2", ("Class 1", "Class 2"), id="nobody can tell"),
    ],
)
def test_usual_class_names_are_recognised(labels, meanings):
    names = read_labels(labels)
    likely = plain_meanings(names) | likely_meanings(names)
    assert tuple(likely.get(name, name) for name in names) == meanings


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "no LiteRT or Keras model", id="empty"),
        pytest.param(zipped(a_txt="x"), "holds no LiteRT or Keras model", id="none"),
        pytest.param(zipped(a_tflite=LITERT, b_tflite=LITERT), "holds 2 models", id="two"),
        pytest.param(zipped(saved_model_pb="x").replace(b"saved.model", b"saved_model"), "SavedModel", id="SavedModel"),
        pytest.param(zipped(model_json="{}", weights_bin="x"), "TensorFlow.js", id="TensorFlow.js"),
        pytest.param(zipped(a_tflite=LITERT)[:40], "damaged or locked", id="cut off"),
        pytest.param(bytes(51_000_000), "51 MB", id="too large"),
    ],
)
def test_an_upload_without_one_model_gets_a_sentence(data, sentence):
    with pytest.raises(ModelError, match=sentence):
        open_upload(data)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("0 Mask\n1 No mask", ("Mask", "No mask"), id="Teachable Machine"),
        pytest.param("1: a\n2: b", ("a", "b"), id="from 1"),
        pytest.param("2 cats\n3 dogs", ("2 cats", "3 dogs"), id="numbers that count nothing"),
        pytest.param("with_mask\r\n\r\nwithout_mask\r\n", ("with_mask", "without_mask"), id="Windows"),
        pytest.param("0\n1", ("0", "1"), id="numbers alone"),
        pytest.param("", (), id="nothing"),
    ],
)
def test_numbers_before_class_names_are_cut_off(text, names):
    assert read_labels(text) == names


HARMLESS = layer("Dense", units=2, activation="relu", kernel_initializer=layer("HeNormal", "keras.initializers"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"layers": [layer("Lambda", function="f")]}, "Lambda", id="a lambda layer"),
        pytest.param(
            {"layers": [layer("Dense", "os", units=2)]}, "Dense, which is not", id="a layer of another module"
        ),
        pytest.param({"layers": [layer("TorchModuleWrapper")]}, "TorchModuleWrapper", id="a layer that unpickles"),
        pytest.param({"layers": [layer("StringLookup")]}, "StringLookup", id="a layer that reads files"),
        pytest.param(
            {"layers": [layer("Dense", activation={"class_name": "function", "module": "os", "config": "system"})]},
            "function, which",
            id="a function as activation",
        ),
        pytest.param({"layers": [layer("Dense", bias=layer("run", "subprocess"))]}, "run, which", id="deep inside"),
        pytest.param(
            {"layers": [{**HARMLESS, "registered_name": "mine>Dense"}]}, "not accepted", id="a class of somebody's own"
        ),
        pytest.param({"config": layer("Model", "os")}, "not accepted", id="another root"),
        pytest.param({"layers": [layer(["Dense"])]}, "something unknown", id="a list as class"),
        pytest.param({"layers": [layer({"a": 1})]}, "something unknown", id="a table as class"),
        pytest.param({"layers": [layer("Dense", ["keras.layers"])]}, "not accepted", id="a list as module"),
        pytest.param({"layers": [HARMLESS | {"registered_name": ["Dense"]}]}, "not accepted", id="a list as name"),
        pytest.param({"layers": [layer("Custom", "keras.src.ops.numpy")]}, "Custom", id="no plain operation"),
        pytest.param(
            {"layers": [layer("Sequential", "keras", layers=[]) | {"compile_config": {"optimizer": "x"}}]},
            "training state",
            id="training state further down",
        ),
        pytest.param({"config": b"{"}, "damaged", id="a broken description"),
        pytest.param({"config": b"[" * 100_000}, "damaged", id="a very deep description"),
        pytest.param({"config": b"[]"}, "no Keras 3", id="a list"),
        pytest.param({"weights": b"no weights"}, "weights in this file are damaged", id="broken weights"),
        pytest.param({"evil.py": b"print()"}, "no Keras 3", id="more files in it"),
    ],
)
def test_only_plain_layers_are_accepted(change, sentence, tmp_path):
    layers = change.pop("layers", [HARMLESS])
    path = keras_file(tmp_path / "model.keras", *layers, **change)
    with pytest.raises(ConvertError, match=sentence):
        check_archive(path)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "MAX_UNPACKED_BYTES", 1_000_000)
    path = keras_file(tmp_path / "model.keras", HARMLESS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("metadata.json", "config.json"):
            file.writestr(name, "{}")
        file.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(1_000_000))
    with pytest.raises(ConvertError, match="unpacks to far more"):
        check_archive(path)


def test_harmless_descriptions_pass_however_the_model_was_trained(tmp_path):
    root = layer("Sequential", "keras", layers=[HARMLESS]) | {"compile_config": {"loss": layer("Mine", "mine")}}
    assert check_archive(keras_file(tmp_path / "model.keras", config=root))["class_name"] == "Sequential"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda each: (
            st.lists(each, max_size=3)
            | st.dictionaries(
                st.sampled_from(["class_name", "module", "registered_name", "config", "layers", "compile_config"]), each
            )
        ),
        max_leaves=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_description_is_accepted_or_refused_with_a_sentence(config):
    for part in convert._parts(config):
        for check in (convert._check_part, convert._modernize_part):
            try:
                check(part)
            except ConvertError as error:
                assert "\n" not in str(error) and len(str(error)) < 200


def test_preprocessing_inside_a_network_is_accepted(tmp_path):
    divide = layer("TrueDivide", "keras.src.ops.numpy") | {"registered_name": "TrueDivide"}
    check_archive(keras_file(tmp_path / "model.keras", divide, HARMLESS))


def test_a_file_of_keras_2_is_put_as_keras_3_reads_it(tmp_path):
    h5py = pytest.importorskip("h5py")
    depthwise = {"class_name": "DepthwiseConv2D", "config": {"groups": 1, "batch_input_shape": [None, 96, 96, 3]}}
    inner = {"class_name": "Functional", "config": {"layers": [depthwise], "output_layers": [["last", 0, 0]]}}
    inner |= {"module": "keras.src.engine.functional"}
    outer = {"class_name": "Sequential", "config": {"layers": [inner], "dtype": {"class_name": "Policy"}}}
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(outer)
    convert._modernize(tmp_path / "old.h5", tmp_path / "new.h5")
    with h5py.File(tmp_path / "new.h5") as file:
        read = json.loads(file.attrs["model_config"])
    (inner,) = read["config"]["layers"]
    assert read["config"]["dtype"] == "float32" and "module" not in inner
    assert inner["config"] == {
        "layers": [{"class_name": "DepthwiseConv2D", "config": {}}],
        "output_layers": ["last", 0, 0],
    }


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        pytest.param(
            {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda"}]}}, "Lambda", id="code"
        ),
        pytest.param({"class_name": ["Dense"]}, "something unknown", id="a list as class"),
        pytest.param({"class_name": "TFOpLambda"}, "TFOpLambda.*TensorFlow Lite", id="what only Keras 2 knows"),
        pytest.param(None, "weights alone", id="weights alone"),
    ],
)
def test_a_file_of_keras_2_with_more_than_plain_layers_is_refused(config, sentence, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        if config:
            file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ConvertError, match=sentence):
        convert.load_checked(tmp_path / "old.h5")


def test_no_zip_gets_a_sentence_and_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "run_apart", lambda *given, **more: pytest.fail("it was loaded"))
    path = tmp_path / "model.keras"
    for data in (b"", b"no zip", io.BytesIO().getvalue(), bytes(100)):
        path.write_bytes(data)
        with pytest.raises(ConvertError, match="no Keras 3"):
            convert_keras(path, tmp_path / "out.tflite")


def test_without_its_packages_onnx_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "ONNX_PACKAGES", ("no_such_package",))
    with pytest.raises(ConvertError, match="pip install"):
        convert_onnx(tmp_path / "model.keras", tmp_path / "model.onnx")


def test_weights_that_are_broken_are_found_in_a_process_of_its_own(tmp_path):
    path, target = keras_file(tmp_path / "model.keras", HARMLESS), tmp_path / "out.tflite"
    with pytest.raises(ConvertError, match="weights in this file are damaged"):
        convert_keras(path, target)
    assert not target.exists()


@pytest.mark.slow
def test_a_keras_model_is_converted(tmp_path):
    # Not at the top: on Python 3.13 the video library, which other test files import, crashes after TensorFlow.
    import keras

    layers = [
        keras.layers.Conv2D(4, 3, strides=4, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((96, 96, 3)), *layers])
    model.compile("adam", "mse")  # training state at the top is harmless: nobody reads it
    model.save(tmp_path / "model.keras")
    target = tmp_path / "out.tflite"
    convert._to_litert(tmp_path / "model.keras", target)
    facts = check_litert(target)
    assert (facts.classes, facts.output, facts.input_size) == (3, "probabilities", 96)

    assert list(facts.answers) == list(PIXELS)

    inputs = keras.Input((96, 96, 3))
    outputs = keras.layers.DepthwiseConv2D(3)(keras.applications.mobilenet_v2.preprocess_input(inputs))
    outputs = keras.layers.Dense(1, activation="sigmoid")(keras.layers.GlobalMaxPooling2D()(outputs))
    tutorial = keras.Model(inputs, outputs)
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    for ending in ("keras", "h5"):
        if ending == "h5":  # as Teachable Machine nests its networks; of operations no .h5 file knows
            inputs = keras.Input((96, 96, 3))
            base = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(keras.layers.DepthwiseConv2D(3)(inputs)))
            tutorial = keras.Sequential([keras.Input((96, 96, 3)), base, keras.layers.Dense(2)])
        tutorial.save(tmp_path / f"tutorial.{ending}")
        convert._to_litert(tmp_path / f"tutorial.{ending}", target)
        given = AnyClassifier(target)(picture, "0..255")
        assert given == pytest.approx(tutorial.predict(picture[None], verbose=0)[0], rel=0.02, abs=0.01)

    keras.Sequential([keras.Input((96, 64, 3)), *layers]).save(tmp_path / "oblong.keras")
    with pytest.raises(ConvertError, match="square colour image"):
        convert.load_checked(tmp_path / "oblong.keras")
