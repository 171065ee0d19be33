#!/usr/bin/env python3
"""Bytes, arena and accuracy of the networks of `docs/book/src/c.md` in TensorFlow Lite Micro, converted from Keras.

    python3 -m venv peers && peers/bin/pip install tensorflow-cpu==2.21.0 safetensors
    peers/bin/pip install --pre tflite-micro==0.dev20261023182759
    cargo build -p ksdsl --bin ksn
    peers/bin/python tests/embedded/tflite.py [--ksn target/debug/ksn] [--runs FOLDER]

Trains the digits' networks with `ksn` where FOLDER has no run of them, and builds them in Keras with these weights: a shared
kernel is one Keras layer that is called at each visit. The logits in single precision must be those of the module that
`ksn export onnx` writes, if onnxruntime is installed. ConvMixer-256/16 has random weights: bytes do not depend on them.
Calibration: 256 training images, as `ksn quantize` takes.

`kernels` counts the distinct buffers of kernels in the file, `visits` the operations that use them. The arena is
that of the interpreter on a 64-bit host: `activations` are the same on a microcontroller, `structures` are about half as
large where pointers have 32 bits. The interpreter's code comes on top of the file.
"""

import argparse
import gzip
import io
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file
from tensorflow.lite.python import schema_py_generated as schema
from tflite_micro.python.tflite_micro import runtime

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "ksdsl-runtime/train/core/data/digits.csv.gz"
IMAGES = 256
KERAS = tf.keras.layers
Tensor = tf.keras.KerasTensor


