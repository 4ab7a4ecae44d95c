"""Reads the datasets of other projects for fan-dist, with these projects' own readers and in little memory.

DatasetImporter.swift is the other end; readers.py, which is sent before this file, reads files. An observation has O
numbers, f32, or is an image of O bytes (height, width, 3); an action has A numbers. The payloads of request and answer
for each kind of frame:

    4 import  JSON {source, name, files?, directory?, convention?, episode_limit?, format?, columns?, action_range?, last_step}
              JSON {observation_shape, action_size, observation_order?, has_validation, clips_actions, action_range?,
              reward_rule?, provenance}
    5 rows    limit u32
              count u32, count x observation, count x A f32, count x reward f32, count x mask f32, count x terminal u8

The answer to `rows` holds the next rows, at most `limit`. An answer without rows ends the training data; the answers
after it hold the validation data, if there are any, and end in the same way.

A row is a state and the action taken in it. Every row of an episode but the last starts a transition to the next row.
The last row, whose terminal is 1, holds the final state; where no action, reward and mask were recorded for it, they
are copies of those in the row before. A mask is 0 where the value of the next state does not count.
"""

IMPORT, ROWS = 4, 5


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
        with naming(path), zipfile.ZipFile(path) as archive:
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
    with naming(path):
        archive = zipfile.ZipFile(path)
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
    length = chunk_rows(max(array.row_bytes for array in arrays.values()))
    for start in range(0, rows, length):
        count = min(length, rows - start)
        chunk = {name: array.take(count) for name, array in arrays.items()}
        place = lambda name: lambda i: f"{path}: row {start + i}, {name}"
        ends = [flags(chunk.pop(name).reshape(count), place(name)) for name in ("terminals", *cuts)]
        chunk["terminals"] = np.logical_or.reduce(ends)
        if start + count == rows:
            chunk["terminals"][-1] = True
        yield chunk


# Minari


