"""Readers of HDF5 files: those of d3rlpy and of D4RL. Part of the importing program, after rows.py."""

import itertools
import math
import re


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
        if has_timeouts and episode_limit is not None:
            raise ValueError(f"{path} has 'timeouts', which say where episodes end: leave --episode-limit out")
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
