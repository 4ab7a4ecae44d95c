"""Reads the datasets of other projects for fan-dist, with these projects' own readers and in little memory.

DatasetImporter.swift is the other end; it sends the files of Readers before this one. An observation has O numbers,
f32, or is an image of O bytes (height, width, 3); an action has A numbers. The payloads of request and answer for each
kind of frame:

    4 import  JSON {source, name, files?, directory?, convention?, episode_limit?, format?, columns?, action_range?, last_step}
              JSON {observation_shape, action_size, observation_order?, has_validation, clips_actions, action_range?,
              reward_rule?, provenance}
    5 rows    limit u32
              count u32, count x observation, count x A f32, count x reward f32, count x mask f32, count x terminal u8

The answer to `rows` holds the next rows, at most `limit`. An answer without rows ends the training data and holds, in
UTF-8, a line for each thing that people should know of them; the answers after it hold the validation data, if there
are any, and end in the same way.

A row is a state and the action taken in it. Every row of an episode but the last starts a transition to the next row.
The last row, whose terminal is 1, holds the final state; where no action, reward and mask were recorded for it, they
are copies of those in the row before. A mask is 0 where the value of the next state does not count.
"""

import itertools
import math
import re

IMPORT, ROWS = 4, 5


def recognised(path, **options):
    """The name of a file's or directory's kind, by what is in it."""
    if os.path.isdir(path):
        inside = lambda *names: os.path.exists(os.path.join(path, *names))
        if inside("meta", "info.json"):
            return "lerobot"
        if inside("data", "metadata.json") or inside("metadata.json"):
            return "minari"
        if inside("features.json") or inside("dataset_info.json"):
            return "rlds"
        raise ValueError(f"{path}: is no directory of a kind that is known: OGBench, Minari, LeRobot or RLDS")
    with open(path, "rb") as file:
        start = file.read(8)
    if start == b"\x89HDF\r\n\x1a\n" or path.lower().endswith((".h5", ".hdf5")):
        with naming(path):
            names = set(itertools.islice(hdf5(path), 1000))
        if any(name.startswith("episode_") and name[8:].isdigit() for name in names):
            raise ValueError(
                f"{path}: belongs to a Minari dataset: import the directory that holds data/{os.path.basename(path)}"
            )
        is_d3rlpy = any(re.fullmatch(r"(observations|actions)_\d+(_\d+)?", name) for name in names)
        return "d3rlpy" if is_d3rlpy or {"episode_terminals", "discrete_action"} & names else "d4rl"
    if start.startswith(b"PK"):
        return "npz"
    return "parquet" if start.startswith(b"PAR1") else "csv"


def minari_directory(name, action_range=None, **_):
    return Minari(name, path=name, action_range=action_range)


class Importer:
    files = {
        "npz": NpzSteps, "d3rlpy": D3rlpy, "d4rl": D4RL, "minari": minari_directory, "lerobot": LeRobot, "rlds": RLDS,
        "csv": CSV, "parquet": Parquet,
    }

    # Options that only some kinds of files have.
    options = {
        "columns": ("--columns", ("csv", "parquet", "lerobot")),
        "convention": ("--convention", ("d4rl",)),
        "episode_limit": ("--episode-limit", ("d4rl",)),
    }

    def open(self, payload):
        request = json.loads(payload)
        self.name = request["name"]
        with naming(self.name):
            return self.described(request)

    def described(self, request):
        """Opens the dataset of a request, and says what it holds."""
        source, last_step = request.pop("source"), request.get("last_step", False)
        if source == "file":
            if not os.path.isdir(self.name):
                require_file(self.name)
            kind = request.pop("format", None) or recognised(request["name"])
            for option, (flag, kinds) in self.options.items():
                if request.get(option) is not None and kind not in kinds:
                    raise ValueError(f"{request['name']}: {flag} is for {', '.join(kinds)}, and this is {kind}; leave it out")
            source = self.files[kind](**request)
        elif source == "ogbench":
            source = OGBench(request["name"], request.get("files"), request.get("directory"))
        else:
            source = Minari(request["name"], request.get("directory"), action_range=request.get("action_range"))
        self.is_image = len(source.observation_shape) == 3
        for what, count in ("an observation", math.prod(source.observation_shape)), ("an action", source.action_size):
            if count < 1:
                raise ValueError(f"{self.name}: has no numbers in {what}")
        if math.prod(source.observation_shape) > 1 << 20 or source.action_size > 1 << 16:
            raise ValueError(f"{request['name']}: observations of shape {source.observation_shape}, or actions of {source.action_size} numbers, are too large")
        self.parts = [last_steps(part) if last_step else part for part in (source.training, source.validation) if part]
        self.chunk, self.advice, self.transitions = None, source.advice, 0
        description = {
            "observation_shape": source.observation_shape, "action_size": source.action_size,
            "observation_order": source.observation_order, "has_validation": source.validation is not None,
            "clips_actions": source.clips_actions, "action_range": source.action_range, "reward_rule": source.reward_rule,
            "provenance": source.provenance,
        }
        return json.dumps(description).encode()

    def rows(self, payload):
        (limit,) = struct.unpack("<I", payload)
        if self.chunk is None:
            with naming(self.name):
                self.chunk = self.next_chunk()
            if self.chunk is None:
                self.parts.pop(0)
                return struct.pack("<I", 0) + "\n".join(" ".join(note.split())[:1000] for note in notes).encode()
        part, rest = [array[:limit] for array in self.chunk], [array[limit:] for array in self.chunk]
        self.chunk = rest if len(rest[0]) else None
        types = ["u1" if self.is_image else "<f4"] + ["<f4"] * 3 + ["u1"]
        columns = [np.ascontiguousarray(array, type).tobytes() for array, type in zip(part, types)]
        return struct.pack("<I", len(part[0])) + b"".join(columns)

    def next_chunk(self):
        """The next rows of the data that are read; None at their end."""
        chunk = next(self.parts[0], None)
        if chunk is not None:
            self.transitions += np.count_nonzero(~np.asarray(chunk[4], bool))
        elif not self.transitions:
            raise ValueError(f"{self.name}: gives no transitions: {self.advice}")
        return chunk


importer = Importer()
serve({IMPORT: importer.open, ROWS: importer.rows})
