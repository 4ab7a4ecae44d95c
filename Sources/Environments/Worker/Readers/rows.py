"""What all readers share: sources, chunks of steps and rows, and checks. Comes before them in the importing program.

Every file is untrusted: nothing in it is executed, pickled objects are refused, and sizes are checked before memory is
reserved.
"""

import contextlib
import itertools
import math
import re

# The number of rows that are read at a time, where the format allows it, and the bytes of images.
CHUNK, CHUNK_BYTES = 16_384, 64 << 20
# Members of an .npz file that say where episodes were cut off, and members that make every row a transition of its
# own, which OGBench's files do not have. OGBenchSource.swift knows the same ones.
CUTS = ["timeouts", "truncations", "truncated", "truncateds"]
NEXT = ["next_observations", "next_observation", "next_obs", "new_obs"]
# The largest row and the largest piece of an HDF5 file that is unpacked at once, in bytes.
LARGEST_ROW, LARGEST_PIECE = 64 << 20, 256 << 20
# Actions may lie this far outside their range, in parts of half the range, because of rounding.
TOLERANCE = 1e-6


# Lines on what people should know of the data and would not expect. They go into the manifest.
notes = []


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


def chunk_rows(row_bytes):
    """How many rows are read at a time."""
    return max(1, min(CHUNK, CHUNK_BYTES // max(row_bytes, 1)))


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
