"""A system under test in a process of its own, which runs only when it is its turn."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent
# The networks.
NETS = FOLDER / "nets.ksn"


@dataclass(frozen=True)
class System:
    """The command that starts a contestant."""

    name: str
    command: tuple[str, ...]
    # Reads a network from an ONNX file instead of building it itself.
    reads_onnx: bool = False


def pytorch(mode: str, layout: str) -> System:
    """PyTorch `eager` or `compiled`, its maps `contiguous` or `channels_last`."""
    return peer(f"PyTorch {mode}, {layout}", "pytorch", mode, layout)


def peer(name: str, *arguments: str, reads_onnx: bool = False) -> System:
    """A system that `suite.peer` knows."""
    return System(name, (sys.executable, "-m", "suite.peer", *arguments), reads_onnx)


# A command and its arguments but for `repeats`.
Work = dict[str, str]

INFER: Work = {"command": "infer"}
TRAIN: Work = {"command": "train"}


class ContestantError(Exception):
    """A contestant failed to serve a request."""


class Contestant:
    """A running system. Between its turns it is stopped, so that no thread of it can spin."""

    def __init__(self, system: System, cpus: list[int], log: Path):
        self.name = system.name
        self.system = system
        self.cpus = cpus
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                system.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=FOLDER,
                env=os.environ | environment(cpus),
                start_new_session=True,
                preexec_fn=lambda: prepare(cpus),
            )

    def ask(self, command: str, **arguments: Any) -> Any:
        """Lets the contestant run until it has answered."""
        os.killpg(self.process.pid, signal.SIGCONT)
        try:
            print(json.dumps({"command": command} | arguments), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ContestantError(f"{self.name} ended while it did `{command}`; see {self.log}")
        os.killpg(self.process.pid, signal.SIGSTOP)
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            raise ContestantError(f"{self.name}, `{command}`: {answer['error']}")
        return answer

    def seconds(self, work: Work, repeats: int) -> list[float]:
        """The duration of each run, in seconds."""
        answer = self.ask(**work, repeats=repeats)
        return answer.get("training", answer)["seconds"]

    def bind(self, work: Work) -> None:
        """Binds the threads that do the work to CPUs of their own, where the system has not done so
        itself."""
        busy = self.busy_threads(work)
        free = [cpu for cpu in self.cpus if str(cpu) not in busy.values()]
        loose = [task for task, allowed in busy.items() if not allowed.isdigit()]
        for task, cpu in zip(loose, free):
            os.sched_setaffinity(int(task), [cpu])

    def placement(self, work: Work) -> str:
        """The CPUs that the worker threads may use, such as `0 | 1`."""
        return " | ".join(sorted(self.busy_threads(work).values()))

    def busy_threads(self, work: Work) -> dict[str, str]:
        """The worker threads, and the CPUs they may use."""
        before = self.thread_times()
        self.seconds(work, 3)
        used = {
            task: (ticks - before.get(task, (0, ""))[0], cpus) for task, (ticks, cpus) in self.thread_times().items()
        }
        busiest = max((ticks for ticks, _ in used.values()), default=0)
        return {task: cpus for task, (ticks, cpus) in used.items() if ticks > 0 and ticks >= busiest / 10}

    def thread_times(self) -> dict[str, tuple[int, str]]:
        """Ticks used and CPUs allowed by thread."""
        times = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            allowed = status(task)["Cpus_allowed_list"]
            times[task.name] = (int(fields[11]) + int(fields[12]), allowed)
        return times

    def resident(self) -> int:
        """Current memory in bytes."""
        return self.memory("VmRSS")

    def peak(self) -> int:
        """Peak memory in bytes since `reset_peak`."""
        return self.memory("VmHWM")

    def reset_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def memory(self, field: str) -> int:
        return 1024 * int(status(Path(f"/proc/{self.process.pid}"))[field].split()[0])

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def prepare(cpus: list[int]) -> None:
    """Confines the process to the CPUs and lets it die with its parent, though it be stopped."""
    os.sched_setaffinity(0, cpus)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


PR_SET_PDEATHSIG = 1


def status(process: Path) -> dict[str, str]:
    """The fields of a process's or thread's `status`."""
    return dict(re.findall(r"(\w+):\s*(.*)", (process / "status").read_text()))


def environment(cpus: list[int]) -> dict[str, str]:
    """As many threads as CPUs, each bound to its own; no system ignores what is for another."""
    threads = str(len(cpus))
    return {
        # Ours.
        "KSDSL_THREADS": threads,
        # PyTorch's OpenMP.
        "OMP_NUM_THREADS": threads,
        "OMP_PROC_BIND": "true",
        "GOMP_CPU_AFFINITY": " ".join(map(str, cpus)),
        # torch.compile: prepare weights for inference ahead of time; no processes for compiling.
        "TORCHINDUCTOR_FREEZING": "1",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }


@contextmanager
def running(systems: list[System], cpus: list[int], log: Path) -> Iterator[list[Contestant]]:
    """Starts the systems, and stops them even after errors."""
    contestants: list[Contestant] = []
    try:
        for system in systems:
            contestants.append(Contestant(system, cpus, log))
        yield contestants
    finally:
        for contestant in contestants:
            contestant.end()
