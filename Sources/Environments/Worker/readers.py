"""Readers of files and directories that people have: HDF5, .npz, tables. Part of importer.py.

Every file is untrusted: nothing in it is executed, pickled objects are refused, and sizes are checked before memory is
reserved.
"""

import bisect
import collections
import contextlib
import csv
import glob
import itertools
import math
import re
import resource
import zipfile

# The number of rows that are read at a time, where the format allows it, and the bytes of images.
CHUNK, CHUNK_BYTES = 16_384, 64 << 20
# Members of an .npz file that say where episodes were cut off, and members that make every row a transition of its
# own, which are refused. OGBenchSource.swift knows the same ones.
CUTS = ["timeouts", "truncations", "truncated", "truncateds"]
NEXT = {"next_observations", "next_observation"}
# The largest row and the largest piece of an HDF5 file that is unpacked at once, in bytes.
LARGEST_ROW, LARGEST_PIECE = 64 << 20, 256 << 20
# Actions may lie this far outside their range, in parts of half the range, because of rounding.
TOLERANCE = 1e-6


class Source:
    """A dataset and its sizes: the dimensions of an observation, (O) or (height, width, 3), and A.

    `training` and `validation` generate chunks: tuples of observations, actions, rewards, masks and terminals of
    consecutive rows. `validation` is None if there are no validation data.
    """

    validation = None
    # The entries of the dictionaries that observations are made of, in their order.
    observation_order = None
    # Whether actions outside their range are clipped, as environments do.
    clips_actions = False
    # [low, high] for each number of an action: what -1 and 1 stand for; None for themselves.
    action_range = None
    # The name of the rule for rewards that the data ask for.
    reward_rule = None
    # What may be wrong if there is no transition.
    advice = "every row ends an episode"

    def __init__(self, observation_shape, action_size, provenance):
        self.observation_shape, self.action_size = tuple(observation_shape), action_size
        self.provenance = provenance


def versions(*packages):
    """The names and versions of installed packages, for the provenance."""
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in packages)