class Minari(Source):
    """A Minari dataset by its name, or a directory that holds one."""

    clips_actions = True

    OTHER_FORMAT = "{}: data_format is {:.80}, and only hdf5 is read: make the dataset with data_format='hdf5'"

    def __init__(self, name, directory=None, path=None, **_):
        if directory:
            os.environ["MINARI_DATASETS_PATH"] = os.path.expanduser(directory)
        self.name, self.is_file = name, path is not None
        self.dataset = self.stored(path) if path else self.named(name)
        folder = str(self.dataset.spec.data_path)
        if (kind := self.dataset.storage.FORMAT) != "hdf5":
            raise ValueError(self.OTHER_FORMAT.format(folder, kind))
        self.path = os.path.join(folder, "main_data.hdf5")
        self.file = hdf5(self.path)
        if not hasattr(self.dataset.action_space, "low"):
            raise ValueError(
                f"{name}: actions are {self.dataset.action_space}: only one box of numbers can be learned here; discrete actions cannot")
        actions = boxes(self.dataset.action_space, "actions")
        self.entries = boxes(self.observation_space(), "observations")
        if any(box.dtype == np.uint8 for _, box in self.entries):
            raise ValueError(f"{name} has images for observations, which are not supported")
        self.observation_order = order(self.entries)
        super().__init__([size(self.entries)], size(actions), {
            "source": os.path.basename(os.path.abspath(path)) if path else f"minari:{name}",
            "files": folder, "reward": "as recorded", "read by": versions("minari", "h5py"),
        })
        bounds = zip(actions[0][1].low.ravel().tolist(), actions[0][1].high.ravel().tolist())
        # Numbers without bounds are not scaled.
        largest = np.finfo(np.float32).max
        self.action_range = [[low, high] if max(abs(low), abs(high)) < largest else [-1, 1] for low, high in bounds]
        self.training = self.rows()

    @classmethod
    def stored(cls, path):
        """The dataset in a directory that may come from anywhere: nothing that it names is imported."""
        import minari

        folder = os.path.join(path, "data") if os.path.isdir(os.path.join(path, "data")) else path
        place = os.path.join(folder, "metadata.json")
        what = "does not describe a Minari dataset"
        with naming(place, what):
            metadata = read_json(place)
            missing = {"action_space", "observation_space"} - set(metadata)
        if missing:
            raise ValueError(f"{place}: has no '{min(missing)}', so it does not say what its data are")
        if (kind := metadata.get("data_format")) != "hdf5":
            raise ValueError(cls.OTHER_FORMAT.format(place, str(kind)))
        episodes = sum(name.startswith("episode_") for name in hdf5(os.path.join(folder, "main_data.hdf5")))
        if (said := metadata.get("total_episodes")) != episodes:
            raise ValueError(
                f"{place}: total_episodes is {str(said)[:80]}, and main_data.hdf5 has {episodes}: "
                "download the dataset again, or correct it"
            )
        with naming(place, what):
            return minari.MinariDataset(folder)

    @staticmethod
    def named(name):
        import minari

        try:
            return minari.load_dataset(name)
        except (OSError, ValueError) as missing:
            try:
                return minari.load_dataset(name, download=True)
            except Exception as error:
                raise FileNotFoundError(
                    f"{missing}, and it cannot be downloaded ({type(error).__name__}: {error}); give its directory with --from"
                ) from error

    def observation_space(self):
        """The space of the data, with the entries of a dictionary in the order of the environment's space.

        The file that describes a dataset keeps the entries, but reading it sorts them.
        """
        import gymnasium

        space = self.dataset.observation_space
        if not isinstance(space, gymnasium.spaces.Dict) or self.is_file:
            return space
        try:
            environment = self.dataset.recover_environment(eval_env=True).observation_space
        except Exception as error:
            print(f"{self.name}: entries in the order of their keys, as there is no environment: {error}", file=sys.stderr)
            return space
        return environment if environment == space else space

    def rows(self):
        for episode in self.dataset.episode_indices:
            place = f"{self.path}: episode {episode}"
            array = lambda *names: hdf5_array(self.file, self.path, "/".join((f"episode_{episode}", *names)))
            columns = {name: array(name) for name in ("actions", "rewards", "terminations")}
            require_continuous(columns["actions"].dtype, columns["actions"].place)
            observations = [array("observations", *path) for path, _ in self.entries]
            steps = len(columns["rewards"])
            for name, column in columns.items():
                width = self.action_size if name == "actions" else 1
                if len(column) != steps or math.prod(column.shape) != steps * width:
                    raise ValueError(
                        f"{place}: {name} have shape {column.shape}, which is not {steps} steps of {width}; there are {steps} rewards"
                    )
            for part, (_, box) in zip(observations, self.entries):
                if len(part) != steps + 1:
                    raise ValueError(
                        f"{place}: {len(part)} observations for {steps} steps; there must be one more than steps, the final state"
                    )
                if math.prod(part.shape[1:]) != math.prod(box.shape):
                    raise ValueError(f"{part.place} has shape {part.shape}, and its space {box.shape}")
            if steps:
                yield from self.episode(place, steps, observations, columns)

    def episode(self, place, steps, observations, columns):
        """Generates the rows of an episode, whose arrays are in the file."""
        size, spot = chunk_rows(4 * (sum(self.observation_shape) + self.action_size)), at(place, "step")
        for start in range(0, steps + 1, size):
            row = np.arange(start, min(steps + 1, start + size))
            # The row of the final state repeats the last step.
            first, last = min(start, steps - 1), min(row[-1], steps - 1)
            chunk = {
                name: column[first : last + 1][np.minimum(row, last) - first].reshape(len(row), -1)
                for name, column in columns.items()
            }
            parts = [part[start : row[-1] + 1].reshape(len(row), -1) for part in observations]
            chunk |= {"observations": np.concatenate(parts, axis=1), "row": row}
            check_numbers(chunk, row < steps, spot)
            ended = flags(chunk["terminations"].reshape(-1), lambda i: f"{spot(chunk, i)}, terminations")
            masks = 1 - ended.astype(np.float32)
            yield chunk["observations"], chunk["actions"], chunk["rewards"].reshape(-1), masks, row == steps


# Requests


def minari_directory(name, **_):
    return Minari(name, path=name)


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
            source = Minari(request["name"], request.get("directory"))
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
                return struct.pack("<I", 0)
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
