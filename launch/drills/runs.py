"""Small runs for drills: their command lines, their processes, and what they leave behind."""

import json
import os
import re
import signal
import struct
import subprocess
import time
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, ".build/release/fan-dist")
LOCAL = os.path.join(ROOT, "launch/local.sh")
# Seconds for --stall-timeout, and after which a process that has not ended hangs.
STALL, LIMIT = 4, 120
# Runs must not think that they belong to a job around this script.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_", "PMI_"))}

COMMON = ["--progress", "plain", "--stall-timeout", str(STALL), "--resume", "auto"]
# Long enough to be disturbed at a moment, by time.
LONG = [
    "--actor-hidden-dims", "32,32", "--value-hidden-dims", "32,32", "--batch-size", "64", "--steps", "400",
    "--log-interval", "20", "--eval-interval", "100", "--eval-episodes", "20", "--save-interval", "50",
]
# Short, with all files and several saves, to be disturbed at a call.
SHORT = [
    "--actor-hidden-dims", "16,16", "--value-hidden-dims", "16,16", "--batch-size", "64", "--steps", "60",
    "--log-interval", "3", "--eval-interval", "10", "--eval-episodes", "5", "--save-interval", "10",
]
# The same for runs that go on in the environment: the embedded maze of the default task.
LONG_ONLINE = LONG + ["--steps", "100", "--online-steps", "300", "--buffer-size", "3000"]
SHORT_ONLINE = SHORT + ["--steps", "20", "--online-steps", "40"]


def steps(settings):
    """The updates of a run: the last --steps counts, and those in the environment."""

    def last(flag):
        return int(settings[len(settings) - settings[::-1].index(flag)]) if flag in settings else 0

    return last("--steps") + last("--online-steps")


def write_dataset(path, episodes=20, length=21):
    """An .npz file for the default task."""
    rows = episodes * length

    def member(shape, values):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        header += " " * (117 - len(header)) + "\n"
        head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
        return head + struct.pack(f"<{len(values)}f", *values)

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("observations.npy", member((rows, 2), [i * 37 % 101 / 101 for i in range(rows * 2)]))
        file.writestr("actions.npy", member((rows, 2), [i * 53 % 103 / 52 - 0.99 for i in range(rows * 2)]))
        file.writestr("terminals.npy", member((rows,), [float(i % length == length - 1) for i in range(rows)]))


def command(ranks, words, environment=None, script=False):
    """The command line that trains on some ranks; the variables are for the ranks only."""
    if script:
        return [LOCAL, "-n", str(ranks), "-b", "none"] + words
    program = ["env"] + [f"{k}={v}" for k, v in (environment or {}).items()] if environment else []
    program += [PROGRAM, "train"] + words
    if ranks == 1:
        return program
    as_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    return ["mpirun", "-n", str(ranks), "--bind-to", "none", "--oversubscribe"] + as_root + program


def send(process, number):
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass


class Run:
    """A command that trains into a directory, while it runs and after its end."""

    def __init__(self, words, directory, variables=None):
        self.directory = directory
        self.words = words
        # Beside the folder, in which calls may fail.
        self.log = f"{os.path.dirname(directory)}.log-{time.monotonic_ns()}"
        self.code = None
        with open(self.log + ".out", "wb") as out, open(self.log + ".err", "wb") as err:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                env={**ENVIRONMENT, **(variables or {})})

    @property
    def output(self):
        with open(self.log + ".out", errors="replace") as file:
            return file.read()

    @property
    def errors(self):
        with open(self.log + ".err", errors="replace") as file:
            return file.read()

    def wait_for(self, text, seconds=30):
        """Waits until the run has said something; False if it ended without that."""
        end = time.monotonic() + seconds
        while text not in self.output:
            if self.process.poll() is not None or time.monotonic() > end:
                return text in self.output
            time.sleep(0.005)
        return True

    def ranks(self):
        """The processes of the program that write to the directory, but not those that start them."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words[0] == PROGRAM and self.directory in words:
                found.append(int(name))
        return sorted(found)

    def finish(self):
        """Waits for the end of all processes. `code` stays None if one does not end."""
        try:
            self.process.wait(LIMIT)
            code = self.process.returncode
            code = code if code >= 0 else 128 - code
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        end = time.monotonic() + 20
        while self.ranks() and time.monotonic() < end:
            time.sleep(0.05)
        left = self.ranks()
        for rank in left:
            send(rank, signal.SIGKILL)
            send(rank, signal.SIGCONT)
        self.code = None if left else code
        return self

    @property
    def lines(self):
        """What the program itself says about its end."""
        return [line for line in self.errors.splitlines() if line.startswith("fan-dist: ")]

    @property
    def last_saved(self):
        """The last update that the run has said to be saved."""
        return max((int(step) for step in re.findall(r"^update (\d+): saved ", self.output, re.M)), default=0)

    @property
    def continued_after(self):
        found = re.search(r"^continuing .* after update (\d+)$", self.output, re.M)
        return int(found.group(1)) if found else 0


def table(path):
    """The rows of a CSV file without the columns that say how long something took."""
    with open(path) as file:
        lines = [line.split(",") for line in file.read().splitlines()]
    kept = [i for i, name in enumerate(lines[0]) if not name.startswith("time/")]
    return sorted([line[i] for i in kept] for line in lines)


def result(directory, steps):
    """What a run has come to: its last tensors and its figures, all but times."""
    with open(f"{directory}/checkpoints/step-{steps:09d}.safetensors", "rb") as file:
        data = file.read()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    # Where a run was continued it may have ended before; then there is one more evaluation of behaviour cloning.
    evaluations = [row for row in table(f"{directory}/eval.csv") if row[1] != "behaviour" or row[0] == str(steps)]
    return {
        "tensors": (sorted(header.items()), data[8 + length:]), "train.csv": table(f"{directory}/train.csv"),
        "eval.csv": evaluations,
    }