def require_package(name, what):
    """Imports a package that only some formats need, or says how to install it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = {
            "tensorflow_datasets": "tensorflow-datasets tensorflow importlib_resources",
            "PIL.Image": "pillow",
        }.get(name, name.split(".")[0])
        raise ModuleNotFoundError(
            f"{what} needs a package that is missing: {sys.executable} -m pip install {package}"
        ) from error


@contextlib.contextmanager
def naming(place, what="cannot be read: it is damaged or of another kind"):
    """Turns what libraries say of damaged or odd data into a line that names the place.

    A ValueError whose text has the place passes: this program has raised it.
    """
    try:
        yield
    except (FileNotFoundError, ImportError):
        raise
    except MemoryError as error:
        raise ValueError(f"{place}: takes more memory than there is") from error
    except Exception as error:
        if isinstance(error, ValueError) and place in str(error):
            raise
        kind = [] if isinstance(error, ValueError) else [f"{type(error).__name__}:"]
        reason = " ".join([*kind, *str(error).split()]).rstrip(":")[:300]
        raise ValueError(f"{place}: {what} ({reason}); write or download it again") from error


def read_json(path):
    """What a JSON file says, which may come from anywhere."""
    require_file(path)
    with open(path, encoding="utf-8") as file:
        return json.loads(file.read(16 << 20))


def require_file(path):
    """Refuses directories, and what would make a reader wait."""
    if not os.path.isfile(path):
        raise ValueError(f"{path}: is no plain file, or not there")


def in_order(paths):
    """Paths in the order of the numbers in them: file-999 comes before file-1000."""
    # Texts and numbers take turns, so that like is compared with like.
    parts = lambda path: [int(p) if i % 2 else p for i, p in enumerate(re.split("([0-9]+)", path))]
    return sorted(paths, key=lambda path: (parts(path), path))


def require_numbers(dtype, place):
    """Refuses arrays of anything else, such as texts, dates and records."""
    if np.dtype(dtype).kind not in "biuf":
        what = {"O": "Python objects", "U": "text", "S": "text"}.get(np.dtype(dtype).kind, dtype)
        raise ValueError(f"{place} holds {what}, not numbers: store numbers, such as array.astype(numpy.float32)")


def require_continuous(dtype, place):
    """Refuses actions that are choices and not numbers on a range."""
    if np.dtype(dtype).kind not in "f":
        raise ValueError(
            f"{place} holds {np.dtype(dtype)}: discrete actions cannot be learned here, because policies give numbers on a range; actions that are such numbers must be stored as float32 (in CSV with a decimal point)"
        )


def layout(dtype, shape, place):
    """The shape of an observation in a dataset, and whether its channels must go from the first place to the last."""
    require_numbers(dtype, place)
    if len(shape) <= 1:
        return [math.prod(shape)], False
    if np.dtype(dtype) == np.uint8 and len(shape) == 3 and 3 in (shape[0], shape[2]):
        return (list(shape), False) if shape[2] == 3 else ([*shape[1:], 3], True)
    raise ValueError(
        f"{place} holds {np.dtype(dtype)} of shape {tuple(shape)}; vectors have one dimension, images are uint8 of (height, width, 3) or (3, height, width), each frame once"
    )


# From steps to rows


def at(place, unit="row"):
    """What names a step of a chunk in messages: a function of the chunk and the number of the step there."""
    return lambda steps, i: f"{place}: {unit} {steps['row'][i]}"


def rows_of(steps, place, action_range, terminal_ends=True, spot=None, labels={}):
    """Turns chunks of steps into chunks of rows, in which every episode ends with a row for its final state.

    A chunk of steps maps names to arrays: `observations`, `actions`, `rewards`, `terminals` (the task ended there),
    and as far as there are any `cuts` (the episode was cut off there), `episode` (another one for each episode),
    `next_observations`; and `row`, the numbers of the steps in the file. Flags are numbers or booleans.

    With next observations every step is a transition, and an episode also ends where the next step begins elsewhere.
    Without, the next state of a step is the observation of the step after it: the last step of an episode is a
    transition only if its task ended there, so that its next state does not count; else it is the final state.

    Throws ValueError for no rows, flags other than 0 and 1, numbers that are not finite, and actions outside
    `action_range`, [low, high] for all numbers or one for each. `spot` names the step in the message, and `labels` what
    the file calls the arrays: a name, or a list with one for each number.
    """
    held, spot = None, spot or at(place)
    for chunk in itertools.chain(steps, [None]):
        is_last = chunk is None
        if not is_last:
            if not len(chunk["rewards"]):
                continue
            chunk = with_flags(chunk, spot, labels)
            # A row that is too long for its place is noticed where it is read; here all chunks are alike.
            held = chunk if held is None else {name: np.concatenate([held[name], chunk[name]]) for name in held}
        if held is None:
            raise ValueError(f"{place}: has no rows")
        count = len(held["rewards"]) - (not is_last)
        if count <= 0:
            continue
        ends = episode_ends(held, terminal_ends, is_last)[:count]
        part = {name: array[:count] for name, array in held.items()}
        held = {name: array[count:] for name, array in held.items()}
        yield rows_of_chunk(part, ends, spot, action_range, labels)


def with_flags(steps, spot, labels):
    """Steps whose flags are booleans."""
    names = [name for name in ("terminals", "cuts") if name in steps]
    place = lambda name: lambda i: f"{spot(steps, i)}, {label(labels, steps, name, 0)}"
    return {**steps, **{name: flags(steps[name], place(name)) for name in names}}


def flags(values, place):
    """Flags as booleans; `place` names the one with a number in a message."""
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        i = wrong.argmax()
        raise ValueError(f"{place(i)}: is {values[i]}; a flag is 0 or 1, or false or true")
    return values != 0


def label(labels, steps, name, column):
    """What the file calls a number of an array of steps."""
    known = labels.get(name, name)
    if not isinstance(known, str):
        return known[column]
    return f"{known} column {column}" if math.prod(steps[name].shape[1:]) > 1 else known


def episode_ends(steps, terminal_ends, is_last):
    """Whether an episode ends with a step, for each of some steps."""
    count = len(steps["rewards"])
    ends = steps["terminals"].copy() if terminal_ends else np.zeros(count, bool)
    if "cuts" in steps:
        ends |= steps["cuts"]
    if "episode" in steps:
        ends[:-1] |= steps["episode"][1:] != steps["episode"][:-1]
    if "next_observations" in steps:
        shape = (count - 1, math.prod(steps["observations"].shape[1:]))
        following, beginning = steps["next_observations"][:-1], steps["observations"][1:]
        ends[:-1] |= differ(following.reshape(shape), beginning.reshape(shape))
    if is_last:
        ends[-1] = True
    return ends


def differ(following, beginning):
    """Whether a step's next state is another one than the state of the step after it, for each row.

    Each column counts for itself, at its own size: a state is the same one if all its numbers are. They may differ by
    what rounding to the coarser of the two types makes of them, and by a millionth of how far the column's numbers
    usually lie from their middle: the published code's limit for numbers near 1. NaN is never the same; it is refused
    later.
    """
    if not len(following) or following.dtype.kind in "biu" and beginning.dtype.kind in "biu":
        return (following != beginning).any(axis=1)
    kind = np.float16 if np.float16 in (following.dtype, beginning.dtype) else np.float32
    # Numbers that are too large for the type become infinite, and so another state.
    with np.errstate(over="ignore", invalid="ignore"):
        following, beginning = (array.astype(kind).astype(np.float32, copy=False) for array in (following, beginning))
        rounding = 4 * float(np.finfo(kind).eps) * np.maximum(np.abs(following), np.abs(beginning))
        spread = np.median(np.abs(beginning - np.median(beginning, axis=0)), axis=0)
        return ~(np.abs(following - beginning) <= rounding + 1e-6 * spread).all(axis=1)


def rows_of_chunk(steps, ends, spot, action_range, labels):
    has_next = "next_observations" in steps
    # The steps that start transitions.
    starts = np.ones(len(ends), bool) if has_next else ~ends | steps["terminals"]
    check_numbers(steps, starts, spot, action_range, labels)
    counts = np.where(ends & starts, 2, 1)
    rows = np.repeat(np.arange(len(ends)), counts)
    finals = np.zeros(len(rows), bool)
    finals[np.cumsum(counts)[ends] - 1] = True
    observations = steps["observations"][rows]
    if has_next:
        # Whole numbers must not cut off the fractions of next states.
        kind = np.result_type(observations, steps["next_observations"])
        observations = observations.astype(kind, copy=False)
        observations[finals] = steps["next_observations"][rows[finals]]
    rewards = steps["rewards"].reshape(-1)[rows]
    masks = 1 - steps["terminals"][rows].astype(np.float32)
    return observations, steps["actions"][rows], rewards, masks, finals


def check_numbers(steps, starts, spot, action_range=None, labels={}):
    """Refuses numbers of steps that are not finite, and actions outside their range; `spot` and `labels` name them.

    The actions and rewards of steps that are not `starts` of transitions may be anything.
    """
    for name in ("observations", "next_observations", "actions", "rewards"):
        if name not in steps or steps[name].dtype == np.uint8:
            continue
        with np.errstate(over="ignore"):
            values = steps[name].astype(np.float32).reshape(len(starts), -1)
        wrong = ~np.isfinite(values)
        if name in ("actions", "rewards"):
            wrong &= starts[:, None]
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            value = steps[name].reshape(len(starts), -1)[row, column]
            raise ValueError(
                f"{spot(steps, row)}, {label(labels, steps, name, column)}: "
                f"is {value}, not a finite number of single precision"
            )
    if action_range is None:
        return
    low, high = np.array(action_range, np.float64).T
    actions = steps["actions"].astype(np.float64)
    slack = TOLERANCE * (high - low) / 2
    wrong = ((actions < low - slack) | (actions > high + slack)) & starts[:, None]
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        low, high = np.broadcast_to(np.array(action_range, np.float64), (actions.shape[1], 2))[column]
        raise ValueError(
            f"{spot(steps, row)}, {label(labels, steps, 'actions', column)}: is {actions[row, column]:g}, outside "
            f"{low:g} to {high:g}; give the range of the actions with --action-range LOW,HIGH, or data"
        )


def last_steps(chunks):
    """Chunks of rows in which the last step of each episode has reward 1 and ends its task; other rewards are 0."""
    held = None
    for chunk in itertools.chain(chunks, [None]):
        if chunk is None:
            if held is not None:
                yield held
            return
        rows = [np.asarray(array) for array in chunk]
        if held is not None:
            rows = [np.concatenate(pair) for pair in zip(held, rows)]
        observations, actions, rewards, masks, terminals = rows
        last = np.append(np.asarray(terminals[1:], bool), False) & ~np.asarray(terminals, bool)
        rewards, masks = last.astype(np.float32), 1 - last.astype(np.float32)
        rows = [observations, actions, rewards, masks, terminals]
        # What follows the last row is not known yet.
        if len(terminals) > 1:
            yield tuple(array[:-1] for array in rows)
        held = tuple(array[-1:] for array in rows)


# HDF5


def hdf5(path):
    """Opens an HDF5 file."""
    h5py = require_package("h5py", f"{path}: HDF5")
    require_file(path)
    with naming(path):
        return h5py.File(path, "r")


def has(group, name):
    """Whether a group has a member of a name. A member that is a link to elsewhere is not followed."""
    return group.id.links.exists(name.encode())


def hdf5_member(file, path, name):
    """What is stored at a place in an HDF5 file. Links may lead anywhere, to other files too, and are not followed."""
    import h5py

    member = file
    for part in name.split("/"):
        if not isinstance(member, h5py.Group) or not has(member, part):
            raise ValueError(f"{path}: '{name}' is missing")
        if member.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{path}: '{name}' is a link, which is not followed; store the array itself there")
        member = member[part]
    return member


def hdf5_array(file, path, name, *shapes):
    """An array of numbers in an HDF5 file, none of which lie elsewhere, with one of some shapes if any are given."""
    with naming(f"{path}: '{name}'"):
        return Hdf5Array(hdf5_member(file, path, name), f"{path}: '{name}'", shapes)


class Hdf5Array:
    """An array of numbers, all of which are stored in the file itself."""

    def __init__(self, array, place, shapes=()):
        import h5py

        if not isinstance(array, h5py.Dataset):
            raise ValueError(f"{place} is no array")
        if array.shape is None:
            raise ValueError(f"{place} is empty")
        if array.is_virtual or array.external:
            raise ValueError(f"{place} lies in other files, which are not read; copy it into this file")
        require_numbers(array.dtype, place)
        self.array, self.place, self.shape, self.dtype = array, place, array.shape, array.dtype
        self.require_stored()
        if shapes and list(array.shape) not in [list(shape) for shape in shapes]:
            raise ValueError(f"{place} has shape {array.shape}, not {tuple(shapes[0])}")

    def require_stored(self):
        """Refuses arrays that would take far more memory than the file does."""
        array, place, shape = self.array, self.place, self.shape
        piece = math.prod(array.chunks or shape[1:]) * array.dtype.itemsize
        if piece > LARGEST_PIECE or math.prod(shape[1:]) * array.dtype.itemsize > LARGEST_ROW:
            raise ValueError(f"{place} has shape {shape} in pieces of {array.chunks}, which are too large to read")
        stored = array.id.get_storage_size()
        # What is not stored is read as zeros.
        pieces = math.prod(-(-length // size) for length, size in zip(shape, array.chunks or ()))
        if array.nbytes and (not stored or array.chunks and array.id.get_num_chunks() < pieces):
            raise ValueError(f"{place} has shape {shape}, of which not all is stored; write the file again")
        # Compression gains a factor of a thousand at most.
        if array.nbytes > 2000 * stored + (1 << 20):
            raise ValueError(f"{place} has shape {shape}, of which nearly nothing is stored")

    def __len__(self):
        if not self.shape:
            raise ValueError(f"{self.place} is a single number, not an array with a row for each step")
        return self.shape[0]

    def __getitem__(self, part):
        with naming(self.place):
            return self.array[part]


class D3rlpy(Source):
    """A ReplayBuffer of d3rlpy, one array an episode and column, or a MDPDataset of its version 1.

    An episode whose task ended has as many transitions as steps, others one less: the last observation is the final
    state.
    """

    def __init__(self, name, action_range=None, **_):
        path, self.path, self.file = name, name, hdf5(name)
        self.is_old = has(self.file, "observations")
        suffix = "" if self.is_old else "_0"
        if has(self.file, "observations_0_0"):
            raise ValueError(f"{path}: observations are tuples of arrays, of which only single arrays are read")
        if not has(self.file, f"observations{suffix}"):
            raise ValueError(
                f"{path} has no episodes: a d3rlpy file has observations_0, actions_0, rewards_0, terminated_0"
            )
        first = hdf5_array(self.file, path, f"observations{suffix}")
        actions = hdf5_array(self.file, path, f"actions{suffix}")
        is_discrete = (
            self.is_old
            and has(self.file, "discrete_action")
            and bool(hdf5_array(self.file, path, "discrete_action", [])[()])
        )
        require_continuous(np.int64 if is_discrete else actions.dtype, f"{path}: 'actions{suffix}'")
        self.shape, self.row_shape, self.width = None, first.shape[1:], math.prod(actions.shape[1:])
        self.shape, self.moves = layout(first.dtype, self.row_shape, f"{path}: 'observations{suffix}'")
        super().__init__(
            self.shape,
            self.width,
            {
                "source": os.path.basename(path),
                "files": path,
                "reward": "as recorded",
                "read by": versions("h5py"),
            },
        )
        steps = self.old_steps(path) if self.is_old else self.steps(path)
        self.training = rows_of(steps, path, action_range, spot=self.spot)

    def spot(self, steps, i):
        episode = f"episode {steps['episode'][i]}, " if "episode" in steps else ""
        return f"{self.path}: {episode}row {steps['row'][i]}"

    def observations(self, array, part):
        rows = array[part]
        rows = np.moveaxis(rows, 1, 3) if self.moves else rows
        return rows.reshape(-1, *self.shape)

    def steps(self, path):
        count = int(hdf5_array(self.file, path, "num_episodes", [])[()]) if has(self.file, "num_episodes") else 0
        for i in itertools.count():
            if not has(self.file, f"actions_{i}"):
                if i < count:
                    raise ValueError(f"{path} has {i} episodes where it says {count}")
                return
            actions = hdf5_array(self.file, path, f"actions_{i}")
            n = actions.shape[0] if actions.shape else 0
            hdf5_array(self.file, path, f"actions_{i}", [n, self.width])
            observations = hdf5_array(self.file, path, f"observations_{i}", [n, *self.row_shape])
            rewards = hdf5_array(self.file, path, f"rewards_{i}", [n, 1], [n])
            terminated = flags(
                hdf5_array(self.file, path, f"terminated_{i}", [])[()].reshape(1), lambda _: f"{path}: 'terminated_{i}'"
            )
            yield from self.pieces(
                n,
                observations,
                actions,
                rewards,
                lambda part, rows: {
                    "terminals": terminated & (np.arange(part.start, part.stop) == n - 1),
                    "cuts": np.arange(part.start, part.stop) == n - 1,
                    "episode": np.full(rows, i),
                },
            )

    def old_steps(self, path):
        n = len(hdf5_array(self.file, path, "actions"))
        actions = hdf5_array(self.file, path, "actions", [n, self.width])
        observations = hdf5_array(self.file, path, "observations", [n, *self.row_shape])
        rewards, terminals = (hdf5_array(self.file, path, name, [n], [n, 1]) for name in ("rewards", "terminals"))
        ends = (
            hdf5_array(self.file, path, "episode_terminals", [n], [n, 1])
            if has(self.file, "episode_terminals")
            else terminals
        )
        yield from self.pieces(
            n,
            observations,
            actions,
            rewards,
            lambda part, _: {"terminals": terminals[part].reshape(-1), "cuts": ends[part].reshape(-1)},
        )

    def pieces(self, n, observations, actions, rewards, more):
        size = chunk_rows(math.prod(self.shape) * observations.dtype.itemsize)
        for start in range(0, n, size):
            part = slice(start, min(n, start + size))
            rows = part.stop - part.start
            yield {
                "observations": self.observations(observations, part),
                "actions": actions[part],
                "rewards": rewards[part].reshape(-1),
                "row": np.arange(part.start, part.stop),
                **more(part, rows),
            }


def chunk_rows(row_bytes):
    """How many rows are read at a time."""
    return max(1, min(CHUNK, CHUNK_BYTES // max(row_bytes, 1)))


# D4RL


class D4RL(Source):
    """A D4RL file, read as d4rl.qlearning_dataset and the published training code read it.

    A row of the file starts a transition to the next row unless its episode reached the limit of its steps there,
    which `timeouts` or, if the file has none, the number of steps tells. If the task ended in a row, the transition
    leads to the first state of the next episode, and its mask is 0. In antmaze data the episode goes on after the
    goal, and 1 is to be subtracted from all rewards. A file without `timeouts` that has `next_observations` is read
    with them: there every row is a transition of its own.
    """

    clips_actions = True

    def __init__(self, name, convention=None, episode_limit=None, **_):
        path, is_antmaze = name, (convention or self.guess(name)) == "antmaze"
        self.path, self.file = path, hdf5(path)
        names = ("observations", "actions", "rewards", "terminals")
        if missing := [name for name in names if not has(self.file, name)]:
            raise ValueError(f"{path} has no '{missing[0]}'; a D4RL file has {', '.join(names)}")
        self.arrays = {name: hdf5_array(self.file, path, name) for name in names}
        rows, shapes = len(self.arrays["observations"]), {name: array.shape for name, array in self.arrays.items()}
        if len(shapes["observations"]) != 2 or len(shapes["actions"]) != 2:
            raise ValueError(
                f"{path} has observations and actions of shapes {shapes['observations']}, {shapes['actions']}"
            )
        for name, array in self.arrays.items():
            if len(array) != rows or (name in ("rewards", "terminals") and math.prod(array.shape) != rows):
                raise ValueError(f"{path} has '{name}' of shape {array.shape} where observations has {rows} rows")
        if rows < 2:
            raise ValueError(f"{path} has {rows or 'no'} rows; there is no transition")
        super().__init__(
            shapes["observations"][1:],
            shapes["actions"][1],
            {
                "source": os.path.basename(path),
                "files": path,
                "reward": "r(s, a) as recorded",
                "read by": versions("h5py"),
                "convention": "D4RL antmaze: an episode goes on after its goal" if is_antmaze else "D4RL",
            },
        )
        self.reward_rule = "antmaze" if is_antmaze else None
        require_continuous(self.arrays["actions"].dtype, f"{path}: 'actions'")
        has_timeouts = has(self.file, "timeouts")
        if not has_timeouts and has(self.file, "next_observations") and episode_limit is None:
            name = "next_observations"
            self.arrays[name] = hdf5_array(self.file, path, name, shapes["observations"])
            self.training = rows_of(self.steps(), path, None, terminal_ends=not is_antmaze)
            return
        terminals = self.flags("terminals")
        if has_timeouts:
            self.arrays["timeouts"] = hdf5_array(self.file, path, "timeouts", [rows], [rows, 1])
            ends = self.flags("timeouts")
        else:
            ends = self.limit(path, terminals, episode_limit)
        self.training = self.rows(*self.transitions(terminals, ends, is_antmaze), terminals)

    @staticmethod
    def guess(path):
        return "antmaze" if re.search("ant.?maze", os.path.basename(path), re.IGNORECASE) else "other"

    def steps(self):
        rows = len(self.arrays["rewards"])
        for start in range(0, rows, CHUNK):
            stop = min(rows, start + CHUNK)
            chunk = {name: array[start:stop] for name, array in self.arrays.items()}
            yield {**chunk, "terminals": chunk["terminals"].reshape(-1), "row": np.arange(start, stop)}

    def flags(self, name):
        return flags(self.arrays[name][:].reshape(-1), lambda row: f"{self.path}: row {row}, {name}")

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
            chunk = {
                name: self.arrays[name][first : last + 1][rows[part] - first]
                for name in ("observations", "actions", "rewards")
            }
            check_numbers({**chunk, "row": rows[part]}, ~finals[part], at(self.path))
            masks = 1 - terminals[rows[part]].astype(np.float32)
            yield chunk["observations"], chunk["actions"], chunk["rewards"].reshape(-1), masks, finals[part]


# NumPy


class NpyStream:
    """Reads an array of an .npz file in chunks, from its first row to the last."""

    def __init__(self, archive, path, name):
        self.place = f"{path}: member '{name}'"
        with naming(self.place):
            self.file = archive.open(name + ".npy")
            version = np.lib.format.read_magic(self.file)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            if version not in readers:
                raise ValueError(f"{self.place} has NumPy format version {version}")
            shape, is_fortran, self.dtype = readers[version](self.file)
        if not shape:
            raise ValueError(f"{self.place} is a single number, not an array with a row for each step")
        if min(shape) < 0:
            raise ValueError(f"{self.place} has shape {shape}, which no array has; write the file again")
        require_numbers(self.dtype, self.place)
        if is_fortran and len(shape) > 1:
            raise ValueError(
                f"{self.place} is stored in Fortran order, column by column: store numpy.ascontiguousarray of it"
            )
        self.rows, self.row_shape = shape[0], shape[1:]
        self.row_bytes = self.dtype.itemsize * math.prod(self.row_shape)
        if self.row_bytes > LARGEST_ROW:
            raise ValueError(f"{self.place} has rows of shape {self.row_shape}, which are too large")

    def take(self, count):
        with naming(self.place):
            data = self.file.read(count * self.row_bytes)
        if len(data) < count * self.row_bytes:
            raise ValueError(f"{self.place} is cut short")
        return np.frombuffer(data, self.dtype).reshape(count, *self.row_shape)


class NpzSteps(Source):
    """An .npz file with one transition or step a row: observations, actions, rewards, terminals, and as far as it has
    them next_observations and timeouts.
    """

    NAMES = {
        "observations": ["observations", "obs"],
        "next_observations": ["next_observations", "next_obs", "next_observation"],
        "actions": ["actions"],
        "rewards": ["rewards"],
        "terminals": ["terminals", "terminations", "terminated", "dones"],
    }

    def __init__(self, name, action_range=None, last_step=False, **_):
        path = name
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path}: is not a whole .npz file: {error}") from error
        present = {name.removesuffix(".npy") for name in archive.namelist()}
        found = {kind: next((name for name in names if name in present), None) for kind, names in self.NAMES.items()}
        needed = ["observations", "actions", "terminals"] + ([] if last_step else ["rewards"])
        for kind in needed:
            if not found[kind]:
                raise ValueError(f"{path} has no '{kind}'; its members are {', '.join(sorted(present))[:300]}")
        # Each of these may cut episodes.
        self.cuts = [name for name in CUTS if name in present]
        members = [(kind, name) for kind, name in found.items() if name] + [(name, name) for name in self.cuts]
        self.streams = lambda: {kind: NpyStream(archive, path, name) for kind, name in members}
        streams = self.streams()
        rows = streams["observations"].rows
        self.shape, self.moves = layout(
            streams["observations"].dtype,
            streams["observations"].row_shape,
            f"{path}: member '{found['observations']}'",
        )
        require_continuous(streams["actions"].dtype, f"{path}: member '{found['actions']}'")
        for kind, stream in streams.items():
            width = math.prod(stream.row_shape)
            right = {
                "next_observations": stream.row_shape == streams["observations"].row_shape,
                "observations": True,
                "actions": len(stream.row_shape) <= 1 and width >= 1,
            }.get(kind, width == 1)
            if stream.rows != rows or not right:
                raise ValueError(
                    f"{stream.place} has shape {(stream.rows, *stream.row_shape)}, which does not fit observations of {(rows, *streams['observations'].row_shape)}"
                )
        following = streams.get("next_observations")
        if len(self.shape) == 3 and following and following.dtype != np.uint8:
            raise ValueError(f"{following.place} holds {following.dtype}; images are uint8")
        if rows < 2:
            raise ValueError(f"{path} has {rows or 'no'} rows; there is no transition")
        unused = sorted(present - {name for _, name in members})
        super().__init__(
            self.shape,
            math.prod(streams["actions"].row_shape),
            {
                "source": os.path.basename(path),
                "files": path,
                "reward": "as recorded",
                **({"members that are not used": ", ".join(unused)[:300]} if unused else {}),
            },
        )
        labels = {kind: name for kind, name in found.items() if name}
        self.training = rows_of(self.steps(path), path, action_range, labels=labels)

    def steps(self, path):
        streams, start = self.streams(), 0
        rows = streams["observations"].rows
        size = chunk_rows(streams["observations"].row_bytes)
        while start < rows:
            count = min(size, rows - start)
            chunk = {kind: stream.take(count) for kind, stream in streams.items()}
            for kind in ("observations", "next_observations"):
                if kind in chunk:
                    images = np.moveaxis(chunk[kind], 1, 3) if self.moves else chunk[kind]
                    chunk[kind] = images.reshape(count, *self.shape)
            chunk["actions"] = chunk["actions"].reshape(count, -1)
            chunk["rewards"] = chunk["rewards"].reshape(count) if "rewards" in chunk else np.zeros(count)
            chunk["terminals"] = chunk["terminals"].reshape(count)
            place = lambda name: lambda i: f"{path}: row {start + i}, {name}"
            if cuts := [flags(chunk.pop(name).reshape(count), place(name)) for name in self.cuts]:
                chunk["cuts"] = np.logical_or.reduce(cuts)
            yield {**chunk, "row": np.arange(start, start + count)}
            start += count


# Tables


class Table(Source):
    """A table with one step a row, whose columns people name.

    A subclass has `names`, the names of the columns, `width`, how many numbers one holds, `spot`, which names a row in
    messages, and `read`, which generates (numbers, ids, rows) for a list of columns: the numbers of each column, rows ×
    numbers; the columns of episodes' numbers as the file has them, because all their digits count; and the numbers of
    the rows.
    """

    SORT = "every row is an episode: the rows of one must stand together, so sort the file by '{}'"

    def __init__(self, path, columns, action_range, last_step, provenance):
        kinds = {
            "observation": "observations",
            "next_observation": "next_observations",
            "action": "actions",
            "reward": "rewards",
            "terminal": "terminals",
            "timeout": "cuts",
            "episode": "episode",
        }
        self.path = path
        chosen = {kinds[kind]: self.find(names) for kind, names in (columns or {}).items()}
        hint = f"name columns with --columns observation=...,action=...,reward=...,terminal=...; there are {', '.join(self.names)[:300]}"
        for kind in ("observations", "actions"):
            if not chosen.get(kind):
                raise ValueError(f"{path}: no column is named as {kind[:-1]}; {hint}")
        if "rewards" not in chosen and not last_step:
            raise ValueError(f"{path}: no column is named as reward, and --reward-rule last-step is not given; {hint}")
        if not {"terminals", "cuts", "episode", "next_observations"} & set(chosen):
            raise ValueError(f"{path}: no column says where episodes end: terminal, timeout or episode; {hint}")
        widths = {name: self.width(name) for names in chosen.values() for name in names}
        size = {kind: sum(widths[name] for name in names) for kind, names in chosen.items()}
        for kind in size:
            if kind in ("rewards", "terminals", "cuts", "episode") and size[kind] != 1:
                raise ValueError(f"{path}: {', '.join(chosen[kind])} are {size[kind]} numbers for {kind}, not one")
        if "next_observations" in size and size["next_observations"] != size["observations"]:
            raise ValueError(
                f"{path}: next_observation has {size['next_observations']} columns, observation {size['observations']}"
            )
        self.chosen = chosen
        self.require_actions(chosen["actions"])
        unused = [name for name in self.names if name not in widths]
        super().__init__(
            [size["observations"]],
            size["actions"],
            {
                "source": os.path.basename(path),
                "files": path,
                "reward": "as recorded" if "rewards" in chosen else "none recorded",
                "observations": ", ".join(chosen["observations"])[:300],
                "actions": ", ".join(chosen["actions"])[:300],
                **({"columns that are not used": ", ".join(unused)[:300]} if unused else {}),
                **provenance,
            },
        )
        if "episode" in chosen:
            self.advice = self.SORT.format(chosen["episode"][0])
        labels = {
            kind: [f"column '{name}'" for name in names for _ in range(widths[name])] for kind, names in chosen.items()
        }
        steps = self.steps(chunk_rows(8 * sum(widths.values())))
        self.training = rows_of(steps, path, action_range, spot=self.spot, labels=labels)

    def find(self, patterns):
        """The columns that some names, or patterns such as obs_*, stand for, in their order in the table."""
        found, counts = [], collections.Counter(self.names)
        for pattern in patterns:
            # Only the asterisk is special: names may hold brackets.
            form = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
            names = [pattern] if pattern in counts else [name for name in self.names if form.fullmatch(name)]
            if not names:
                raise ValueError(f"{self.path}: has no column '{pattern}'; there are {', '.join(self.names)[:300]}")
            found += names
        if double := [name for name in found if counts[name] > 1]:
            raise ValueError(f"{self.path}: two columns are called '{double[0]}'")
        return found

    def steps(self, size):
        columns = [name for names in self.chosen.values() for name in names]
        for numbers, ids, rows in self.read(columns, size):
            chunk = {kind: np.concatenate([numbers[name] for name in names], 1) for kind, names in self.chosen.items()}
            for kind in {"rewards", "terminals", "cuts"} & set(chunk):
                chunk[kind] = chunk[kind].reshape(-1)
            if "episode" in chunk:
                (name,) = self.chosen["episode"]
                chunk["episode"] = ids[name].reshape(-1)
                if (wrong := np.isnan(numbers[name])).any():
                    raise ValueError(f"{self.spot({'row': rows}, wrong.argmax())}, column '{name}': is not a number")
            yield {"rewards": np.zeros(len(rows)), "terminals": np.zeros(len(rows), bool), **chunk, "row": rows}


class CSV(Table):
    """A CSV file with the names of the columns in its first line. Rows are counted as lines, the first line is 1."""

    WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
    LONGEST_LINE = 1 << 20

    def __init__(self, name, columns=None, action_range=None, last_step=False, **_):
        self.path = name
        with open(name, newline="", encoding="utf-8-sig", errors="replace") as file:
            header = file.readline(self.LONGEST_LINE)
        self.delimiter = max(",;\t", key=header.count)
        try:
            self.names = [field.strip() for field in next(csv.reader([header], delimiter=self.delimiter), [])]
        except csv.Error:
            self.names = []
        if len(self.names) < 2 or "\0" in header:
            raise ValueError(
                f"{name}: is no file of a kind that is known; a CSV file has the names of its columns in its first line"
            )
        self.spot = at(name, "line")
        super().__init__(name, columns, action_range, last_step, {})

    def width(self, name):
        return 1

    def lines(self, file):
        while line := file.readline(self.LONGEST_LINE):
            if len(line) == self.LONGEST_LINE:
                raise ValueError(f"{self.path}: has a line of more than {self.LONGEST_LINE} characters")
            yield line

    def texts(self, columns):
        """Generates the fields of some columns with their lines, row by row."""
        places = {name: place for place, name in enumerate(self.names)}
        places = [places[name] for name in columns]
        with open(self.path, newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(self.lines(file), delimiter=self.delimiter)
            next(reader)
            try:
                for row in reader:
                    if row and len(row) != len(self.names):
                        raise ValueError(
                            f"{self.path}: line {reader.line_num} has {len(row)} fields, the first line {len(self.names)}"
                        )
                    if row:
                        yield reader.line_num, [row[place] for place in places]
            except csv.Error as error:
                raise ValueError(f"{self.path}: line {reader.line_num}: {error}") from error

    def require_actions(self, columns):
        """Refuses columns of whole numbers, written without a decimal point, of which there are several."""
        first, whole, several = None, dict(enumerate(columns)), set()
        for _, fields in self.texts(columns):
            first = first or fields
            for i in list(whole):
                if not fields[i].strip().lstrip("+-").isdigit():
                    del whole[i]
                elif fields[i] != first[i]:
                    several.add(i)
            if not whole:
                return
        for i in sorted(several & set(whole)):
            require_continuous(np.int64, f"{self.path}: column '{whole[i]}'")

    def read(self, columns, size):
        rows = self.texts(columns)
        while chunk := list(itertools.islice(rows, CHUNK)):
            lines, fields = zip(*chunk)
            try:
                values = np.array(fields, np.float64)
                # Python takes 1_0 for ten.
                is_plain = not any("_" in field for row in fields for field in row)
            except ValueError:
                is_plain = False
            if not is_plain:
                values = np.array(
                    [[self.number(*cell) for cell in zip(row, columns, [line] * len(row))] for line, row in chunk]
                )
            places = {name: place for place, name in enumerate(columns)}
            numbers = {name: values[:, [place]] for name, place in places.items()}
            ids = {
                name: np.array([row[places[name]].strip() for row in fields], object)
                for name in self.chosen.get("episode", [])
            }
            yield numbers, ids, np.array(lines)

    def number(self, field, column, line):
        word = self.WORDS.get(field.strip().lower())
        try:
            return float("" if "_" in field else field) if word is None else word
        except ValueError:
            what = f"'{field[:80]}'" if field.strip() else "empty"
            raise ValueError(f"{self.path}: line {line}, column '{column}': is {what}, not a number") from None


class Parquet(Table):
    """A Parquet file, or several with the same columns, which may hold lists of numbers."""

    def __init__(self, name, columns=None, action_range=None, last_step=False, files=None, provenance=None, **_):
        self.path, self.files = name, files or [name]
        self.pq = require_package("pyarrow.parquet", f"{name}: Parquet")
        self.schema = self.open(self.files[0]).schema_arrow
        self.names, self.lengths, self.firsts = list(self.schema.names), {}, []
        super().__init__(name, columns, action_range, last_step, {**(provenance or {}), "read by": versions("pyarrow")})

    def spot(self, steps, i):
        """The file and its own row: rows of chunks are counted over all files."""
        file = bisect.bisect_right(self.firsts, steps["row"][i]) - 1
        return f"{self.files[file]}: row {steps['row'][i] - self.firsts[file]}"

    def open(self, path):
        # Sizes that the file claims for its own description are limited.
        limits = {"thrift_string_size_limit": 64 << 20, "thrift_container_size_limit": 1 << 22}
        require_file(path)
        with naming(path, "is no whole Parquet file"):
            return self.pq.ParquetFile(path, buffer_size=1 << 20, **limits)

    def batches(self, path, size, columns):
        """Generates tables of some columns, all of which are there once."""
        file = self.open(path)
        require_columns(file.schema_arrow, path, columns)
        with naming(path):
            yield from file.iter_batches(size, columns=columns)

    def first(self, name):
        """The first value of a column, as an array of one, and its file."""
        for path in self.files:
            for batch in self.batches(path, 1, [name]):
                if len(batch):
                    return batch.column(batch.schema.get_field_index(name)), path
        raise ValueError(f"{self.path}: has no rows")

    def width(self, name):
        """How many numbers a column has in each row: as many as in the first one."""
        if name not in self.lengths:
            self.lengths[name] = self.first_lengths(name) if is_list(self.schema.field(name).type) else []
        return math.prod(self.lengths[name])

    def first_lengths(self, name):
        """How long the lists of a column are in its first row; lists of lists have several lengths."""
        lengths, (array, path) = [], self.first(name)
        while is_list(array.type) and len(array):
            if not array[0].is_valid:
                raise ValueError(f"{path}: row 0, column '{name}': is empty")
            lengths.append(len(array[0]))
            array = array.flatten()
        return lengths

    def element(self, name, schema=None, path=None):
        """The type of the numbers of a column."""
        import pyarrow

        type = (schema or self.schema).field(name).type
        while is_list(type):
            type = type.value_type
        if not (pyarrow.types.is_integer(type) or pyarrow.types.is_floating(type) or pyarrow.types.is_boolean(type)):
            raise ValueError(f"{path or self.path}: column '{name}': holds {type}, not numbers")
        return type

    def require_actions(self, columns):
        for name in columns:
            require_continuous(self.element(name).to_pandas_dtype(), f"{self.path}: column '{name}'")

    def read(self, columns, size):
        first = 0
        for path in self.files:
            self.firsts.append(first)
            start = first
            for batch in self.batches(path, size, columns):
                for name in columns:
                    self.require_type(batch.schema, path, name)
                numbers = {
                    name: self.numbers(batch.column(batch.schema.get_field_index(name)), name, path, first - start)
                    for name in columns
                }
                yield numbers, numbers, np.arange(first, first + len(batch))
                first += len(batch)

    def require_type(self, schema, path, name):
        """Requires that a column holds numbers, and that all digits of an episode's number can be compared."""
        type, expected = self.element(name, schema, path), self.element(name)
        if type != expected and name in self.chosen.get("episode", []):
            raise ValueError(f"{path}: column '{name}': holds {type}, but {expected} in {self.files[0]}")

    def numbers(self, array, name, path, first):
        """A column's numbers, rows × width, as they are stored; `first` is the number of the first row in its file."""
        import pyarrow.compute

        width, rows, entries = self.width(name), len(array), 1
        place = lambda i: f"{path}: row {first + i // max(entries, 1)}, column '{name}'"
        for length in [*self.lengths[name], None]:
            if array.null_count:
                raise ValueError(f"{place(array.is_null().to_numpy(zero_copy_only=False).argmax())}: is empty")
            if is_list(array.type) != (length is not None):
                raise ValueError(f"{path}: column '{name}': holds {array.type}, which the first row does not")
            if length is not None:
                lengths = pyarrow.compute.list_value_length(array).to_numpy(zero_copy_only=False)
                if (wrong := lengths != length).any():
                    row = wrong.argmax()
                    raise ValueError(f"{place(row)}: has {lengths[row]} numbers, the first row {length}")
                array, entries = array.flatten(), entries * length
        return array.to_numpy(zero_copy_only=False).reshape(rows, width)


