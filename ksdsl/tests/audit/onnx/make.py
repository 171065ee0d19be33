"""Writes the models of this folder with the library of ONNX: `pip install onnx==1.23.2; python make.py`.

`inside.onnx` has tensors in a branch, in a loop in the other branch, in a function, and sparse ones; `external.onnx` has its
tensors in `weights.bin`, two of them at the same place.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def values(seed):
    return np.random.default_rng(seed).standard_normal((4, 8)).astype(np.float32)


def tensor(name, seed):
    return numpy_helper.from_array(values(seed), name)


def constant(output, seed):
    return helper.make_node("Constant", [], [output], value=tensor("", seed))


def port(name, kind=TensorProto.FLOAT, sizes=(4, 8)):
    return helper.make_tensor_value_info(name, kind, sizes)


def graph(name, nodes, initializers, inputs=(), outputs=("y",)):
    return helper.make_graph(nodes, name, list(inputs), [port(output) for output in outputs], initializers)


def save(name, of, functions=()):
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(of, opset_imports=opsets, ir_version=8, functions=list(functions))
    open(name, "wb").write(model.SerializeToString())
    onnx.checker.check_model(name)


add = lambda a, b: helper.make_node("Add", [a, b], ["y"])
truth, number = (TensorProto.BOOL, []), (TensorProto.INT64, [])
body = helper.make_graph([constant("c", 1), add("c", "w")], "body",
                         [port("i", *number), port("go", *truth), port("before")],
                         [port("go", *truth), port("y")], [tensor("w", 2)])
one = graph("one", [add("w", "table")], [tensor("w", 1)])
other = graph("other", [helper.make_node("Loop", ["n", "", "table"], ["y"], name="steps", body=body)], [])
sparse = helper.make_sparse_tensor(
    helper.make_tensor("thin", TensorProto.FLOAT, [16], np.arange(16) + 0.5),
    helper.make_tensor("at", TensorProto.INT64, [16], np.arange(16)), [4, 8])
main = graph("main", [helper.make_node("If", ["yes"], ["y"], then_branch=one, else_branch=other)], [tensor("table", 3)],
             [port("yes", *truth), port("n", *number)])
main.sparse_initializer.append(sparse)
block = helper.make_function("own", "Block", ["x"], ["y"], [constant("k", 3), add("x", "k")],
                             [helper.make_opsetid("", 17)])
save("inside.onnx", main, [block])

weights = [("a", 1, 0), ("b", 2, 128), ("a_again", 1, 0), ("a_copy", 1, 256)]
data = bytearray(384)
initializers = []
for name, seed, offset in weights:
    of = tensor(name, seed)
    data[offset:offset + 128] = of.raw_data
    of.ClearField("raw_data")
    of.data_location = TensorProto.EXTERNAL
    # Defaults are left out: from the first byte, as long as the sizes say.
    entries = {"location": "weights.bin", **({"offset": offset, "length": 128} if offset else {})}
    for key, value in entries.items():
        of.external_data.add(key=key, value=str(value))
    initializers.append(of)
open("weights.bin", "wb").write(data)
save("external.onnx", graph("main", [add("a", "b")], initializers))
