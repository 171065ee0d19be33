"""Compiles the CUDA kernels with nvrtc, which needs neither a GPU nor a driver nor a toolkit:

    python3 -m venv venv && venv/bin/pip install nvidia-cuda-nvrtc-cu12
    venv/bin/python tests/cuda/compile_kernels.py

Fails at the first error and at any warning. Prints the number of kernels and the size of the PTX for each
element type and architecture.
"""

import ctypes
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = os.path.join(HERE, "..", "..", "ksdsl-runtime", "cuda", "src", "kernels")
# The order of SOURCES in ksdsl-runtime/cuda/src/source.rs.
FILES = [
    "prelude.cuh",
    "elementwise.cu",
    "norm.cu",
    "rows.cu",
    "window.cu",
    "gather.cu",
    "gather_weight.cu",
    "tensor.cu",
    "attention.cu",
    "table.cu",
    "update.cu",
]
ARCHITECTURES = ["compute_75", "compute_80", "compute_90"]


def library():
    """libnvrtc from the pip package, or wherever the loader finds it."""
    import importlib.util

    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations if spec else []:
        for path in sorted(glob.glob(os.path.join(root, "**", "libnvrtc.so.*"), recursive=True)):
            # It looks for these by name, which finds what is loaded.
            for builtins in glob.glob(os.path.join(os.path.dirname(path), "libnvrtc-builtins.so.*")):
                ctypes.CDLL(builtins)
            return ctypes.CDLL(path)
    return ctypes.CDLL("libnvrtc.so")


def compile(nvrtc, source, options):
    """The PTX and the compiler's log."""
    program = ctypes.c_void_p()
    created = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"ksdsl.cu", 0, None, None)
    assert created == 0, f"nvrtcCreateProgram: {created}"
    array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    outcome = nvrtc.nvrtcCompileProgram(program, len(options), array)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    log = log.value.decode().strip()
    if outcome != 0:
        sys.exit(f"{options}: error {outcome}\n{log}")
    nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetPTX(program, ptx)
    return ptx.value.decode(), log


def main():
    nvrtc = library()
    sources = "\n".join(open(os.path.join(KERNELS, name)).read() for name in FILES)
    names = set(re.findall(r"__global__ void (\w+)\(", sources))
    for real in ["float", "double"]:
        for architecture in ARCHITECTURES:
            options = [f"--gpu-architecture={architecture}"]
            ptx, log = compile(nvrtc, f"#define REAL {real}\n#define REAL_IS_{real}\n{sources}", options)
            entries = re.findall(r"\.entry (\w+)", ptx)
            local = re.findall(r"\.local ", ptx)
            print(f"{real}, {architecture}: {len(entries)} kernels, {len(ptx)} bytes of PTX")
            if local:
                print(f"  note: {len(local)} declarations of local memory (arrays not in registers)")
            if log:
                sys.exit(f"warnings:\n{log}")
            missing = [name for name in names if name not in entries]
            assert not missing, missing


if __name__ == "__main__":
    main()