def is_list(type):
    import pyarrow.types as types

    return types.is_list(type) or types.is_large_list(type) or types.is_fixed_size_list(type)


def require_columns(schema, path, names):
    """Requires that a Parquet file has each of some columns once."""
    counts = collections.Counter(schema.names)
    if wrong := [name for name in names if counts[name] != 1]:
        raise ValueError(f"{path}: has {'several columns' if counts[wrong[0]] else 'no column'} '{wrong[0]}'")


def check_image(shape, first, advice=""):
    """Refuses an image that is too large, or has not the shape of the first one, if there was one."""
    if shape != (first or shape) or math.prod(shape) > 1 << 20:
        raise ValueError(f"has {shape[0]} x {shape[1]} pixels, which is too many or not as the first image{advice}")


class LeRobot(Parquet):
    """A LeRobot dataset of format 2 or 3: a directory with meta/info.json and Parquet files in data/.

    The last frame of an episode is its final state, unless the task ended there. Images in the tables, or those of
    videos, are read when they are named as the observation.
    """

    image = video = image_shape = None
    # The columns that every dataset of this kind counts its rows with.
    EPISODE, FRAME = "episode_index", "frame_index"

    DEFAULTS = {"action": ["action"], "reward": ["next.reward"], "episode": ["episode_index"]}

    def __init__(self, name, columns=None, action_range=None, last_step=False, **_):
        path = os.path.join(name, "meta", "info.json")
        with naming(path, "does not describe a LeRobot dataset"):
            self.info = info = read_json(path)
            features, version = info["features"], str(info.get("codebase_version", "?"))
            kinds = {feature: str(entry["dtype"]) for feature, entry in features.items()}
        if not version.startswith(("v2", "v3")):
            raise ValueError(f"{path}: has format {version}; v2 and v3 are read, so convert it with LeRobot")
        files = in_order(glob.glob(os.path.join(glob.escape(name), "data", "*", "*.parquet")))
        if not files:
            raise ValueError(f"{name}: has no data/*/*.parquet")
        chosen = dict(self.DEFAULTS)
        states = [feature for feature in ("observation.state", "observation.environment_state") if feature in kinds]
        if states:
            chosen["observation"] = states
        if "next.done" in kinds:
            chosen["terminal"] = ["next.success" if "next.success" in kinds else "next.done"]
        if last_step or "next.reward" not in kinds:
            del chosen["reward"]
        chosen |= columns or {}
        taken = chosen.get("observation", [])
        for feature in taken:
            if kinds.get(feature) == "video":
                self.video = feature
            if kinds.get(feature) == "image":
                self.image = feature
        if (self.image or self.video) and (len(taken) > 1 or "next_observation" in chosen):
            raise ValueError(
                f"{name}: {', '.join(taken)[:200]}: observations are one image with no next_observation, or vectors"
            )
        unread = [feature for feature, kind in kinds.items() if kind in ("image", "video") and feature not in taken]
        if "observation" not in chosen:
            raise ValueError(
                f"{name}: has no observation.state: name vectors, or one image, with --columns observation=...; there are {', '.join(kinds)[:200]}"
            )
        if "reward" not in chosen and not last_step:
            raise ValueError(
                f"{name}: records no next.reward: give --reward-rule last-step, for demonstrations that each solve the task, or name a column with --columns reward=..."
            )
        provenance = {"format": f"LeRobot {version}"}
        if unread:
            provenance["images and videos that are not read"] = ", ".join(unread)[:300]
        if self.video:
            self.videos = Videos(name, info, version, self.video)
            provenance["observations"] = self.video[:300]
            # In the table stands which image of which video belongs to a row.
            chosen["observation"] = [self.EPISODE, self.FRAME]
        super().__init__(name, chosen, action_range, last_step, files, provenance)
        if self.video:
            if self.observation_shape != (2,):
                raise ValueError(f"{name}: episode_index and frame_index are not one number each")
            self.provenance["read by"] = versions("pyarrow", "av")
            # The first rows are read now, because their images tell the size.
            first = next(self.training)
            self.training, self.image_shape = itertools.chain([first], self.training), first[0].shape[1:]
        self.observation_shape = self.image_shape or self.observation_shape

    def read(self, columns, size):
        keys = [name for name in (self.EPISODE, self.FRAME) if name in self.names]
        episodes, count, last = 0, 0, (None, -1)
        for numbers, ids, rows in super().read([*columns, *(name for name in keys if name not in columns)], size):
            if len(keys) == 2 and len(rows):
                begins = self.beginnings(*(numbers[name].reshape(-1) for name in keys), last, rows)
                episodes, last = episodes + begins.sum(), tuple(numbers[name][-1].item() for name in keys)
            count += len(rows)
            yield numbers, ids, rows
        for key, found in (("total_frames", count), ("total_episodes", episodes if len(keys) == 2 else None)):
            said = self.info.get(key)
            if None not in (said, found) and said != found:
                raise ValueError(
                    f"{self.path}/meta/info.json: {key} is {str(said)[:80]}, and data/ has {found}: "
                    f"download the files that are missing, or correct {key}"
                )

    def beginnings(self, episode, frame, last, rows):
        """Whether an episode begins with a row, for each of some rows; `last` are the numbers of the row before them.

        A row that is missing, or not in its place, would be taken for the next state of another.
        """
        place = lambda wrong: self.spot({"row": rows}, wrong.argmax())
        with np.errstate(invalid="ignore"):
            wrong = ~((episode >= 0) & (episode < 1 << 31) & (episode == np.floor(episode)))
        if wrong.any():
            number = episode[wrong.argmax()]
            raise ValueError(f"{place(wrong)}, column '{self.EPISODE}': is {number}, not the number of an episode")
        begins = np.append(episode[0] != last[0], episode[1:] != episode[:-1])
        before = np.append(last[1], frame[:-1].astype(np.float64))
        expected = np.where(begins, 0, before + 1)
        if (wrong := frame != expected).any():
            i = wrong.argmax()
            raise ValueError(
                f"{place(wrong)}, column '{self.FRAME}': is {frame[i]} where {expected[i]:.0f} is due in episode "
                f"{episode[i]:.0f}: sort the tables by {self.EPISODE} and {self.FRAME}, and download what is missing"
            )
        return begins

    def width(self, name):
        if name != self.image:
            return super().width(name)
        return self.pictures(*self.first(name), 0).shape[1]

    def element(self, name, schema=None, path=None):
        return None if name == self.image else super().element(name, schema, path)

    def numbers(self, array, name, path, first):
        return self.pictures(array, path, first) if name == self.image else super().numbers(array, name, path, first)

    def pictures(self, array, path, first):
        """The pixels of encoded images, rows × numbers."""
        import io

        images, rows = require_package("PIL.Image", f"{self.path}: images"), []
        for row, entry in enumerate(array.to_pylist()):
            place = f"{path}: row {first + row}, column '{self.image}'"
            data = entry.get("bytes") if isinstance(entry, dict) else None
            if not data:
                raise ValueError(f"{place}: holds no image, only images in the table itself are read")
            try:
                image = images.open(io.BytesIO(data), formats=["PNG", "JPEG"])
                shape = (image.height, image.width, 3)
                # The size is known before the image is unpacked.
                check_image(shape, self.image_shape)
                # A PNG says at this place how many bits it has for a number.
                bits = data[24] if image.format == "PNG" else 8
                if bits > 8:
                    raise ValueError(f"has {bits} bits a channel; images have 8: convert them")
                rows.append(np.asarray(image.convert("RGB")).reshape(-1))
            except images.UnidentifiedImageError as error:
                raise ValueError(f"{place}: is no whole PNG or JPEG") from error
            except Exception as error:
                raise ValueError(f"{place}: {error}") from error
            self.image_shape = shape
        return np.stack(rows)

    def steps(self, size):
        for chunk in super().steps(size):
            if self.image:
                chunk["observations"] = chunk["observations"].reshape(-1, *self.image_shape)
            if not self.video:
                yield chunk
                continue
            start = 0
            while start < len(chunk["row"]):
                part = {name: array[start:] for name, array in chunk.items()}
                part["observations"] = images = self.videos.images(part["observations"])
                yield {name: array[: len(images)] for name, array in part.items()}
                start += len(images)


