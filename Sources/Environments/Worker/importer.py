"""Reads the datasets of other projects for fan-dist, with these projects' own readers and in little memory.

DatasetImporter.swift is the other end. An observation has O numbers, f32, or is an image of O bytes (height, width, 3);
an action has A numbers. The payloads of request and
answer for each kind of frame:

    4 import  JSON {source, name, files?, directory?, convention?, episode_limit?}
              JSON {observation_shape, action_size, observation_order?, has_validation, provenance}
    5 rows    limit u32
              count u32, count x observation, count x A f32, count x reward f32, count x mask f32, count x terminal u8

The answer to `rows` holds the next rows, at most `limit`. An answer without rows ends the training data; the answers
after it hold the validation data, if there are any, and end in the same way.

A row is a state and the action taken in it. Every row of an episode but the last starts a transition to the next row.
The last row, whose terminal is 1, holds the final state; where no action, reward and mask were recorded for it, they
are copies of those in the row before. A mask is 0 where the value of the next state does not count.
"""

import re
import zipfile

IMPORT, ROWS = 4, 5
# The number of rows that are read at a time, where the format allows it, and the bytes of images.
CHUNK, CHUNK_BYTES = 16_384, 64 << 20
# Members of an .npz file that say where episodes were cut off, and members that make every row a transition of its
# own, which are refused. OGBenchSource.swift knows the same ones.
CUTS = ["timeouts", "truncations", "truncated", "truncateds"]
NEXT = {"next_observations", "next_observation"}


class Source:
    """A dataset and its sizes: the dimensions of an observation, (O) or (height, width, 3), and A.

    `training` and `validation` generate chunks: tuples of observations, actions, rewards, masks and terminals of
    consecutive rows. `validation` is None if there are no validation data.
    """

    validation = None
    # The entries of the dictionaries that observations are made of, in their order.
    observation_order = None

    def __init__(self, observation_shape, action_size, provenance):
        self.observation_shape, self.action_size = tuple(observation_shape), action_size
        self.provenance = provenance


def versions(*packages):
    """The names and versions of installed packages, for the provenance."""
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in packages)


# OGBench


class OGBench(Source):
    """An OGBench dataset of one task, for which the ogbench package computes rewards and masks."""

    def __init__(self, name, files=None, directory=None):
        if "singletask" not in name.split("-"):
            raise ValueError(f"{name} has no rewards: OGBench's tasks with rewards are called ...-singletask-...")
        # Nothing is rendered, so OpenGL is not needed.
        os.environ.setdefault("MUJOCO_GL", "disable")
        import ogbench

        # The task that sees numbers has the same goals and rewards as the one that sees images.
        environment = ogbench.make_env_and_datasets(name.removeprefix("visual-"), env_only=True)
        self.goal = Goal(environment)
        parts = name.split("-")
        place = parts.index("singletask")
        self.environment_name = "-".join(parts[: place - 1] + parts[place:])
        files = files or [self.find("-".join(parts[:place] + parts[-1:]), directory)]
        observation_shape = environment.observation_space.shape
        if name.startswith("visual-"):
            observation_shape = self.image_shape(files[0])
        super().__init__(observation_shape, environment.action_space.shape[0], {
            "source": name, "task": f"{name}, number {environment.unwrapped._reward_task_id}",
            "files": ", ".join(files), "reward": "r(s), from ogbench.relabel_utils",
            "environment reward": self.timing(environment), "read by": versions("ogbench", "gymnasium", "mujoco"),
        })
        self.training = self.rows(files)
        companion = files[0].removesuffix(".npz") + "-val.npz"
        if os.path.exists(companion):
            self.validation = self.rows([companion])

    @staticmethod
    def find(dataset, directory):
        """The path of a dataset's file, which is downloaded if it does not exist."""
        from ogbench import utils

        directory = os.path.expanduser(directory or utils.DEFAULT_DATASET_DIR)
        path = os.path.join(directory, f"{dataset}.npz")
        if not os.path.exists(path):
            try:
                utils.download_datasets([dataset], directory)
            except OSError as error:
                raise FileNotFoundError(
                    f"{path} is not there and cannot be downloaded ({error}); put the file there, or give its place with --from"
                ) from error
        return path

    @staticmethod
    def image_shape(path):
        with zipfile.ZipFile(path) as archive:
            if "observations.npy" not in archive.namelist():
                raise ValueError(f"{path} has no 'observations'")
            images = NpyStream(archive, path, "observations")
        if images.dtype != np.uint8 or len(images.row_shape) != 3 or images.row_shape[2] != 3:
            raise ValueError(
                f"{path} has observations of {images.dtype}, shape {images.row_shape}; images are uint8 (height, width, 3)"
            )
        return images.row_shape

    @staticmethod
    def timing(environment):
        """Whether the environment's reward of a step is that of the state before it, r(s), or after it, r(s')."""
        # Versions before 1.2.0 have no such setting and reward the state after the step.
        return {"pre": "r(s)", "post": "r(s')"}[getattr(environment.unwrapped, "_success_timing", "post")]

    def rows(self, files):
        for path in files:
            for chunk in npz_chunks(path, ["observations", "actions", "terminals"], ["qpos", "button_states"]):
                if "qpos" not in chunk:
                    raise ValueError(f"{path} has no 'qpos', which the rewards of a task are computed from")
                for name, expected in ("observations", self.observation_shape), ("actions", (self.action_size,)):
                    if chunk[name].shape[1:] != expected:
                        raise ValueError(
                            f"{path} has {name} of shape {chunk[name].shape[1:]}, the task of shape {expected}"
                        )
                if len(self.observation_shape) == 3 and chunk["observations"].dtype != np.uint8:
                    raise ValueError(f"{path} has observations of {chunk['observations'].dtype}; images are uint8")
                self.goal.relabel(self.environment_name, chunk)
                yield tuple(chunk[key] for key in ("observations", "actions", "rewards", "masks", "terminals"))