class Network:
    """Layers with the weights of a checkpoint, or with random ones. Layers with the same path are one layer."""

    def __init__(self, tensors: dict[str, np.ndarray] | None):
        self.tensors = tensors
        self.layers: dict[str, KERAS.Layer] = {}
        self.random = np.random.default_rng(0)

    def called(self, path: str, make: Callable[[], KERAS.Layer], x: Tensor, names: list[str]) -> Tensor:
        layer = self.layers.setdefault(path, make())
        y = layer(x)
        layer.set_weights([self.values(f"{path}.{name}", it.shape) for name, it in zip(names, layer.weights, strict=True)])
        return y

    def values(self, path: str, shape: tuple[int, ...]) -> np.ndarray:
        if self.tensors is None:
            return self.random.uniform(0.1, 1, shape) if "batch_norm" in path else self.random.normal(0, 0.1, shape)
        value = self.tensors[path]
        return value.transpose(2, 3, 1, 0).reshape(shape) if value.ndim == 4 else value.T

    def conv(self, path: str, x: Tensor, channels: int, kernel: int = 3, stride: int = 1, bias: bool = False) -> Tensor:
        # Keras pads strided convolutions by other amounts than PyTorch.
        if stride > 1 and kernel > 1:
            x = KERAS.ZeroPadding2D(kernel // 2)(x)
        padding = "same" if stride == 1 else "valid"
        make = lambda: KERAS.Conv2D(channels, kernel, stride, padding, use_bias=bias)
        return self.called(path, make, x, ["weight", "bias"][: 1 + bias])

    def depthwise(self, path: str, x: Tensor, kernel: int) -> Tensor:
        return self.called(path, lambda: KERAS.DepthwiseConv2D(kernel, padding="same"), x, ["weight", "bias"])

    def norm(self, path: str, x: Tensor) -> Tensor:
        make = lambda: KERAS.BatchNormalization(epsilon=1e-5)
        return self.called(path, make, x, ["weight", "bias", "running_mean", "running_var"])

    def linear(self, path: str, x: Tensor, features: int, bias: bool = False) -> Tensor:
        make = lambda: KERAS.Dense(features, use_bias=bias)
        return self.called(path, make, x, ["weight", "bias"][: 1 + bias])


def digits(net: Network, shared: bool) -> tf.keras.Model:
    """`examples/nets/digits.ksn`."""
    relu = KERAS.ReLU()
    inputs = KERAS.Input((8, 8, 1))
    x = relu(net.norm("stem.batch_norm", net.conv("stem.conv", inputs, 16)))
    for stage, channels in (("s1", 16), ("s2", 32), ("s3", 64)):
        for block in range(3):
            at = f"{stage}.{block}"
            first = block == 0 and stage != "s1"
            kernel = lambda name: f"shared.{stage}_conv" if shared and (name, first) != ("conv1", True) else f"{at}.{name}"
            skip, stride = x, 1 + first
            x = relu(net.norm(f"{at}.batch_norm", net.conv(kernel("conv1"), x, channels, stride=stride)))
            x = net.norm(f"{at}.batch_norm_2", net.conv(kernel("conv2"), x, channels))
            factor = KERAS.GlobalAveragePooling2D()(x)
            factor = relu(net.linear(f"{at}.squeeze_excite.reduce", factor, channels // 4))
            factor = net.linear(f"{at}.squeeze_excite.expand", factor, channels)
            factor = KERAS.Reshape((1, 1, channels))(KERAS.Activation("sigmoid")(factor))
            x = KERAS.Multiply()([x, factor])
            if first:
                skip = net.conv(f"{at}.project.conv", skip, channels, kernel=1, stride=stride)
                skip = net.norm(f"{at}.project.batch_norm", skip)
            x = relu(KERAS.Add()([x, skip]))
    return tf.keras.Model(inputs, net.linear("head.linear", KERAS.GlobalAveragePooling2D()(x), 10, bias=True))


def mixer(net: Network, shared: bool, dim: int, kernel: int, image: tuple[int, int, int], activation: str) -> tf.keras.Model:
    """`tests/embedded/depth.ksn` and `examples/nets/convmixer.ksn` of depth 16."""
    active = lambda x: KERAS.Activation(activation)(x)
    path = lambda block, name: f"shared.mixer_{name}" if shared else f"mixer.{block}.{name}"
    inputs = KERAS.Input(image)
    x = net.norm("stem.batch_norm", active(net.conv("stem.conv", inputs, dim, kernel=1, bias=True)))
    for block in range(16):
        skip = x
        x = active(net.depthwise(path(block, "depthwise"), x, kernel))
        x = KERAS.Add()([net.norm(f"mixer.{block}.batch_norm", x), skip])
        x = active(net.conv(path(block, "pointwise"), x, dim, kernel=1, bias=True))
        x = net.norm(f"mixer.{block}.batch_norm_2", x)
    return tf.keras.Model(inputs, net.linear("head.linear", KERAS.GlobalAveragePooling2D()(x), 10, bias=True))


def converted(model: tf.keras.Model, images: np.ndarray | None) -> bytes:
    """The model as TensorFlow Lite: in int8 throughout, calibrated on images, or without any in single precision."""
    # A batch of one image, as on a microcontroller.
    inputs = KERAS.Input(model.input_shape[1:], batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(inputs, model(inputs)))
    if images is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    # It prints the model's signature.
    with redirect_stdout(io.StringIO()):
        return converter.convert()


def kernels(model: bytes) -> dict[str, int]:
    """The convolutions of a model, and how many distinct contents of buffers, and how many bytes, their kernels have."""
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = parsed.subgraphs[0]
    kinds = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D}
    uses = [it for it in graph.operators if parsed.operatorCodes[it.opcodeIndex].builtinCode in kinds]
    buffers = {graph.tensors[it.inputs[1]].buffer for it in uses}
    return {"visits": len(uses), "kernels": len(buffers), "bytes": sum(len(parsed.buffers[it].data) for it in buffers)}


def printed(call: Callable[[], None]) -> str:
    """What a C++ function writes to standard error."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            call()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return file.read().decode()


def arena(micro: runtime.Interpreter) -> dict[str, int]:
    lines = [it.split() for it in printed(micro.print_allocations).splitlines() if "Arena allocation" in it]
    sizes = {it[3]: int(it[4]) for it in lines}
    return {"arena": sizes["total"], "activations": sizes["head"], "structures": sizes["tail"]}


def accuracy(micro: runtime.Interpreter, images: np.ndarray, classes: np.ndarray) -> float:
    details = micro.get_input_details(0)
    hits = 0
    for image, expected in zip(images[:, None], classes, strict=True):
        if details["dtype"] == np.int8:
            scale, zero = (details["quantization_parameters"][it][0] for it in ("scales", "zero_points"))
            image = np.clip(np.round(image / scale) + zero, -128, 127).astype(np.int8)
        micro.set_input(image, 0)
        micro.invoke()
        hits += int(micro.get_output(0).argmax() == expected)
    return 100 * hits / len(classes)


def trained(ksn: Path, folder: Path, file: str, *options: str) -> Path:
    """The run in a folder, made by `ksn train` if there is none."""
    if not list(folder.glob("*/run.json")):
        command = [ksn, "train", ROOT / file, *options, "--data", "digits", "--out", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next(folder.glob("*/run.json")).parent


class Data(NamedTuple):
    """Normalised images of the digits, in Keras' order of axes."""

    calibration: np.ndarray
    validation: np.ndarray
    classes: np.ndarray
    # Of `ksn` for the validation images.
    logits: np.ndarray


def data(ksn: Path, run: Path) -> Data:
    """The images that `ksn quantize` takes for a run: the split depends on the run's seed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "net.c"
        command = [ksn, "quantize", run, "-o", source, "--samples", "359"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        text = source.with_suffix(".samples.h").read_text()
    table = lambda name: re.search(rf"{name}\[[^=]*= \{{(.*?)\}};", text, re.DOTALL)[1]
    numbers = lambda name: np.array([float(it) for it in re.findall(r"[-+.\de]+", table(name))], np.float32)
    validation = numbers("sample_inputs").reshape(-1, 8, 8, 1)
    settings = json.loads((run / "settings.json").read_text())
    pixels = np.loadtxt(gzip.open(DIGITS), delimiter=",", dtype=np.float32)[:, :64].reshape(-1, 8, 8, 1)
    normal = (pixels - settings["mean"][0]) / settings["deviation"][0]
    taken = {tuple(np.round(it.ravel(), 3)) for it in validation}
    training = [it for it in normal if tuple(np.round(it.ravel(), 3)) not in taken]
    assert len(validation) == 359 and len(training) == 1438, (len(validation), len(training))
    classes = numbers("sample_labels").astype(int)
    return Data(np.array(training[:IMAGES], np.float32), validation, classes, numbers("sample_outputs").reshape(-1, 10))


def report(name: str, model: tf.keras.Model, calibration: np.ndarray, validation: Data | None) -> None:
    for precision, images in (("f32", None), ("int8", calibration)):
        file = converted(model, images)
        row = {"file": len(file), **kernels(file)}
        try:
            micro = runtime.Interpreter.from_bytes(file, arena_size=1 << 24)
            row |= arena(micro)
            if validation:
                row["accuracy"] = round(accuracy(micro, validation.validation, validation.classes), 2)
        except RuntimeError as error:
            row["micro"] = str(error)
        print(f"{name:26} {precision:5}", *(f"{key} {value}" for key, value in row.items()), sep="  ", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ksn", type=Path, default=ROOT / "target/debug/ksn")
    parser.add_argument("--runs", type=Path, default=Path("runs-tflite"))
    options = parser.parse_args()
    print(*(f"{it} {version(it)}" for it in ("tensorflow-cpu", "keras", "tflite-micro")), sep=", ")

    for shared in (True, False):
        kind = "shared" if shared else "unshared"
        small = lambda net: mixer(net, shared, 64, 5, (8, 8, 1), "relu")
        nets = {
            f"digits_{kind}": ("examples/nets/digits.ksn", ["--net", f"digits_{kind}"], lambda net: digits(net, shared)),
            f"mixer_{kind}": (
                "tests/embedded/depth.ksn",
                ["--set", "depth=16", "--set", f"share_kernels={str(shared).lower()}"],
                small,
            ),
        }
        for name, (file, chosen, build) in nets.items():
            run = trained(options.ksn.resolve(), options.runs / name, file, *chosen)
            model = build(Network(load_file(run / "best.safetensors")))
            images = data(options.ksn.resolve(), run)
            difference = np.abs(model(images.validation).numpy() - images.logits).max()
            assert difference < 1e-3, f"{name}: a logit differs by {difference} from that of ksn"
            print(f"{name}: logits in Keras differ from those of ksn by at most {difference:.1e}")
            report(name, model, images.calibration, images)
    for activation in ("gelu", "relu"):
        for shared in (True, False):
            model = mixer(Network(None), shared, 256, 9, (32, 32, 3), activation)
            random = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype(np.float32)
            report(f"convmixer_{'' if shared else 'un'}shared {activation}", model, random, None)


if __name__ == "__main__":
    main()