class Videos:
    """The images of one camera of a LeRobot dataset, in MP4 files: in format 2 a file holds one episode, in format 3
    several, one after the other."""

    PATHS = {
        "v2": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "v3": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    CODECS = {"av1", "h264", "hevc", "mpeg4", "vp8", "vp9"}
    # Decoders pad images, so theirs may be a little larger than what is allowed.
    MOST_EPISODES, MOST_PIXELS, MOST_MEMORY = 1 << 20, 1 << 19, 3 << 30

    def __init__(self, name, info, version, key):
        self.name, self.key, self.shape = name, key, None
        self.av = require_package("av", f"{name}: videos")
        place = os.path.join(name, "meta", "info.json")
        self.template = str(info.get("video_path") or self.PATHS[version[:2]])
        self.rate, self.chunk = info.get("fps"), info.get("chunks_size", 1000)
        if type(self.rate) not in (int, float) or not 0 < self.rate < 1e6:
            raise ValueError(f"{place}: videos need fps, the number of frames a second")
        if type(self.chunk) is not int or self.chunk < 1:
            raise ValueError(f"{place}: chunks_size is not the number of episodes in a chunk")
        self.episodes = self.table() if version.startswith("v3") else None
        self.path = self.frames = self.episode = self.place = None
        self.opened = set()
        # A small file may claim so many frames that the list of them fills the memory.
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        if most == resource.RLIM_INFINITY or most > self.MOST_MEMORY:
            resource.setrlimit(resource.RLIMIT_DATA, (self.MOST_MEMORY, most))

    def table(self):
        """Of each episode of format 3 the numbers of its file, and the second at which it starts there."""
        pq = require_package("pyarrow.parquet", f"{self.name}: Parquet")
        ends = ("chunk_index", "file_index", "from_timestamp")
        names = ["episode_index", *(f"videos/{self.key}/{end}" for end in ends)]
        files = in_order(glob.glob(os.path.join(glob.escape(self.name), "meta", "episodes", "*", "*.parquet")))
        episodes = {}
        for path in files:
            require_file(path)
            with naming(path, f"does not tell where the episodes of {self.key} are"):
                file = pq.ParquetFile(path)
                require_columns(file.schema_arrow, path, names)
                for batch in file.iter_batches(CHUNK, columns=names):
                    columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
                    self.add(episodes, np.array([column.to_numpy(zero_copy_only=False) for column in columns], float))
        return episodes

    def add(self, episodes, columns):
        """Adds rows of meta/episodes/, given column by column, to the places of episodes."""
        if len(episodes) + columns.shape[1] > self.MOST_EPISODES:
            raise ValueError("there are too many episodes")
        if not ((columns >= 0) & (columns < 1e9)).all() or (columns[:3] % 1).any():
            raise ValueError("numbers are missing or make no sense")
        for episode, *place in columns.T.tolist():
            if episode in episodes:
                raise ValueError(f"episode {episode:.0f} stands there twice")
            episodes[episode] = place

    def find(self, episode):
        """The path of the video with an episode, and the number of the episode's first image there."""
        numbers, first = {"episode_index": episode, "episode_chunk": episode // self.chunk}, 0
        if self.episodes is not None:
            if episode not in self.episodes:
                raise ValueError("meta/episodes/ does not have the episode")
            chunk, file, start = self.episodes[episode]
            numbers |= {"chunk_index": int(chunk), "file_index": int(file)}
            first = round(start * self.rate)

        def fill(match):
            field, width = match.groups()
            return self.key if field == "video_key" else str(numbers[field]).zfill(int(width or 0))

        try:
            path = re.sub(r"\{(\w+)(?::0?(\d)d)?\}", fill, self.template)
        except KeyError as error:
            raise ValueError(f"video_path in meta/info.json has {error}, which is not known") from error
        # The directory may hold links, which the Hugging Face cache consists of, but no path may lead out of it.
        if ".." in path.split("/") or os.path.isabs(path):
            raise ValueError(f"video_path {path[:200]!r} in meta/info.json leads out of the dataset")
        return os.path.join(self.name, path), first

    def images(self, places):
        """The images of the first rows that have these (episode, frame), as many as are read at a time."""
        images = []
        for episode, frame in places.tolist():
            if images and len(images) >= chunk_rows(images[0].nbytes):
                break
            path = self.name
            try:
                if episode != self.episode:
                    self.place, self.episode = self.find(int(episode)), episode
                path, first = self.place
                images.append(self.image(path, first + int(frame)))
            except Exception as error:
                if not isinstance(error, ValueError) or isinstance(error, self.av.FFmpegError):
                    reason = getattr(error, "strerror", None) or repr(error)
                    error = f"the video cannot be decoded ({reason}): download it again, or leave the episode out"
                raise ValueError(f"{path}: episode {episode:.0f}, frame {frame:.0f}: {error}") from None
        return np.stack(images)

    def image(self, path, number):
        """An image of a video. Each video is read once: images are asked for in the order in which they are stored."""
        is_new = path != self.path
        if path in self.opened if is_new else number < self.number:
            raise ValueError("comes after later ones: sort the tables by episode_index and frame_index")
        if is_new:
            self.frames, self.path, self.number = self.decoded(path), path, -1
            self.opened.add(path)
        while self.number < number:
            frame = next(self.frames, None)
            if frame is None:
                raise ValueError(
                    f"the video has only {self.number + 1} frames: download it again, or leave the episode out"
                )
            self.number, self.frame = self.number + 1, frame
            self.check_size(frame)
            # Images are counted, so they must be as far apart as their number says, and none may be missing.
            if frame.is_corrupt or frame.time is None or abs(frame.time * self.rate - self.number) > 0.5:
                raise ValueError(
                    f"the video is damaged at frame {self.number}, or has not {self.rate:g} frames a second: "
                    "download it again"
                )
        self.shape = (self.frame.height, self.frame.width, 3)
        return self.frame.to_ndarray(format="rgb24")

    def decoded(self, path):
        """Generates the frames of a video, one at a time."""
        # Only plain files are opened, so that nothing waits, and no other files that they name.
        if not os.path.isfile(path):
            raise ValueError("the file is missing: download the dataset with its videos, or take vectors")
        limit = {"max_pixels": str(self.MOST_PIXELS)}
        with open(path, "rb") as file, self.av.open(file, format="mp4", options=limit) as container:
            if not container.streams.video:
                raise ValueError("has no video")
            stream = container.streams.video[0]
            codec = stream.codec_context
            self.check_size(codec)
            if codec.codec.canonical_name not in self.CODECS:
                kinds = ", ".join(sorted(self.CODECS))
                raise ValueError(f"is a video of {codec.codec.canonical_name}; store it as one of {kinds}")
            # A stream whose frames are larger than it says is refused before there is memory for them.
            codec.options = limit
            codec.thread_count = 4
            yield from container.decode(stream)

    def check_size(self, frame):
        advice = f": store videos of one size, at most {(1 << 20) // 3} pixels"
        check_image((frame.height, frame.width, 3), self.shape, advice)


# RLDS


class RLDS(Source):
    """A TensorFlow dataset of episodes in RLDS's form, read by tensorflow_datasets: the directory that has
    features.json.

    The last step of an episode is its final state. Observations that are dictionaries give their vectors; images and
    texts beside them are not read.
    """

    def __init__(self, name, action_range=None, **_):
        tfds = require_package("tensorflow_datasets", f"{name}: RLDS")
        path = name
        try:
            builder = tfds.builder_from_directory(path)
            steps = builder.info.features["steps"].feature
            observation, action = steps["observation"], steps["action"]
        except Exception as error:
            raise ValueError(
                f"{path}: is not an RLDS dataset, whose episodes have steps with observation and action: {error}"
            ) from error
        self.tfds, self.builder, self.path = tfds, builder, path
        if hasattr(action, "keys"):
            raise ValueError(
                f"{path}: actions are a dictionary ({', '.join(action.keys())[:200]}), of which only single arrays are read"
            )
        require_continuous(action.np_dtype, f"{path}: 'action'")
        entries = list(observation.items()) if hasattr(observation, "items") else [(None, observation)]
        vectors = [
            (key, entry)
            for key, entry in entries
            if entry.shape is not None
            and len(entry.shape) <= 1
            and None not in entry.shape
            and np.dtype(entry.np_dtype).kind in "biuf"
        ]
        images = [
            (key, entry)
            for key, entry in entries
            if entry.shape and len(entry.shape) == 3 and entry.np_dtype == np.uint8
        ]
        if not vectors and len(images) != 1:
            raise ValueError(
                f"{path}: observations have neither vectors nor a single image, but {', '.join(str(key) for key, _ in entries)[:200]}"
            )
        self.taken = vectors or images
        shape = (
            [sum(math.prod(entry.shape) for _, entry in vectors)]
            if vectors
            else layout(np.uint8, images[0][1].shape, f"{path}: images")[0]
        )
        unread = [key for key, _ in entries if key not in [taken for taken, _ in self.taken]]
        super().__init__(
            shape,
            math.prod(action.shape),
            {
                "source": builder.info.full_name,
                "files": path,
                "reward": "as recorded",
                "read by": versions("tensorflow-datasets"),
                **({"entries of observations that are not read": ", ".join(unread)[:300]} if unread else {}),
            },
        )
        if vectors and vectors[0][0] is not None:
            self.observation_order = [f"{key} ({math.prod(entry.shape)})" for key, entry in vectors]
        splits = list(builder.info.splits)
        validation = next((split for split in ("validation", "val") if split in splits), None)
        training = "train" if "train" in splits else next((split for split in splits if split != validation), None)
        if training is None:
            raise ValueError(f"{path}: has no split with episodes")
        self.training = self.rows(training, action_range)
        self.validation = self.rows(validation, action_range) if validation else None

    def rows(self, split, action_range):
        episodes = self.tfds.as_numpy(self.builder.as_dataset(split=split, shuffle_files=False))
        for number, episode in enumerate(episodes):
            steps = list(episode["steps"])
            if len(steps) < 2:
                continue
            place, n = f"{self.path}: {split}: episode {number}", len(steps)
            parts = [
                np.stack([step["observation"] if key is None else step["observation"][key] for step in steps])
                for key, _ in self.taken
            ]
            observations = (
                parts[0]
                if len(self.observation_shape) == 3
                else np.concatenate([part.reshape(n, -1) for part in parts], axis=1)
            )
            actions = np.stack([step["action"] for step in steps]).reshape(n, -1)
            rewards = np.array([step.get("reward", 0) for step in steps])
            terminals = np.arange(n) == n - 1
            chunk = {
                "observations": observations,
                "actions": actions,
                "rewards": rewards,
                "row": np.arange(n),
            }
            is_terminal = np.array([steps[-1].get("is_terminal", False)])
            for what, array in ("reward", rewards), ("is_terminal", is_terminal):
                require_numbers(array.dtype, f"{place}: {what}")
            check_numbers(chunk, ~terminals, at(place), action_range)
            masks = np.ones(n, np.float32)
            # What the last step says of the end of the task belongs to the transition that leads to it.
            masks[-2] = 1 - flags(is_terminal, lambda _: f"{place}: row {n - 1}, is_terminal")[0]
            yield observations, actions, rewards, masks, terminals


# Which reader


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