class Goal:
    """A task's environment after a reset, with the goal for which relabel_dataset computes rewards.

    It stands in for the environment that relabel_dataset expects.
    """

    def __init__(self, environment):
        environment.reset()
        self.unwrapped = environment.unwrapped

    def reset(self):
        """Does nothing: the goal was set once and must stay the same for all chunks."""

    def relabel(self, environment_name, chunk):
        from ogbench.relabel_utils import relabel_dataset

        relabel_dataset(environment_name, self, chunk)


def npz_chunks(path, names, optional):
    """Generates chunks of consecutive rows of an .npz file; the last row of the file ends an episode.

    An episode also ends where the file says that it was cut off.

    A chunk maps names of arrays to arrays: all of `names`, and those of `optional` that the file has.
    """
    with zipfile.ZipFile(path) as archive:
        present = {name.removesuffix(".npy") for name in archive.namelist()}
        if missing := [name for name in names if name not in present]:
            raise ValueError(f"{path} has no {' and no '.join(map(repr, missing))}")
        for name in sorted(NEXT & present):
            raise ValueError(
                f"{path}: member '{name}': is not read: here the next state of a row is the row after it. Add to each episode a row with its final state, from the last {name}, set terminals on that row only, and leave {name} out"
            )
        cuts = [name for name in CUTS if name in present]
        wanted = [*names, *optional, *cuts]
        arrays = {name: NpyStream(archive, path, name) for name in wanted if name in present}
        if len({array.rows for array in arrays.values()}) > 1:
            raise ValueError(f"{path} has arrays of different lengths")
        rows = arrays[names[0]].rows
        length = max(1, min(CHUNK, CHUNK_BYTES // max(array.row_bytes for array in arrays.values())))
        for start in range(0, rows, length):
            count = min(length, rows - start)
            chunk = {name: array.take(count) for name, array in arrays.items()}
            chunk["terminals"] = chunk["terminals"].reshape(count) != 0
            for name in cuts:
                chunk["terminals"] |= chunk.pop(name).reshape(count) != 0
            if start + count == rows:
                chunk["terminals"][-1] = True
            yield chunk


class NpyStream:
    """Reads an array of an .npz file in chunks, from its first row to the last."""

    def __init__(self, archive, path, name):
        self.file, self.place = archive.open(name + ".npy"), f"{path}: member '{name}'"
        version = np.lib.format.read_magic(self.file)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"{self.place} has NumPy format version {version}")
        shape, is_fortran, self.dtype = readers[version](self.file)
        if self.dtype.hasobject or (is_fortran and len(shape) > 1) or not shape:
            raise ValueError(f"{self.place} is not an array of numbers in C order")
        self.rows, self.row_shape = shape[0], shape[1:]
        self.row_bytes = self.dtype.itemsize * int(np.prod(self.row_shape))

    def take(self, count):
        data = self.file.read(count * self.row_bytes)
        if len(data) < count * self.row_bytes:
            raise ValueError(f"{self.place} is cut short")
        return np.frombuffer(data, self.dtype).reshape(count, *self.row_shape)


# Minari


class Minari(Source):
    """A Minari dataset, with actions scaled from the environment's bounds to [-1, 1]."""

    def __init__(self, name, directory=None):
        if directory:
            os.environ["MINARI_DATASETS_PATH"] = os.path.expanduser(directory)
        import minari

        try:
            self.dataset = minari.load_dataset(name)
        except (OSError, ValueError) as missing:
            try:
                self.dataset = minari.load_dataset(name, download=True)
            except Exception as error:
                raise FileNotFoundError(
                    f"{missing}, and it cannot be downloaded ({type(error).__name__}: {error}); give its directory with --from"
                ) from error
        self.name = name
        actions = boxes(self.dataset.action_space, "actions")
        self.entries = boxes(self.observation_space(), "observations")
        if any(box.dtype == np.uint8 for _, box in self.entries):
            raise ValueError(f"{name} has images for observations, which are not supported")
        if len(actions) > 1:
            raise ValueError(f"{name} has a dictionary for actions, which is not supported")
        self.observation_order = order(self.entries)
        super().__init__([size(self.entries)], size(actions), {
            "source": f"minari:{name}", "files": str(self.dataset.spec.data_path), "reward": "as recorded",
            "read by": versions("minari", "h5py"),
        })
        self.low, self.high = (bound.ravel().astype(np.float64) for bound in (actions[0][1].low, actions[0][1].high))
        # The same components are scaled as in worker.py, which scales actions back to play the environment.
        self.is_scaled = np.isfinite(self.low) & np.isfinite(self.high) & ((self.low != -1) | (self.high != 1))
        if self.is_scaled.any():
            self.provenance["actions"] = f"scaled from {self.low.tolist()} to {self.high.tolist()}"
        self.training = self.rows()

    def observation_space(self):
        """The space of the data, with the entries of a dictionary in the order of the environment's space.

        The file that describes a dataset keeps the entries, but reading it sorts them.
        """
        import gymnasium

        space = self.dataset.observation_space
        if not isinstance(space, gymnasium.spaces.Dict):
            return space
        try:
            environment = self.dataset.recover_environment(eval_env=True).observation_space
        except Exception as error:
            print(f"{self.name}: entries in the order of their keys, as there is no environment: {error}", file=sys.stderr)
            return space
        return environment if environment == space else space

    def scale(self, actions):
        with np.errstate(invalid="ignore"):
            scaled = 2 * (actions - self.low) / (self.high - self.low) - 1
        return np.where(self.is_scaled, scaled, actions)

    def rows(self):
        for episode in self.dataset.iterate_episodes():
            place = f"{self.name}: episode {episode.id}"
            steps = len(episode.rewards)
            columns = {name: np.asarray(getattr(episode, name)) for name in ("actions", "rewards", "terminations")}
            for name, column in columns.items():
                width = self.action_size if name == "actions" else 1
                if len(column) != steps or column.size != steps * width:
                    raise ValueError(
                        f"{place}: {name} have shape {column.shape}, which is not {steps} steps of {width}; there are {steps} rewards"
                    )
            for path, box in self.entries:
                part = episode.observations
                for key in path:
                    part = part[key]
                if len(part) != steps + 1:
                    raise ValueError(
                        f"{place}: {len(part)} observations for {steps} steps; there must be one more than steps, the final state"
                    )
            observations = flat(episode.observations, self.entries, (steps + 1,), f"{place}: observations")
            if steps == 0:
                continue
            actions = self.scale(columns["actions"].astype(np.float64).reshape(steps, -1))
            columns = (
                actions, columns["rewards"].reshape(steps), 1 - columns["terminations"].reshape(steps).astype(np.float32)
            )
            terminals = np.arange(steps + 1) == steps
            yield observations, *(np.concatenate([column, column[-1:]]) for column in columns), terminals


# D4RL


class D4RL(Source):
    """A D4RL file, read as d4rl.qlearning_dataset and the published training code read it.

    A row of the file starts a transition to the next row unless its episode reached the limit of its steps there,
    which `timeouts` or, if the file has none, the number of steps tells. If the task ended in a row, the transition
    leads to the first state of the next episode, and its mask is 0. In antmaze data the episode goes on after the
    goal, and 1 is subtracted from all rewards.
    """

    def __init__(self, name, convention=None, episode_limit=None):
        import h5py

        path, is_antmaze = name, (convention or self.guess(name)) == "antmaze"
        self.file = h5py.File(path, "r")
        shapes = {name: self.array(path, name).shape for name in ("observations", "actions", "rewards", "terminals")}
        rows = shapes["observations"][0]
        if rows < 2 or len(shapes["observations"]) != 2 or len(shapes["actions"]) != 2:
            raise ValueError(f"{path} has observations and actions of shapes {shapes['observations']}, {shapes['actions']}")
        for name, shape in shapes.items():
            if shape[0] != rows or (name in ("rewards", "terminals") and int(np.prod(shape)) != rows):
                raise ValueError(f"{path} has '{name}' of shape {shape} where observations has {rows} rows")
        super().__init__(shapes["observations"][1:], shapes["actions"][1], {
            "source": os.path.basename(path), "files": path,
            "reward": "r(s, a) as recorded" + (", minus 1" if is_antmaze else ""),
            "convention": "D4RL antmaze" if is_antmaze else "D4RL", "read by": versions("h5py"),
        })
        terminals = self.flags("terminals")
        ends = self.flags("timeouts") if "timeouts" in self.file else self.limit(path, terminals, episode_limit)
        self.offset = np.float32(-1 if is_antmaze else 0)
        self.training = self.rows(*self.transitions(terminals, ends, is_antmaze), terminals)

    @staticmethod
    def guess(path):
        return "antmaze" if re.search("ant.?maze", os.path.basename(path), re.IGNORECASE) else "other"

    def array(self, path, name):
        import h5py

        if not isinstance(self.file.get(name), h5py.Dataset):
            raise ValueError(f"{path} has no '{name}'; a D4RL file has observations, actions, rewards, terminals")
        return self.file[name]

    def flags(self, name):
        return self.file[name][:].reshape(-1) != 0

    @staticmethod
    def limit(path, terminals, episode_limit):
        """Whether an episode reaches the limit of its steps, for each row."""
        if episode_limit is None:
            raise ValueError(
                f"{path} has no 'timeouts', so the limit of an episode's steps must say where it ends; give it with --episode-limit"
            )
        ends, step = np.zeros(len(terminals), bool), 0
        for row, terminal in enumerate(terminals):
            ends[row] = step == episode_limit - 1
            # D4RL counts the step in which a task ended as the first step of the next episode.
            step = 0 if ends[row] else 1 if terminal else step + 1
        return ends

    @staticmethod
    def transitions(terminals, ends, is_antmaze):
        """The rows of the file to take, in order, and whether each is taken as a final state.

        A row that is the final state of one episode and the first state of the next is taken twice.
        """
        starts = np.flatnonzero(~ends[:-1])
        goes_on = np.append(~ends[1:-1], False)[starts]
        if not is_antmaze:
            goes_on &= ~terminals[starts]
        counts = np.where(goes_on, 1, 2)
        rows = np.repeat(starts, counts)
        finals = np.zeros(len(rows), bool)
        finals[np.cumsum(counts)[~goes_on] - 1] = True
        return rows + finals, finals

    def rows(self, rows, finals, terminals):
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            first, last = rows[part].min(), rows[part].max()
            observations, actions, rewards = (
                self.file[name][first : last + 1][rows[part] - first] for name in ("observations", "actions", "rewards")
            )
            masks = 1 - terminals[rows[part]].astype(np.float32)
            yield observations, actions, rewards.reshape(-1).astype(np.float32) + self.offset, masks, finals[part]


# Requests


class Importer:
    sources = {"ogbench": OGBench, "minari": Minari, "d4rl": D4RL}

    def open(self, payload):
        request = json.loads(payload)
        source = self.sources[request.pop("source")](**request)
        self.is_image = len(source.observation_shape) == 3
        self.parts = [part for part in (source.training, source.validation) if part]
        self.chunk = None
        description = {
            "observation_shape": source.observation_shape, "action_size": source.action_size,
            "observation_order": source.observation_order, "has_validation": source.validation is not None,
            "provenance": source.provenance,
        }
        return json.dumps(description).encode()

    def rows(self, payload):
        (limit,) = struct.unpack("<I", payload)
        if self.chunk is None:
            self.chunk = next(self.parts[0], None)
            if self.chunk is None:
                self.parts.pop(0)
                return struct.pack("<I", 0)
        part, rest = [array[:limit] for array in self.chunk], [array[limit:] for array in self.chunk]
        self.chunk = rest if len(rest[0]) else None
        types = ["u1" if self.is_image else "<f4"] + ["<f4"] * 3 + ["u1"]
        columns = [np.ascontiguousarray(array, type).tobytes() for array, type in zip(part, types)]
        return struct.pack("<I", len(part[0])) + b"".join(columns)


importer = Importer()
serve({IMPORT: importer.open, ROWS: importer.rows})
